"""Everything that can be decoded of a file's pictures, and what was missing or damaged."""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from facemask.video.clock import FileClock
from facemask.video.probing import fraction, open_video
from facemask.video.sound import usable_sound

_MOST_FAILED_READS: Final = 1000  # in a row, before what is left of a file is given up
_LONGEST_GROUP: Final = 300  # pictures that are decoded again where one of them seems broken
_PACKETS_AROUND: Final = 2  # FFmpeg's word of loss comes as many before a recording begins
# threads decode ahead, and frames come out later than their packets: so far off may a place be
_FRAMES_AHEAD: Final = 32


@dataclass
class Problems:
    """Collects what goes wrong while a file is decoded.

    Attributes:
        name: The file's name.
        frames: Number of frames delivered so far.
        seconds: Time of the latest of them.
        places: Numbers of frames before each damage, or fewer, and when that was.

    Examples:
        >>> problems = Problems("a.mp4", frames=400, seconds=16.0)
        >>> problems.note_damage()
        >>> problems.frames, problems.seconds = 812, 32.4
        >>> problems.sentence()
        'a.mp4 is damaged near frame 400 (16.0 s): frames there are missing or distorted.'
        >>> Problems("a.mp4", frames=812, seconds=32.4).sentence(missing=5.0)
        'a.mp4 is damaged after frame 812 (32.4 s): it ends 5.0 s before its header says.'
    """

    name: str
    frames: int = 0
    seconds: float = 0.0
    places: dict[int, float] = field(default_factory=dict)
    _resized: str | None = None
    _suspected: int = 0  # packets since one that seems damaged
    _seam: float = -math.inf  # frame at which that was told last

    def note_damage(self, *, seam: bool = False) -> None:
        """Note damage about here; at a seam, threads may tell it, too, a few frames off."""
        told = max(self.places, default=-math.inf) if seam else self._seam
        if self.frames > told + _FRAMES_AHEAD:
            self.places.setdefault(self.frames, self.seconds)
            self._seam = self.frames if seam else self._seam

    def note_packet(self, packet: "Packet[Any]", begins: bool) -> bool:
        """Note a packet that seems damaged, unless a recording begins up to two packets later.

        There the numbers of a file's packets do not go on, which FFmpeg takes for loss; whether
        the pictures are damaged is for the decoder to say.

        Args:
            packet: The next packet; an empty one stands for the end of the file.
            begins: Whether another recording may begin with it.

        Returns:
            Whether the decoder is to be asked about the pictures before this one.
        """
        if begins:
            suspected, self._suspected = self._suspected, 0
            return suspected > 0
        if self._suspected == _PACKETS_AROUND or (packet.size == 0 and self._suspected):
            self._suspected = 0
            self.note_damage()
        elif self._suspected or packet.is_corrupt:
            self._suspected += 1
        return False

    def note_size(self, size: tuple[int, int], first: tuple[int, int]) -> None:
        """Note that the next frame's width and height are not the first one's."""
        self._resized = self._resized or (
            f"changes from {first[0]}x{first[1]} to {size[0]}x{size[1]} pixels after frame "
            f"{self.frames}: the frames from there on were resized to the first one's size"
        )

    def sentence(self, missing: float = 0.0, followed: bool = False) -> str | None:
        """Return a sentence about all of it, after the last frame; None if all was well.

        Args:
            missing: Seconds by which the file ended too early.
            followed: Whether another recording is appended, which cannot be read.
        """
        parts = [] if self._resized is None else [self._resized]
        # what is damaged close to the end of a file that was cut off is the cut itself
        latest = self.frames - _FRAMES_AHEAD if missing else self.frames
        places = [(frame, s) for frame, s in self.places.items() if frame <= latest]
        if places:
            more = f" and in {len(places) - 1} more places" if len(places) > 1 else ""
            parts.append(
                f"is damaged near frame {places[0][0]} ({places[0][1]:.1f} s){more}: frames there "
                "are missing or distorted"
            )
        if missing:
            parts.append(
                f"is damaged after frame {self.frames} ({self.seconds:.1f} s): it ends "
                f"{missing:.1f} s before its header says"
            )
        if followed:
            parts.append(
                f"goes on behind frame {self.frames} ({self.seconds:.1f} s) with another recording "
                "that was appended and cannot be read: take them apart"
            )
        return f"{self.name} {'; it '.join(parts)}." if parts else None


class Decoder:
    """Decodes everything that can be decoded of a file's pictures, in the order they are shown.

    Args:
        path: The file.
        problems: Where to note what is damaged.
        threads: Whether to decode several pictures at a time.

    Attributes:
        container: The open file.
        stream: Its pictures.
        clock: Clock of their times.
        in_order: Whether pictures have no times but their places in the order of decoding: AVI
            stores that alone, from which FFmpeg makes up wrong stamps for H.264. What went in when
            a picture came out is as late for each of them.
        start: Time of the first picture, in ticks of the stream's.
        latest: Latest time of a picture so far, likewise.
        read_until: Seconds up to which packets have been read.
        hidden: Number of pictures so far that the file holds and its edit list hides.
        lost: Number of its pictures that gave none, known at the end.
        closed: Whether `close` has been called.
    """

    def __init__(self, path: Path, problems: Problems, *, threads: bool = True) -> None:
        self.container, self.stream = open_video(path)
        if not threads:
            self.stream.thread_type = "NONE"
        self.problems = problems
        self.in_order = "avi" in self.container.format.name
        self.start: int | None = None
        self.latest: int | None = None
        self.read_until = 0.0
        self.hidden = self.lost = 0
        self.closed = False
        self._path, self._threads = path, threads
        self.clock = FileClock(self.container, self.stream)
        self._begun = math.inf  # time of the earliest picture
        self._lasted = 0  # sum of their durations
        self._first: dict[int | None, int | None] = {}  # decoding times by stamp, up to a picture

    @property
    def ends(self) -> float | None:
        """Seconds of the file's clock at which its last picture ends; None where that is unknown.

        In MP4 and MOV packets last until the next one in the order of decoding.
        """
        if self.in_order:
            return None
        if "mov" in self.container.format.name and self._begun < math.inf:
            return float((self._begun + self._lasted) * (fraction(self.stream.time_base) or 0))
        return self.read_until

    def close(self) -> None:
        """Close the file; `frames` ends."""
        self.closed = True
        self.container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield all frames, once."""
        sent = received = 0
        for packet in itertools.chain(self._packets(), [None]):
            if packet is not None:
                self._note(packet)
                sent += not packet.is_discard
            for frame in self._decode(packet):
                received += 1
                yield frame
                if self.closed:
                    return
        self.lost = sent - received
        if self.lost > 0 and self._threads:
            # PyAV drops what the threads still hold behind a damaged packet
            for frame in self._rest():
                self.lost -= 1
                yield frame
                if self.closed:
                    return

    def _rest(self) -> Iterator[av.VideoFrame]:
        """Yield what comes after the latest frame, without threads, from a key frame before it."""
        latest = self.latest
        if latest is None:
            return
        again = Decoder(self._path, self.problems, threads=False)
        with closing(again), suppress(FFmpegError):  # where it cannot be sought
            if not self.clock.joined:  # else its places are not those of its own clocks
                again.container.seek(latest, stream=again.stream)
            for frame in again.frames():
                if frame.pts is not None and frame.pts > latest:
                    self.latest = again.latest
                    yield frame

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Yield the pictures' packets that can be read, without PyAV's empty ones for flushing."""
        sound = usable_sound(self.container)[:1] if self.clock.may_jump else []
        group: deque[Packet[VideoStream]] = deque(maxlen=_LONGEST_GROUP)  # from a key picture on
        failed = 0
        while failed < _MOST_FAILED_READS:
            try:
                packets: Iterator[Packet[Any]] = self.container.demux([self.stream, *sound])
                for packet in packets:
                    failed = 0
                    if packet.stream.index != self.stream.index:
                        self.clock.note_sound(packet)
                        continue
                    anew = packet.size > 0 and self.clock.picture(packet)
                    if self.problems.note_packet(packet, anew):
                        self._examine(list(group))
                    if packet.is_keyframe:
                        group.clear()
                    if self.clock.may_jump:  # FFmpeg tells of loss in such formats alone
                        group.append(packet)
                    if packet.size > 0:
                        yield packet
                return
            except FFmpegError:
                failed += 1
                self.problems.note_damage()
            except IndexError:  # PyAV, at the end, over streams that appeared in the middle
                return

    def _examine(self, group: "list[Packet[VideoStream]]") -> None:
        """Decode the pictures before a seam again: threads do not always flag a broken one."""
        if not group or not group[0].is_keyframe or group[0].pts is None:
            return
        context = av.CodecContext.create(self.stream.codec_context.name, "r")
        assert isinstance(context, VideoCodecContext)
        context.extradata, context.thread_type = self.stream.codec_context.extradata, "NONE"
        suspected = len(group) - _PACKETS_AROUND - 1
        broken = False
        try:
            for number, packet in enumerate([*group, None]):
                # of those before, only what the suspected ones are predicted from
                context.skip_frame = "NONREF" if number < suspected else "DEFAULT"
                for frame in context.decode(packet):
                    broken |= frame.is_corrupt and (frame.pts or 0) >= group[0].pts
        except FFmpegError:
            broken = True
        if broken:
            self.problems.note_damage(seam=True)

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[av.VideoFrame]:
        try:
            frames = self.stream.decode(packet)
        except FFmpegError:
            self.problems.note_damage()
            return []
        for frame in frames:
            if frame.is_corrupt:
                self.problems.note_damage()
            if self.latest is None:
                self.start = self._first.get(frame.pts) if self.in_order else frame.pts
            if frame.pts is not None:
                self.latest = max(frame.pts, self.latest or frame.pts)
        return frames

    def _note(self, packet: "Packet[VideoStream]") -> None:
        """Note the times of a packet that is about to be decoded."""
        self.hidden += packet.is_discard
        if self.in_order and self.latest is None:
            self._first[packet.pts] = packet.dts
        if packet.pts is not None:
            lasts = packet.duration or 0
            end = (packet.pts + lasts) * (fraction(packet.time_base) or 0)
            self.read_until = max(self.read_until, float(end))
            if not packet.is_discard:
                self._begun = min(self._begun, packet.pts)
                self._lasted += lasts
