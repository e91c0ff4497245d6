"""The sound of a source in what is written of it."""

from pathlib import Path

import av
import numpy as np
import pytest

import facemask.video.muxing
from facemask.video.reading import open_source
from tests.video.test_writing import copy, read
from tests.video.videos import RATE, make_video, read_sound


class TestSound:
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    def test_copied_bit_by_bit(self, tmp_path: Path, name: str) -> None:
        source = make_video(tmp_path / "in.mp4", 50, sound="aac")
        copy(source, tmp_path / name)
        (start, samples), (new_start, new_samples) = read_sound(source), read_sound(tmp_path / name)
        if name == "a.mp4":
            assert new_start == start == 0
            np.testing.assert_array_equal(new_samples, samples)
        else:  # before PyAV 19, MKV shows the 1024 samples of AAC's run-up, before the pictures
            assert len(new_samples) - len(samples) in (0, 1024)
            np.testing.assert_array_equal(new_samples[-len(samples) :], samples)
            assert _sound_lag(source, tmp_path / name) == pytest.approx(0, abs=2e-3)

    @pytest.mark.parametrize(
        ("name", "sound", "written"),
        [
            ("in.avi", "pcm_s16le", "aac"),
            ("in.mkv", "pcm_s16le", "aac"),
            ("in.ts", "mp2", "aac"),
            ("in.mkv", "flac", "flac"),
            ("in.ts", "aac", "aac"),
            ("in.mkv", "libmp3lame", "mp3"),
        ],
    )
    def test_encoded_where_players_would_not_play_it(
        self, tmp_path: Path, name: str, sound: str, written: str
    ) -> None:
        source = make_video(tmp_path / name, 50, sound=sound)
        copy(source, tmp_path / "a.mp4")
        with av.open(str(tmp_path / "a.mp4")) as container:
            codec = container.streams.audio[0].codec_context.name.removesuffix("float")
        assert codec == written
        assert _sound_lag(source, tmp_path / "a.mp4") == pytest.approx(0, abs=2e-3)

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
    @pytest.mark.parametrize(("video_start", "sound_start"), [(0.32, 0.0), (0.0, 0.32), (1.0, 1.2)])
    @pytest.mark.parametrize("sound", ["aac", "libmp3lame", "flac"])
    def test_stays_in_step(
        self, tmp_path: Path, name: str, video_start: float, sound_start: float, sound: str
    ) -> None:
        source = make_video(
            tmp_path / "in.mkv",
            50,
            sound=sound,
            video_start=video_start,
            sound_start=sound_start,
        )
        copy(source, tmp_path / name)
        assert _sound_lag(source, tmp_path / name) == pytest.approx(0, abs=2e-3)
        assert [frame.time for frame in read(tmp_path / name)] == pytest.approx(
            [frame.time for frame in read(source)], abs=1e-3
        )

    def test_left_out(self, tmp_path: Path) -> None:
        source = make_video(tmp_path / "in.mp4", sound="aac")
        copy(source, tmp_path / "a.mp4", audio=False)
        with open_source(source) as old, open_source(tmp_path / "a.mp4") as new:
            assert (old.has_audio, new.has_audio) == (True, False)

    def test_of_a_file_that_is_cut_off(self, tmp_path: Path) -> None:
        source = make_video(tmp_path / "in.mkv", 100, sound="aac")
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        copy(source, tmp_path / "a.mp4")
        assert _sound_lag(source, tmp_path / "a.mp4") == pytest.approx(0, abs=2e-3)

    def test_damaged_packets_are_left_out(self, tmp_path: Path) -> None:
        source = make_video(tmp_path / "in.ts", 50, sound="aac")
        with av.open(str(source)) as container:
            places = [packet.pos for packet in container.demux(audio=0) if packet.pos]
        data = bytearray(source.read_bytes())
        for place in places[10:14]:
            data[place + 18 : place + 60] = bytes(42)  # behind the headers of TS and PES
        source.write_bytes(data)
        copy(source, tmp_path / "a.mp4")
        assert len(read(tmp_path / "a.mp4")) == 50
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert 60 < sum(1 for _ in container.demux(audio=0)) < 90  # of 87 packets

    def test_what_no_file_can_hold_is_left_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise av.error.InvalidDataError(1094995529, "no such number of channels")

        monkeypatch.setattr(facemask.video.muxing, "Sound", refuse)
        with pytest.warns(UserWarning, match=r"in\.mp4: its sound is damaged and left out"):
            copy(make_video(tmp_path / "in.mp4", sound="aac"), tmp_path / "a.mp4")
        assert len(read(tmp_path / "a.mp4")) == 20


def _sound_lag(source: Path, copied: Path) -> float:
    """Seconds by which the sound of a copy is later against its pictures than the source's."""
    moments = []
    for path in (source, copied):
        start, samples = read_sound(path)
        with open_source(path) as video:
            moments.append((start - video.start, samples))
    (start, samples), (new_start, new_samples) = moments
    size = min(len(samples), len(new_samples))
    assert size > RATE / 2
    spectrum = np.fft.rfft(new_samples[:size], 2 * size) * np.conj(
        np.fft.rfft(samples[:size], 2 * size)
    )
    shift = int(np.argmax(np.fft.irfft(spectrum)))
    shift -= 2 * size if shift > size else 0
    return new_start + shift / RATE - start
