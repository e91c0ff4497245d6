"""One clock for pictures and sound: joined recordings, AVI, raw streams."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facemask.errors import InputError
from facemask.video.decoding import FrameClock
from facemask.video.probing import fraction
from facemask.video.reading import open_source
from tests.video.recordings import (
    copied_beeps,
    encode_raw,
    join,
    packed_avi,
    record,
    times_of,
)
from tests.video.videos import carphone, frame_index

SECOND = np.arange(25) / 25


def test_frame_clock() -> None:
    clock = FrameClock(Fraction(1, 1000), Fraction(25))
    stamps = [500, 540, None, None, 540, 700, 690, 720, -9000, -8950]
    times = [clock.seconds(stamp) for stamp in stamps]
    # none: a step on; earlier than the one before: a little later than that; far earlier: anew
    expected = [0, 0.04, 0.08, 0.12, 0.121, 0.2, 0.201, 0.22, 0.26, 0.31]
    np.testing.assert_allclose(times, expected)


class TestJoined:
    @pytest.mark.parametrize(
        ("suffix", "codec", "sound", "options"),
        [
            (".ts", "libx264", "aac", {"bf": "0"}),
            (".ts", "libx264", "aac", {"bf": "3"}),
            (".mpg", "mpeg2video", "mp2", {"bf": "2"}),
            (".webm", "libvpx", "libopus", {}),
            (".mkv", "libx264", "aac", {"bf": "3"}),
        ],
    )
    def test_two(
        self, tmp_path: Path, suffix: str, codec: str, sound: str, options: dict[str, str]
    ) -> None:
        part = record(
            tmp_path / f"a{suffix}", np.arange(75) / 25, codec=codec, sound=sound, options=options
        )
        joined = join(tmp_path / f"b{suffix}", part, part)
        np.testing.assert_allclose(times_of(joined), np.arange(150) / 25, atol=1.1e-3)
        alone = copied_beeps(part, tmp_path / "a.mp4")
        np.testing.assert_allclose(alone, [0.5, 1.5, 2.5], atol=0.03)  # some codecs are late
        found = copied_beeps(joined, tmp_path / "b.mp4")
        np.testing.assert_allclose(found, [*alone, *(alone + 3)], atol=4e-3)

    def test_short_parts_whose_sound_is_stored_first(self, tmp_path: Path) -> None:
        part = record(tmp_path / "a.mpg", SECOND[:20], codec="mpeg2video", sound="mp2")
        joined = join(tmp_path / "b.mpg", part, part, part)
        np.testing.assert_allclose(times_of(joined), np.arange(60) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "b.mp4")
        np.testing.assert_allclose(found, [0.5, 1.3, 2.1], atol=4e-3)

    @pytest.mark.parametrize("count", [1, 2, 7, 20])
    def test_short_parts(self, tmp_path: Path, count: int) -> None:
        """The clock goes back by less than a second, even by nothing at all."""
        part = record(tmp_path / "a.ts", SECOND[:count], options={"bf": "2"})
        joined = join(tmp_path / "b.ts", part, part, part)
        np.testing.assert_allclose(times_of(joined), np.arange(3 * count) / 25, atol=1e-4)
        if count == 20:
            found = copied_beeps(joined, tmp_path / "b.mp4")
            np.testing.assert_allclose(found, [0.5, 1.3, 2.1], atol=4e-3)

    @pytest.mark.parametrize("clocks", [(0, 3600), (3600, 0), (0, 30), (90_000, 0, 50)])
    def test_other_clocks(self, tmp_path: Path, clocks: tuple[int, ...]) -> None:
        """Forward as well as back; FFmpeg reads what is far back as a day ahead."""
        parts = [record(tmp_path / f"{clock}.ts", SECOND, clock=clock) for clock in clocks]
        joined = join(tmp_path / "b.ts", *parts)
        count = len(clocks)
        np.testing.assert_allclose(times_of(joined), np.arange(25 * count) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "b.mp4")
        np.testing.assert_allclose(found, np.arange(count) + 0.5, atol=4e-3)

    def test_segments_of_one_recorder(self, tmp_path: Path) -> None:
        """Their clock goes on; only the numbers of the format's own packets do not."""
        parts = [record(tmp_path / f"{n}.ts", SECOND, clock=n) for n in (5, 6, 7)]
        joined = join(tmp_path / "b.ts", *parts)
        np.testing.assert_allclose(times_of(joined), np.arange(75) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "b.mp4")
        np.testing.assert_allclose(found, [0.5, 1.5, 2.5], atol=4e-3)

    @pytest.mark.parametrize("sound_from", [-0.3, 0.3])
    def test_sound_keeps_its_place_beside_the_pictures(
        self, tmp_path: Path, sound_from: float
    ) -> None:
        first = record(tmp_path / "a.ts", SECOND, clock=1)
        second = record(tmp_path / "b.ts", SECOND, clock=1, sound_from=sound_from)
        joined = join(tmp_path / "c.ts", first, second, second)
        np.testing.assert_allclose(times_of(joined), np.arange(75) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "c.mp4")
        np.testing.assert_allclose(found, [0.5, 1.5, 2.5], atol=4e-3)

    def test_sound_beyond_the_pictures(self, tmp_path: Path) -> None:
        """The next recording's is heard with its pictures; the last one's goes on."""
        first = record(tmp_path / "a.ts", SECOND, sound_to=3)
        second = record(tmp_path / "b.ts", SECOND[:20], sound_to=2, clock=70)
        joined = join(tmp_path / "c.ts", first, second)
        np.testing.assert_allclose(times_of(joined), np.arange(45) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "c.mp4")
        np.testing.assert_allclose(found, [0.5, 1.5, 2.5, 3.5], atol=4e-3)

    def test_a_part_without_sound(self, tmp_path: Path) -> None:
        part = record(tmp_path / "a.ts", SECOND)
        silent = record(tmp_path / "s.ts", SECOND, sound=None)
        joined = join(tmp_path / "b.ts", part, silent, part)
        np.testing.assert_allclose(times_of(joined), np.arange(75) / 25, atol=1e-4)
        found = copied_beeps(joined, tmp_path / "b.mp4")
        np.testing.assert_allclose(found, [0.5, 2.5], atol=4e-3)

    @pytest.mark.parametrize("seamless", [False, True])
    def test_a_part_cut_off_in_a_picture_is_damaged(self, tmp_path: Path, seamless: bool) -> None:
        whole = self._real(tmp_path / "a.ts", 0)
        with av.open(str(whole)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size > 0]
        at = next(n for n, packet in enumerate(packets) if n > 20 and packet.size > 800)
        place = packets[at].pos
        assert place is not None
        second = self._real(tmp_path / "b.ts", at + 1 if seamless else 0)
        joined = tmp_path / "c.ts"
        joined.write_bytes(whole.read_bytes()[: place + 3 * 188] + second.read_bytes())
        with open_source(joined) as source:
            times = [frame.time for frame in source]
            assert source.problem is not None
            assert "is damaged near frame" in source.problem
        assert len(times) in (at + 120, at + 121)
        np.testing.assert_allclose(np.diff(times), 1001 / 30000, atol=1e-4)
        with open_source(join(tmp_path / "d.ts", whole, second)) as source:
            assert sum(1 for _ in source) == 240
            assert source.problem is None

    def test_a_part_that_begins_between_key_pictures_is_damaged(self, tmp_path: Path) -> None:
        whole = self._real(tmp_path / "a.ts", 0)
        with av.open(str(whole)) as container:
            place = [packet.pos for packet in container.demux(video=0) if packet.size > 0][1]
        assert place is not None
        joined = tmp_path / "b.ts"
        joined.write_bytes(whole.read_bytes() + whole.read_bytes()[place:])
        with open_source(joined) as source:
            times = [frame.time for frame in source]
            assert source.problem is not None
            assert "is damaged near frame" in source.problem
        assert len(times) == 239
        assert times[-1] == pytest.approx(238 * 1001 / 30000, abs=0.07)

    @staticmethod
    def _real(path: Path, late: int) -> Path:
        """Real pictures, which fill more than one of the format's own packets."""
        with av.open(str(carphone())) as source, av.open(str(path), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None and packet.pts is not None:
                    packet.stream = stream
                    shift = round(late * Fraction(1001, 30000) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    target.mux(packet)
        return path


class TestUnread:
    @pytest.mark.parametrize(("name", "read"), [("a.mkv", 2), ("a.mp4", 1), ("a.flv", 1)])
    def test_parts_that_ffmpeg_does_not_reach_are_told(
        self, tmp_path: Path, name: str, read: int
    ) -> None:
        part = record(tmp_path / name, SECOND)
        assert len(times_of(part)) == 25
        joined = join(tmp_path / f"b{part.suffix}", *[part] * (read + 1))
        with open_source(joined) as source:
            assert sum(1 for _ in source) == 25 * read
            assert source.problem == (
                f"b{part.suffix} goes on behind frame {25 * read} ({read - 0.04:.1f} s) with "
                "another recording that was appended and cannot be read: take them apart."
            )


class TestGapsStay:
    def test_between_pictures(self, tmp_path: Path) -> None:
        times = np.r_[SECOND, 5 + SECOND]
        for name in ("a.ts", "a.mkv"):
            path = record(tmp_path / name, times)
            np.testing.assert_allclose(times_of(path), times, atol=1.1e-3)

    def test_long_one_while_the_sound_goes_on(self, tmp_path: Path) -> None:
        times = np.r_[SECOND, 15 + SECOND]
        path = record(tmp_path / "a.ts", times)
        np.testing.assert_allclose(times_of(path), times, atol=1e-4)
        found = copied_beeps(path, tmp_path / "a.mp4")
        np.testing.assert_allclose(found, np.arange(16) + 0.5, atol=4e-3)

    def test_long_one_between_pictures_of_one_group(self, tmp_path: Path) -> None:
        times = np.r_[SECOND[:20], 100 + SECOND]  # key pictures are 0, 12, 24 ...
        for reordered in ("0", "3"):
            path = record(
                tmp_path / "a.ts", times, sound=None, options={"bf": reordered, "sc_threshold": "0"}
            )
            np.testing.assert_allclose(times_of(path), times, atol=1e-4)

    def test_long_one_where_the_clock_cannot_jump(self, tmp_path: Path) -> None:
        times = np.r_[SECOND, 100 + SECOND]
        for name in ("a.mkv", "a.mp4"):
            path = record(tmp_path / name, times, sound=None)
            np.testing.assert_allclose(times_of(path), times, atol=1.1e-3)

    def test_clock_that_overflows(self, tmp_path: Path) -> None:
        """33 bits at 90 kHz: 95443.7 s."""
        times = np.arange(75) / 25
        path = record(tmp_path / "a.ts", times, clock=95_441)
        np.testing.assert_allclose(times_of(path), times, atol=1e-4)
        found = copied_beeps(path, tmp_path / "a.mp4")
        np.testing.assert_allclose(found, [0.5, 1.5, 2.5], atol=4e-3)


class TestAVI:
    """It stores no times, only frames in decoding order, and empty ones for those left out."""

    @pytest.mark.parametrize(
        ("codec", "options"),
        [
            ("libx264", {"bf": "3"}),
            ("libx264", {"bf": "16", "b_strategy": "0"}),
            ("libx264", {"bf": "0"}),
            ("mpeg4", {"bf": "2"}),
            ("mpeg2video", {"bf": "2"}),
            ("mjpeg", {"strict": "-1"}),
        ],
    )
    def test_times_are_numbers_over_the_rate(
        self, tmp_path: Path, codec: str, options: dict[str, str]
    ) -> None:
        expected = np.arange(75) / 25
        path = record(tmp_path / "a.avi", expected, codec=codec, sound="pcm_s16le", options=options)
        np.testing.assert_allclose(times_of(path), expected, atol=1e-9)
        with open_source(path) as source:
            assert source.start == 0
        found = copied_beeps(path, tmp_path / "a.mp4")
        np.testing.assert_allclose(found, [0.5, 1.5, 2.5], atol=0.03)  # of AAC

    @pytest.mark.parametrize(
        ("codec", "options"),
        [("libx264", {"bf": "3"}), ("libx264", {"bf": "0"}), ("mpeg4", {"bf": "2"})],
    )
    def test_frames_left_out(self, tmp_path: Path, codec: str, options: dict[str, str]) -> None:
        expected = np.delete(np.arange(60), [10, 11, 12, 13, 14, 31]) / 25
        path = record(tmp_path / "a.avi", expected, codec=codec, sound=None, options=options)
        np.testing.assert_allclose(times_of(path), expected, atol=1e-9)

    def test_packed_b_frames(self, tmp_path: Path) -> None:
        with open_source(packed_avi(tmp_path / "a.avi")) as source:
            frames = list(source)
            assert source.problem is None
        np.testing.assert_allclose([frame.time for frame in frames], np.arange(21) / 25, atol=1e-9)
        shown = [frame_index(frame.image) for frame in frames]
        assert shown == [*range(20), 0]  # levels repeat after 20


class TestRaw:
    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("a.h264", "libx264"),
            ("a.hevc", "libx265"),
            ("a.m4v", "mpeg4"),
            ("a.m2v", "mpeg2video"),
            ("a.ivf", "libvpx"),
        ],
    )
    def test_rate_is_the_headers(self, tmp_path: Path, name: str, codec: str) -> None:
        path = encode_raw(tmp_path / name, codec)
        with open_source(path) as source:
            assert source.fps == 30
        np.testing.assert_allclose(times_of(path), np.arange(30) / 30, atol=4e-4)

    @pytest.mark.parametrize(
        ("name", "codec"), [("a.h264", "libx264"), ("a.m2v", "mpeg2video"), ("a.mjpeg", "mjpeg")]
    )
    def test_rate_that_is_given(self, tmp_path: Path, name: str, codec: str) -> None:
        path = encode_raw(tmp_path / name, codec)
        with open_source(path, Fraction(30000, 1001)) as source:
            assert source.fps == Fraction(30000, 1001)
        times = times_of(path, Fraction(30000, 1001))
        np.testing.assert_allclose(times, np.arange(30) * 1001 / 30000, atol=1e-6)

    def test_rate_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"the frame rate given is 0, expected more than 0\."):
            open_source(encode_raw(tmp_path / "a.h264", "libx264"), 0)

    def test_files_with_times_keep_them(self, tmp_path: Path) -> None:
        path = encode_raw(tmp_path / "a.ivf", "libvpx")
        np.testing.assert_allclose(times_of(path, 10), np.arange(30) / 30, atol=4e-4)


class Rational:
    """As PyAV 19's: not a Fraction, 0/0 where nothing is set."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator


def test_rationals_of_newer_releases() -> None:
    assert fraction(Rational(30000, 1001)) == Fraction(30000, 1001)  # type: ignore[arg-type]
    for unset in (Rational(0, 0), Rational(0, 1), Rational(1, 0), Fraction(0), None):
        assert fraction(unset) is None  # type: ignore[arg-type]
