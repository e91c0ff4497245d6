"""Files that encoded pictures and sound are written to: one video, or several joined into one."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.packet import Packet
from av.video.stream import VideoStream

from facemask.files import remove, temporary_name
from facemask.video.clock import shift
from facemask.video.frames import FrameSource
from facemask.video.probing import fraction, url_of
from facemask.video.sound import Sound

FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LEAST_TICKS: Final = 30_000  # a second; 0.03 ms
_MOST_TICKS: Final = 65_535  # what MPEG-4 part 2 can say
_SOUND_AHEAD: Final = 0.5  # seconds

_HEADER: Final = 1 << 16  # bytes of a Matroska file; the tracks are described at the start
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_PIXEL_WIDTH, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0xB0, 0x54B0, 0x54BA, 0x54B2
_CHECKSUM: Final = b"\xbf\x84"  # id and length
_VOID, _MOST_ADDITIONS = 0xEC, 0x55EE


class Muxer:
    """Writes one stream of encoded pictures and, where asked for, a source's sound into a file.

    A video says when each picture begins; when the last one ends is told by its packet's duration,
    and in MP4 by that of the packet written last, which with B-frames is another one. Packets from
    the latest picture on are therefore held back until it is known for how long it is shown.

    Add the stream of pictures to `output` first, then the sound.

    Args:
        path: File to write.
        suffix: The suffix that it gets in the end, a key of `FORMATS`.
        source: Where the frames come from: gives frame rate, pixel aspect, sound and how long the
            last picture is shown.

    Attributes:
        output: The open file.
        rate: Frames a second.
        tick: Seconds in which times are counted.
        delay: Seconds by which the pictures must be late, because the sound starts before them.
    """

    def __init__(self, path: Path, suffix: str, source: FrameSource) -> None:
        self._path, self._source = path, source
        self.rate = source.fps.limit_denominator(1001) or Fraction(25)
        self.tick = 1 / ticks_a_second(self.rate)
        self.delay = 0.0
        self._is_matroska = suffix == ".mkv"
        # browsers want MP4's index at the start; the gap before a part's first picture is stored
        # in units of the whole file, which are milliseconds unless they are made finer
        options = {"movflags": "+faststart", "movie_timescale": str(round(1 / self.tick))}
        self.output = av.open(
            url_of(path), "w", format=FORMATS[suffix], options={} if self._is_matroska else options
        )
        self._sound: Sound | None = None
        self._held: list[Packet[VideoStream]] = []  # that of the latest picture, and those after it
        self._first: tuple[int, int] | None = None  # first times of showing and of decoding

    def add_sound(self) -> None:
        """Let the source's sound come along."""
        assert self._source.path is not None
        self._sound = Sound(self._source.path, self.output, self._source.start)
        self.delay = self._sound.delay

    def write(self, packet: "Packet[VideoStream]") -> None:
        """Write a picture's packet, with time stamps, in the order of decoding."""
        assert packet.pts is not None
        assert packet.dts is not None
        self._first = self._first or (packet.pts, packet.dts)
        if self._held and packet.pts > (self._held[0].pts or 0):
            self._write_held()
        self._held.append(packet)

    def write_sound(self, seconds: float) -> None:
        """Write the sound that belongs to pictures up to a time of the file, and a little more."""
        if self._sound is not None:
            self._sound.write_until(seconds + _SOUND_AHEAD)

    def finish(self) -> None:
        """Write the rest, and complete the file."""
        seconds = self._source.last_duration
        if self._held and self._first is not None and seconds is not None:
            latest, final = self._held[0], self._held[-1]
            ticks = max(1, round(seconds / (fraction(latest.time_base) or self.tick)))
            shown = (latest.pts or 0) + ticks - self._first[0]
            final.duration = max(1, shown - ((final.dts or 0) - self._first[1]))
            latest.duration = ticks
        self._write_held()
        if self._sound is not None:
            self._sound.finish()
        self.close()
        if self._is_matroska and self._source.pixel_aspect != 1:
            write_pixel_aspect(self._path, self._source.pixel_aspect)

    def _write_held(self) -> None:
        for packet in self._held:
            self.output.mux(packet)
        self._held = []

    def close(self) -> None:
        """Close the file, whatever may be missing. May be called twice."""
        if self._sound is not None:
            self._sound.close()
        self.output.close()


def ticks_a_second(rate: Fraction) -> Fraction:
    """Return ticks of a clock on which frames of a constant rate fall exactly, if there is one.

    Examples:
        >>> ticks_a_second(Fraction(25)), ticks_a_second(Fraction(24000, 1001))
        (Fraction(30000, 1), Fraction(48000, 1))
        >>> ticks_a_second(Fraction(65537, 1001))  # too fine
        Fraction(60000, 1)
    """
    ticks = rate.numerator * -(-_LEAST_TICKS // rate.numerator)
    return Fraction(ticks if ticks <= _MOST_TICKS else 60_000)


def join_videos(parts: Sequence[Path], path: Path, source: FrameSource, *, audio: bool) -> None:
    """Write the parts' packets into one file, without encoding anew, under its name when complete.

    Args:
        parts: Videos of one writer and one size, in order; each frame has the time that it has in
            the whole.
        path: File to write; its suffix is that of the parts.
        source: Where the frames come from: gives the sound.
        audio: Keep the sound.

    Raises:
        OSError: A part cannot be read, or the file cannot be written.
    """
    temporary = temporary_name(path)
    stream: VideoStream | None = None
    try:
        with closing(Muxer(temporary, path.suffix, source)) as muxer:
            for part in parts:
                with av.open(url_of(part)) as container:
                    video = container.streams.video[0]
                    if stream is None:
                        stream = muxer.output.add_stream_from_template(video)
                        if audio and source.has_audio:
                            muxer.add_sound()
                    tick = fraction(video.time_base) or muxer.tick
                    for packet in container.demux(video):
                        if packet.pts is None or packet.dts is None:  # the end
                            continue
                        shift(packet, round(muxer.delay / tick))
                        seconds = float(packet.pts * tick)
                        packet.stream = stream
                        muxer.write(packet)
                        muxer.write_sound(seconds)
            muxer.finish()
        temporary.replace(path)
    finally:
        remove(temporary)


def write_pixel_aspect(path: Path, aspect: Fraction) -> None:
    """Let a Matroska file's header say how wide its pictures are shown.

    FFmpeg's muxer leaves that out for streams made by PyAV. The element takes the place of others
    that say nothing; where there is no such place, the file stays as it is.

    Args:
        path: A file written by FFmpeg.
        aspect: Width of a pixel over its height.
    """
    with path.open("r+b") as file:
        data = file.read(_HEADER)
        place = tracks = 0, len(data)
        for wanted in (_SEGMENT, _TRACKS, _TRACK):
            found = [(s, e) for kind, _, s, e in _elements(data, *place) if kind == wanted]
            if not found:
                return
            place = found[0]
            tracks = place if wanted == _TRACKS else tracks
        children = list(_elements(data, *place))
        at = next((n for n, child in enumerate(children) if child[0] == _VIDEO), None)
        if at is None:
            return
        _, begin, start, end = children[at]
        kept, width = b"", 0
        for kind, first, inner, last in _elements(data, start, end):
            if kind == _PIXEL_WIDTH:
                width = int.from_bytes(data[inner:last], "big")
            if kind not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT):
                kept += data[first:last]
        shown = min(max(round(width * aspect), 1), 0xFFFF)
        kept += _DISPLAY_WIDTH.to_bytes(2, "big") + b"\x82" + shown.to_bytes(2, "big")
        video = bytes([_VIDEO, 0x80 | len(kept)]) + kept
        for kind, _, inner, last in children[at + 1 :]:
            if kind != _VOID and (kind != _MOST_ADDITIONS or any(data[inner:last])):
                break
            end = last
        spare = end - begin - len(video)
        if width == 0 or len(kept) > 126 or spare < 0 or spare == 1 or spare > 128:
            return
        void = bytes([_VOID, 0x80 | (spare - 2)]).ljust(spare, b"\0") if spare else b""
        content = data[tracks[0] : begin] + video + void + data[end : tracks[1]]
        if content.startswith(_CHECKSUM):  # which comes first: a CRC-32 of all after it
            rest = content[len(_CHECKSUM) + 4 :]
            content = _CHECKSUM + zlib.crc32(rest).to_bytes(4, "little") + rest
        file.seek(tracks[0])
        file.write(content)


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield id, first byte, first and last byte of the content of each EBML element."""
    while start < end:
        first = start
        kind, start = _number(data, start, keep_mark=True)
        size, start = _number(data, start, keep_mark=False)
        last = min(start + size, end)
        yield kind, first, start, last
        start = last


def _number(data: bytes, start: int, *, keep_mark: bool) -> tuple[int, int]:
    """Return an EBML number of variable length, and where it ends."""
    if start >= len(data) or data[start] == 0:
        return 0, len(data)
    length = 9 - data[start].bit_length()
    value = int.from_bytes(data[start : start + length], "big")
    return (value if keep_mark else value & ((1 << 7 * length) - 1)), start + length
