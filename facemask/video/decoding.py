"""Frames of video files, decoded with PyAV (FFmpeg)."""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, VideoReformatter

from facemask.errors import InputError
from facemask.video import probing
from facemask.video.decoder import Decoder, Problems
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.sound import usable_sound

_SHORTEST_STEP: Final = 0.001  # seconds between frames whose times are equal or run backwards
_LARGEST_STEP_BACK: Final = 1.0  # seconds between frames; more is a clock that was set anew
_TOLERANCE: Final = 0.1  # seconds; headers round


class VideoFile(FrameSource):
    """Frames of a video file: upright, 8-bit RGB, one size, with their own times.

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

    def __init__(self, path: str | Path, fps: Fraction | int | None = None) -> None:
        if fps is not None and fps <= 0:
            raise InputError(f"{path}: the frame rate given is {fps}, expected more than 0.")
        path = Path(path)
        self.path: Path = path
        self.name = path.stem
        self.numbered: int | None = None
        self._decoder = decoder = Decoder(path, Problems(path.name))
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
        self.pixel_aspect = probing.fraction(stream.sample_aspect_ratio) or Fraction(1)
        self._transposed, self._flip = probing.orientation_of(first)
        if self._transposed:
            self.height, self.width = self._coded_size
            self.pixel_aspect = 1 / self.pixel_aspect
        self.colors = probing.colors_to_write(first, context.color_primaries, context.color_trc)
        self._counted = probing.stores_no_times(container, told=fps is not None)
        self.fps = Fraction(fps) if fps and self._counted else probing.frame_rate(container, stream)
        self.has_audio = bool(usable_sound(container))
        self._time_base = probing.fraction(stream.time_base) or 1 / self.fps
        self.start = float((decoder.start or 0) * self._time_base)
        self._promised = probing.promised_seconds(container, stream, self.fps) or 0.0
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
            self.numbered = min(problems.places, default=None) if decoder.lost > 0 else None
            self.last_duration = self._last_duration()
            missing = self._promised - decoder.read_until
            tolerance = _TOLERANCE + 2 / self.fps
            self.problem = problems.sentence(
                missing if missing > tolerance else 0.0, decoder.clock.is_followed(self.path)
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
            src_colorspace=probing.assumed_matrix(frame),
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


class FrameClock:
    """Turns time stamps into seconds from the first frame that grow whatever the file says."""

    def __init__(self, time_base: Fraction, fps: Fraction) -> None:
        self._time_base, self._fps = time_base, fps
        self._zero = 0.0  # time of the file that is second 0
        self._latest: float | None = None
        self._unknown = 0  # number of frames since the latest with a time stamp
        self._known = 0.0  # its time

    def seconds(self, pts: int | None) -> float:
        """Return the time of the next frame, which has this time stamp."""
        if self._latest is None:
            self._zero = float((pts or 0) * self._time_base)
            self._latest = 0.0
            return 0.0
        if pts is None:
            self._unknown += 1
            time = self._known + float(self._unknown / self._fps)
        else:
            time = float(pts * self._time_base) - self._zero
        if time < self._latest - _LARGEST_STEP_BACK:
            next_one = self._latest + float(1 / self._fps)
            self._zero += time - next_one
            time = next_one
        self._latest = max(time, self._latest + _SHORTEST_STEP)
        if pts is not None:
            self._unknown, self._known = 0, self._latest
        return self._latest
