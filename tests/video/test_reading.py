"""Video files: right frames, right times, whatever the file."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facemask.errors import InputError
from facemask.video.reading import VideoFrame, open_source
from tests.video.videos import (
    Image,
    carphone,
    cut,
    frame_index,
    make_video,
    picture,
    turn,
)


def read(path: Path) -> list[VideoFrame]:
    with open_source(path) as source:
        return list(source)


def indices(frames: list[VideoFrame]) -> list[int]:
    return [frame_index(frame.image) for frame in frames]


def test_a_real_video_equals_opencv() -> None:
    capture = cv2.VideoCapture(str(carphone()), cv2.CAP_FFMPEG)
    with open_source(carphone()) as source:
        assert (source.name, source.path) == ("carphone_pristine", carphone())
        assert (source.height, source.width) == (144, 176)
        assert source.fps == Fraction(30000, 1001)
        assert source.frame_count == 120
        assert not source.has_audio
        count = 0
        for frame in source:
            assert frame.index == count
            assert frame.time == pytest.approx(count * 1001 / 30000, abs=1e-9)
            _, expected = capture.read()
            difference = cv2.absdiff(frame.image, cv2.cvtColor(expected, cv2.COLOR_BGR2RGB))
            assert difference.mean() < 2
            assert np.percentile(difference, 99) <= 6
            count += 1
        assert count == 120
        assert source.problem is None
        with pytest.raises(RuntimeError, match="can be read once"):
            iter(source)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),  # B-frames, an edit list
        ("a.mkv", "libx264", "yuv420p10le"),
        ("b.mkv", "ffv1", "yuv420p10le"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mov", "libx264", "yuv444p"),
        ("b.avi", "mjpeg", "yuvj420p"),  # full range
        ("c.mkv", "ffv1", "bgra"),
        ("d.mkv", "ffv1", "yuva420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.ts", "libx264", "yuv420p"),
    ],
)
def test_formats(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    path = make_video(tmp_path / name, codec=codec, pixels=pixels)
    with open_source(path) as source:
        frames = list(source)
        assert source.problem is None
        assert source.fps == 25
        assert source.frame_count in (20, None)
    assert indices(frames) == list(range(20))
    np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 25, atol=1e-3)
    assert frames[3].image.dtype == np.uint8
    # GIF has 256 colours; elsewhere the edges between colours are blurred by the halved chroma
    limit = 40 if name == "a.gif" else 8
    assert np.median(cv2.absdiff(frames[3].image, picture(3, 48, 64))) <= limit


def test_grey_video(tmp_path: Path) -> None:
    frames = read(make_video(tmp_path / "a.mkv", codec="ffv1", pixels="gray"))
    assert indices(frames) == list(range(20))
    assert (frames[0].image[..., 0] == frames[0].image[..., 2]).all()


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("color_range", [1, 2])
def test_matrix_and_range_are_those_of_the_file(
    tmp_path: Path, matrix: str, color_range: int
) -> None:
    # Y, Cb, Cr of one colour, by ITU-R BT.709 and BT.601
    kr, kb = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    red, green, blue = 180 / 255, 90 / 255, 60 / 255
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale, offset, chroma_scale = (219, 16, 224) if color_range == 1 else (255, 0, 255)
    planes = np.full((48, 32), round(offset + scale * luma), dtype=np.uint8)
    planes[32:40] = round(128 + chroma_scale * chroma[0])
    planes[40:] = round(128 + chroma_scale * chroma[1])
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.colorspace = 1 if matrix == "bt709" else 6
        stream.codec_context.color_range = color_range
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    image = read(tmp_path / "a.mp4")[0].image
    np.testing.assert_allclose(image[16, 16], (180, 90, 60), atol=3)


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0.0, 0.03, 0.1, 0.11, 0.5, 0.52, 1.9]
    for name in ("a.mp4", "a.mkv"):
        frames = read(make_video(tmp_path / name, times=times))
        assert indices(frames) == list(range(7))
        np.testing.assert_allclose([f.time for f in frames], times, atol=6e-4)


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (2, 351)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_video(tmp_path / "a.mkv", 3, size, codec="ffv1", pixels="yuv444p")
    with open_source(path) as source:
        assert (source.height, source.width) == size
        images = [frame.image for frame in source]
    assert len(images) == 3
    np.testing.assert_allclose(images[1].astype(int), picture(1, *size), atol=4)


def test_one_frame(tmp_path: Path) -> None:
    with open_source(make_video(tmp_path / "a.mp4", 1)) as source:
        assert source.fps == 25
        frames = list(source)
        assert source.problem is None
    assert [(frame.index, frame.time) for frame in frames] == [(0, 0.0)]


def rotated(image: Image, turns: int) -> Image:
    return np.rot90(image, turns)


@pytest.mark.parametrize(
    ("matrix", "size", "expected"),
    [
        ((0, 1, -1, 0), (64, 48), lambda image: np.rot90(image, -1)),  # clockwise
        ((0, -1, 1, 0), (64, 48), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, -1), (48, 64), lambda image: np.rot90(image, 2)),
        ((-1, 0, 0, 1), (48, 64), lambda image: image[:, ::-1]),
        ((0, 1, 1, 0), (64, 48), lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_rotation_by_metadata(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], expected: object
) -> None:
    assert callable(expected)
    plain = make_video(tmp_path / "a.mp4", 3)
    with open_source(turn(plain, matrix)) as source:
        assert (source.height, source.width) == size
        image = next(iter(source)).image
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, expected(read(plain)[0].image))


def test_stream_joined_of_two_sizes_and_clocks(tmp_path: Path) -> None:
    parts = [
        make_video(tmp_path / "a.ts", 60, (48, 64)),
        make_video(tmp_path / "b.ts", 20, (96, 96)),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_source(joined) as source:
        frames = list(source)
        problem = source.problem
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) == 80
    assert indices(frames[60:]) == list(range(20))
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    assert frames[-1].time == pytest.approx(79 / 25, abs=0.1)
    assert problem is not None
    assert "joined.ts changes from 64x48 to 96x96 pixels after frame 60: " in problem


def test_edit_list_trims_and_is_no_damage(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", 20, gop=20)
    data = bytearray(path.read_bytes())
    offset = data.index(b"elst") + 12  # one entry: its duration in ticks of the movie's clock
    (duration,) = struct.unpack(">I", data[offset : offset + 4])
    data[offset : offset + 4] = struct.pack(">I", duration // 2)
    path.write_bytes(data)
    with open_source(path) as source:
        assert indices(list(source)) == list(range(10))
        assert source.problem is None


def test_header_that_promises_too_much(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    for tag, distance in ((b"avih", 24), (b"strh", 40)):
        offset = data.index(tag) + distance
        assert struct.unpack("<I", data[offset : offset + 4]) == (20,)
        data[offset : offset + 4] = struct.pack("<I", 200)
    path.write_bytes(data)
    with open_source(path) as source:
        assert source.frame_count == 200
        assert indices(list(source)) == list(range(20))
        assert source.problem == (
            "a.avi is damaged after frame 20 (0.8 s): it ends 7.2 s before its header says."
        )


def test_closing_ends_the_frames(tmp_path: Path) -> None:
    source = open_source(make_video(tmp_path / "a.mp4"))
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert source.problem is None


class TestDamaged:
    @pytest.mark.parametrize(
        ("name", "movflags", "sound"),
        [("a.mp4", "faststart", None), ("b.mp4", "faststart", "aac"), ("a.mkv", "", None)],
    )
    def test_cut_off(self, tmp_path: Path, name: str, movflags: str, sound: str | None) -> None:
        whole = make_video(tmp_path / name, 200, movflags=movflags, sound=sound, gop=30)
        with open_source(cut(whole, 0.6)) as source:
            frames = list(source)
            problem = source.problem
        assert 60 < len(frames) < 180
        for frame, expected in zip(frames[:-2], read(whole), strict=False):
            assert frame.time == expected.time
            np.testing.assert_array_equal(frame.image, expected.image)
        assert problem is not None
        assert problem.startswith(f"cut_{name} is damaged after frame {len(frames)} (")
        assert problem.endswith(" s before its header says.")

    def test_threads_lose_no_frame_before_the_damage(self, tmp_path: Path) -> None:
        """A damaged packet among the last ones, which the threads still hold at the end."""
        whole = make_video(tmp_path / "a.mp4", 20, gop=20)
        with av.open(str(whole)) as container:
            packets = [p for p in container.demux(video=0) if p.size > 0]
            last = packets[-3]
            assert last.pos is not None
            place, size = last.pos, last.size
        data = bytearray(whole.read_bytes())
        data[place : place + size] = b"\xff" * size
        whole.write_bytes(data)
        with open_source(whole) as source:
            found = indices(list(source))
            problem = source.problem
        assert found[:16] == list(range(16))
        assert len(found) >= 19
        assert problem is not None
        assert problem.endswith("frames there are missing or distorted.")

    def test_in_the_middle(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "a.avi", 60, codec="mjpeg", pixels="yuvj420p")
        with av.open(str(path)) as container:
            packets = [p for p in container.demux(video=0) if p.size > 0]
            place, size = packets[20].pos, packets[20].size
        assert place is not None
        data = bytearray(path.read_bytes())
        data[place : place + size] = bytes(size)
        path.write_bytes(data)
        with open_source(path) as source:
            frames = list(source)
            problem = source.problem
        assert len(frames) == 59
        assert [frame_index(f.image) for f in frames[20:39]] == [*range(1, 20)]
        assert frames[20].time == pytest.approx(21 / 25)
        assert problem is not None
        assert problem.startswith("a.avi is damaged near frame ")

    def test_mp4_without_its_index(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"cut_a\.mp4: the file is cut off: its index"):
            open_source(cut(make_video(tmp_path / "a.mp4"), 0.6))

    def test_index_cut_off(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "a.mp4", movflags="faststart")
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(InputError, match="the file is cut off: its index"):
            open_source(path)

    def test_no_frame(self, tmp_path: Path) -> None:
        path = make_video(tmp_path / "a.mp4", movflags="faststart")
        data = path.read_bytes()
        path.write_bytes(data[: data.index(b"mdat") + 12])
        with pytest.raises(InputError, match="no frame of it can be decoded"):
            open_source(path)


class TestNoVideo:
    def test_zero_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(b"")
        with pytest.raises(InputError, match=r"a\.mp4: the file is empty \(0 bytes\)\."):
            open_source(tmp_path / "a.mp4")

    @pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.nfo"])
    def test_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("Some lines\nof text.\n" * 100)
        with pytest.raises(InputError, match="not a video"):
            open_source(tmp_path / name)

    def test_sound_only(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "a.m4a"), "w") as container:
            stream = container.add_stream("aac", 44100)
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 4096), dtype=np.float32), format="flt", layout="mono"
            )
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with pytest.raises(InputError, match="holds sound but no pictures"):
            open_source(tmp_path / "a.m4a")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"a\.mp4: no such file or folder\."):
            open_source(tmp_path / "a.mp4")
        with pytest.raises(InputError, match="not a file"):
            open_source("/dev/null")
