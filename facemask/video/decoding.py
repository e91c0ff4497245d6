"""Video files, decoded with PyAV (FFmpeg)."""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from facemask.errors import InputError
from facemask.video.clock import FileClock, FrameClock, may_jump
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.probing import (
    assumed_matrix,
    colors_to_write,
    fraction,
    frame_rate,
    open_video,
    orientation_of,
    promised_seconds,
    stores_no_times,
)
from facemask.video.problems import Problems
from facemask.video.sound import usable_sound

_MOST_FAILED_READS: Final = 1000  # in a row, before what is left of a file is given up
_TOLERANCE: Final = 0.1  # seconds; headers round


class VideoFile(FrameSource):
    """A video file's frames: upright, 8-bit RGB, one size, with their own times.

    Threads decode ahead by a few frames. What is damaged is passed over; `problem` then says so.
    Frames whose size changes in the middle of the file are resized to the first one's.

    Args:
        path: The file.
        fps: Frames a second of a raw stream (`.h264`, `.hevc`, `.m4v`, `.mjpeg`, `.obu`), which
            stores no times, in place of what its header says. Files with times keep them.

    Attributes:
        numbered: After the last frame: up to where the numbers of frames are certain, if not to
            the end. Behind a place where frames are missing they are too low.

    Raises:
        InputError: The file is empty, cut off before its index, not a video, holds sound only, or
            no frame of it can be decoded; `fps` is not positive.
    """

    def __init__(self, path: Path, fps: Fraction | int | None = None) -> None:
        if fps is not None and fps <= 0:
            raise InputError(f"{path}: the frame rate given is {fps}, expected more than 0.")
        self.path, self.name = path, path.stem
        self.numbered: int | None = None
        self._decoder = decoder = Decoder(path)
        container, stream = decoder.container, decoder.stream
        context = stream.codec_context
        decoded = decoder.frames()
        first = next(decoded, None)
        if first is None:
            self.close()
            raise InputError(
                f"{path}: no frame of it can be decoded ({context.name}): it is damaged or cut off."
            )
        self._decoded = itertools.chain([first], decoded)
        self._reformatter = VideoReformatter()
        self._coded_size = self.width, self.height = first.width, first.height
        self.pixel_aspect = fraction(stream.sample_aspect_ratio) or Fraction(1)
        self._transposed, self._flip = orientation_of(first)
        if self._transposed:
            self.height, self.width = self._coded_size
            self.pixel_aspect = 1 / self.pixel_aspect
        self.colors = colors_to_write(first, context.color_primaries, context.color_trc)
        self._counted = stores_no_times(container, told=fps is not None)
        self.fps = Fraction(fps) if fps and self._counted else frame_rate(container, stream)
        self.has_audio = bool(usable_sound(container))
        self._time_base = fraction(stream.time_base) or 1 / self.fps
        self.start = float((decoder.start or 0) * self._time_base)
        self._promised = promised_seconds(container, stream, self.fps) or 0.0
        self.frame_count = stream.frames or round(self._promised * self.fps) or None

    def _frames(self) -> Iterator[VideoFrame]:
        for index, time, decoded in self._timed():
            yield VideoFrame(index, time, self._to_rgb(decoded))

    def select(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        """Yield only these frames, in place of all; the others are decoded but not converted.

        Frames are decoded in order from the first one, never sought: containers lie about seek
        points. Once the last one is out, the rest of the file is not read.

        Args:
            wanted: Numbers of frames, from 0, ascending.

        Raises:
            RuntimeError: The frames have been asked for before.
        """
        self._begin()
        numbers = iter(wanted)
        target = next(numbers, None)
        for index, time, decoded in self._timed() if target is not None else ():
            if index == target:
                yield self._turned(VideoFrame(index, time, self._to_rgb(decoded)))
                if (target := next(numbers, None)) is None:
                    return

    def count(self) -> int:
        """Return how many frames decode, found by decoding them all; `problem` is set then.

        Raises:
            RuntimeError: The frames have been asked for before.
        """
        self._begin()
        return sum(1 for _ in self._timed())

    def _timed(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """Yield number, time and stored picture of every frame; say then what was wrong."""
        clock = FrameClock(self._time_base, self.fps)
        decoder, problems = self._decoder, self._decoder.problems
        for index, decoded in enumerate(self._decoded):
            stamp = decoded.dts if decoder.in_order else decoded.pts
            time = clock.seconds(None if self._counted else stamp)
            self.hidden = decoder.hidden
            yield index, time, decoded
            problems.frames, problems.seconds = index + 1, time
        if not decoder.closed:
            self.hidden = decoder.hidden
            self.numbered = problems.first if decoder.lost > 0 else None
            self.last_duration = self._last_duration()
            missing = self._promised - decoder.read_until
            tolerance = _TOLERANCE + 2 / self.fps
            self.problem = problems.sentence(
                missing if missing > tolerance else 0.0, decoder.is_followed
            )

    def _last_duration(self) -> float | None:
        """Return seconds from the last frame's time to where its file ends, if that is told."""
        ends, latest = self._decoder.ends, self._decoder.latest
        if self._counted or self._decoder.lost > 0 or ends is None or latest is None:
            return None
        seconds = ends - float(latest * self._time_base)
        return seconds if seconds > 0 else None

    def _to_rgb(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        size = frame.width, frame.height
        if size != self._coded_size:
            self._decoder.problems.note_size(size, self._coded_size)
        # the frame's own matrix and range; what players assume, and limited, where it has none
        rgb = self._reformatter.reformat(
            frame,
            *self._coded_size,
            format="rgb24",
            src_colorspace=assumed_matrix(frame),
            # means nothing for RGB, but PyAV 16 heeds the frame's matrix only beside another one
            dst_colorspace=Colorspace.ITU601,
            src_color_range=frame.color_range,
        )
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        if self._transposed:
            image = np.asarray(cv2.transpose(image), dtype=np.uint8)
        if self._flip is not None:
            image = np.asarray(cv2.flip(image, self._flip), dtype=np.uint8)
        return image

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()


class Decoder:
    """Decodes everything that can be decoded of a file's pictures, in the order they are shown.

    Args:
        path: The file.

    Attributes:
        container: The open file.
        stream: Its pictures.
        problems: What is damaged.
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

    def __init__(self, path: Path) -> None:
        self.container, self.stream = open_video(path)
        self.problems = Problems(path.name)
        self.in_order = "avi" in self.container.format.name
        self.start: int | None = None
        self.latest: int | None = None
        self.read_until = 0.0
        self.hidden = self.lost = 0
        self.closed = False
        self._path = path
        self._clock = FileClock(self.container, self.stream)
        self._begun: int | None = None  # time of the earliest picture
        self._lasted = 0  # sum of their durations
        self._first: dict[int | None, int | None] = {}  # decoding times by stamp, up to a picture

    @property
    def ends(self) -> float | None:
        """Seconds of the file's clock at which its last picture ends; None where that is unknown.

        In MP4 and MOV packets last until the next one in the order of decoding.
        """
        if self.in_order:
            return None
        if "mov" in self.container.format.name and self._begun is not None:
            return float((self._begun + self._lasted) * (fraction(self.stream.time_base) or 0))
        return self.read_until

    @property
    def is_followed(self) -> bool:
        """After the last frame: whether another file is appended that FFmpeg does not read."""
        return self._clock.is_followed(self._path)

    def close(self) -> None:
        """Close the file; `frames` ends."""
        self.closed = True
        self.container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield all frames, once."""
        sent = received = 0
        packets = self._packets(self.container, self.stream, self._clock)
        for packet in itertools.chain(packets, [None]):
            if packet is not None:
                self._note(packet)
                sent += not packet.is_discard
            for frame in self._decode(self.stream, packet):
                received += 1
                yield frame
                if self.closed:
                    return
        self.lost = sent - received
        if self.lost > 0:
            # PyAV drops what the threads still hold behind a damaged packet
            for frame in self._decode_rest():
                self.lost -= 1
                yield frame

    def _decode_rest(self) -> Iterator[av.VideoFrame]:
        """Yield what comes after the latest frame, without threads, from a key frame before it."""
        latest = self.latest
        if latest is None:
            return
        container, stream = open_video(self._path)
        with container:
            stream.thread_type = "NONE"
            try:
                if not self._clock.joined:  # else its places are not those of its own clocks
                    container.seek(latest, stream=stream)
            except FFmpegError:
                return
            packets = self._packets(container, stream, FileClock(container, stream))
            for packet in itertools.chain(packets, [None]):
                for frame in self._decode(stream, packet):
                    if frame.pts is not None and frame.pts > latest:
                        yield frame
                        if self.closed:
                            return

    def _packets(
        self, container: InputContainer, stream: VideoStream, clock: FileClock
    ) -> "Iterator[Packet[VideoStream]]":
        """Yield the pictures' packets that can be read, without PyAV's empty ones for flushing."""
        streams = [stream, *(usable_sound(container)[:1] if may_jump(container) else [])]
        failed = 0
        while failed < _MOST_FAILED_READS:
            try:
                packets: Iterator[Packet[Any]] = container.demux(streams)
                for packet in packets:
                    failed = 0
                    if packet.stream.index != stream.index:
                        clock.note_sound(packet)
                        continue
                    anew = packet.size > 0 and clock.picture(packet)
                    self.problems.note_packet(packet.is_corrupt, anew, packet.size == 0)
                    if packet.size > 0:
                        yield packet
                return
            except FFmpegError:
                failed += 1
                self.problems.note_damage()
            except IndexError:  # PyAV, at the end, over streams that appeared in the middle
                return

    def _decode(
        self, stream: VideoStream, packet: "Packet[VideoStream] | None"
    ) -> list[av.VideoFrame]:
        try:
            frames = stream.decode(packet)
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
                self._begun = packet.pts if self._begun is None else min(self._begun, packet.pts)
                self._lasted += lasts
