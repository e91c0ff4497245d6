"""Which of several streams is read."""

from pathlib import Path

import av
import pytest
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

from facemask.errors import InputError
from facemask.video.probing import open_video
from facemask.video.sound import usable_sound
from tests.video.videos import make_video


def mux(path: Path, sources: list[Path], default: int | None, number: int = 0) -> Path:
    """One stream each of some files in one, the one of index `default` marked as such."""
    with av.open(str(path), "w") as output:
        inputs = [av.open(str(source)) for source in sources]
        pairs = []
        for index, stream in enumerate(part.streams[number] for part in inputs):
            assert isinstance(stream, VideoStream | AudioStream)
            copy = output.add_stream_from_template(stream)
            flags = Disposition.default if index == default else Disposition(0)
            copy.disposition = flags.value  # PyAV 16 takes numbers only
            pairs.append((stream, copy))
        for part, (stream, copy) in zip(inputs, pairs, strict=True):
            for packet in part.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    output.mux(packet)
            part.close()
    return path


@pytest.mark.parametrize(("default", "width"), [(0, 32), (1, 64)])
def test_default_pictures_are_read(tmp_path: Path, default: int, width: int) -> None:
    small = make_video(tmp_path / "small.mp4", 20, (24, 32))
    large = make_video(tmp_path / "large.mp4", 20, (48, 64))
    path = mux(tmp_path / "both.mkv", [small, large], default)
    container, stream = open_video(path)
    with container:
        assert stream.width == width


@pytest.mark.parametrize("default", [None, 0])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_unmarked_cover_does_not_hide_the_film(
    tmp_path: Path, suffix: str, default: int | None
) -> None:
    cover = make_video(tmp_path / "cover.mov", 1, (80, 96), codec="mjpeg", pixels="yuvj420p")
    film = make_video(tmp_path / "film.mp4", 20, (48, 64))
    container, stream = open_video(mux(tmp_path / f"both.{suffix}", [cover, film], default))
    with container:
        assert (stream.index, stream.width) == (1, 64)


@pytest.mark.parametrize("default", [0, 1])
def test_a_film_of_pictures_is_no_cover(tmp_path: Path, default: int) -> None:
    first = make_video(tmp_path / "a.mov", 3, (80, 96), codec="mjpeg", pixels="yuvj420p")
    second = make_video(tmp_path / "b.mov", 9, (40, 48), codec="mjpeg", pixels="yuvj420p")
    container, stream = open_video(mux(tmp_path / "both.mkv", [first, second], default))
    with container:
        assert stream.index == default


def test_pictures_of_an_unknown_codec_are_passed_over(tmp_path: Path) -> None:
    small = make_video(tmp_path / "small.mp4", 5, (24, 32))
    large = make_video(tmp_path / "large.mp4", 5, (48, 64))
    path = mux(tmp_path / "both.mkv", [small, large], 0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_NOBODYS_CODEC", 1))
    container, stream = open_video(path)
    with container:
        assert (stream.index, stream.width) == (1, 64)
    path.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_NOBODYS_CODEC"))
    with pytest.raises(InputError, match="its video codec is unknown here"):
        open_video(path)


@pytest.mark.parametrize("default", [0, 1])
def test_default_sound_is_kept(tmp_path: Path, default: int) -> None:
    part = make_video(tmp_path / "part.mp4", 20, sound="aac")
    path = mux(tmp_path / "sounds.mkv", [part, part], default, number=1)
    with av.open(str(path)) as container:
        assert [track.index for track in usable_sound(container)] == [default, 1 - default]
