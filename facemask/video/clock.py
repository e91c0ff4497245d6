"""One clock for the pictures and the sound of a file, also of one joined of several recordings."""

import mmap
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facemask.video.probing import fraction, frame_rate, stores_no_times

_JUMP: Final = 10  # seconds forward to a key picture that are a new clock; FFmpeg's own limit
_LONG_JUMP: Final = 3600  # to any picture
_MAY_JUMP: Final = 0x200  # FFmpeg's AVFMT_TS_DISCONT: MPEG-TS and MPEG-PS
_SIGNATURE: Final = 12  # bytes with which files of one format and writer begin
_ONE_CLOCK: Final = ("mov", "avi")  # formats with an index over all of the file


class _Recording(NamedTuple):
    """Begin of a recording: bytes of the last picture before it and of its first one, and time."""

    before: int
    at: int
    offset: Fraction  # seconds to add to its time stamps
    begins: Fraction  # time of its first picture, with the offset


class FileClock:
    """Puts the time stamps of all recordings that a file is joined of on the first one's clock.

    A recording's first picture comes when the last one before it ends; its sound keeps its place
    beside its pictures, and what it has before them or beyond them is left out at a seam. One
    begins where a key picture is earlier than pictures before it, which reordering never makes. In
    MPEG-TS and MPEG-PS, which store times of decoding, one begins also where these run backwards,
    or leap forward while no sound goes on: by more than 10 s to a key picture, or by an hour. All
    other gaps stay.

    Give it the packets in the order in which they are read.

    Args:
        container: The open file.
        stream: Its pictures.

    Attributes:
        may_join: Whether a file of this format may be several recordings.
        may_jump: Whether its clock may be set forward, too.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.may_join = not any(kind in container.format.name for kind in _ONE_CLOCK)
        self.may_jump = bool(int(container.format.flags) & _MAY_JUMP)
        self._read_whole = self.may_jump or stores_no_times(container, told=True)
        self._step = 1 / frame_rate(container, stream)
        self._tick = fraction(stream.time_base) or self._step
        self._recordings = [_Recording(-1, -1, Fraction(0), Fraction(0))]
        self._place = -1  # byte of the latest picture
        self._latest: Fraction | None = None  # of the pictures' times
        self._decoding: Fraction | None = None  # time of the latest picture in decoding order
        self._end = self._seen = Fraction(0)  # of the pictures; latest of pictures and sound
        self._sound_place, self._sound_in = -1, 0
        self._sound_time: Fraction | None = None

    @property
    def joined(self) -> bool:
        """Return whether another recording than the first has begun."""
        return len(self._recordings) > 1

    def picture(self, packet: "Packet[VideoStream]") -> bool:
        """Set a picture's time stamps and tell whether a whole recording may begin with it.

        That is a key picture, also one right where the last picture ends, as in segments of one
        recorder.
        """
        place = self._place if packet.pos is None else packet.pos
        begins = seamless = False
        if (time := _time(packet, self._tick)) is not None:
            decoding = time if packet.dts is None else packet.dts * self._tick
            begins = self._begins(time, decoding, key=packet.is_keyframe)
            seamless = abs(time - self._end) < self._step / 2
            if begins:
                until = self._recordings[-1].offset + self._end
                self._recordings.append(_Recording(self._place, place, until - time, until))
            if begins or self._latest is None:
                self._latest = self._end = time
                self._seen = decoding
            lasts = packet.duration * self._tick if packet.duration else self._step
            self._latest, self._decoding = max(self._latest, time), decoding
            self._end, self._seen = max(self._end, time + lasts), max(self._seen, decoding)
        self._place = place
        shift(packet, round(self._recordings[-1].offset / self._tick))
        return packet.is_keyframe and (begins or seamless)

    def _begins(self, time: Fraction, decoding: Fraction, *, key: bool) -> bool:
        if self._latest is None or self._decoding is None or not self.may_join:
            return False
        rounding = min(self._step / 2, Fraction(1, 2))
        if key and (time < self._latest - rounding or (self.may_jump and time == self._latest)):
            return True
        # these store times of decoding; elsewhere FFmpeg makes them up
        ahead = decoding - self._seen > (_JUMP if key else _LONG_JUMP)
        return self.may_jump and (ahead or decoding < self._decoding - rounding)

    def is_followed(self, path: Path) -> bool:
        """Tell whether another file begins behind the last picture that FFmpeg reads of this one.

        Of files that were appended to each other FFmpeg reads the first (MP4, FLV) or two (MKV).

        Args:
            path: The file.
        """
        if self._place <= 0 or self._read_whole:
            return False
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(data[:_SIGNATURE], self._place + 1) > 0

    def note_sound(self, packet: "Packet[Any]") -> None:
        """Take notice of sound that was read, so that a gap in the pictures alone stays one."""
        if packet.pts is not None:
            time = packet.pts * (fraction(packet.time_base) or Fraction(0))
            if self._seen < time <= self._seen + _JUMP:
                self._seen = time

    def is_past(self, packet: "Packet[Any]") -> bool:
        """Tell whether the pictures stored beside a packet of sound have been read."""
        return packet.pos is None or packet.pos < self._place

    def sound(self, packet: "Packet[Any]") -> bool:
        """Set the time stamps of a packet of sound, once the pictures beside it have been read.

        Returns:
            Whether it belongs to the file's sound, not before or beyond its recording's pictures.
        """
        tick = fraction(packet.time_base) or Fraction(1)
        time, before = _time(packet, tick), self._sound_time
        if packet.pos is not None:
            self._sound_place = packet.pos
        # then sound that is stored where a recording begins belongs to that one
        leaps = time is not None and before is not None and not before <= time < before + 1
        for recording in self._recordings[self._sound_in + 1 :]:
            here = leaps and recording.before < self._sound_place
            if not here and self._sound_place < recording.at:
                break
            self._sound_in += 1
            leaps = False
        self._sound_time = time
        recording, *later = self._recordings[self._sound_in :]
        shift(packet, round(recording.offset / tick))
        if time is None:
            return True
        early = self._sound_in > 0 and time + recording.offset < recording.begins
        return not early and not (later and time + recording.offset >= later[0].begins)


def _time(packet: "Packet[Any]", tick: Fraction) -> Fraction | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None else stamp * tick


def shift(packet: "Packet[Any]", ticks: int) -> None:
    """Make a packet later by some ticks of its clock."""
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
