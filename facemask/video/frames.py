"""What every source of frames offers, whether file, folder or camera."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.video.colors import Colors

Source = TypeVar("Source", bound="FrameSource")

_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame.

    Attributes:
        index: Number of the frame, from 0.
        time: Seconds from the first frame; every frame's is larger than the one before.
        image: uint8 (H, W, 3) RGB, upright.
        picture: Name of the file that it was read from, of a source of pictures.
        label: What a file or an entry made from it is called, unlike any other frame's; None to
            number it.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]
    picture: str | None = None
    label: str | None = None


class FrameSource(ABC):
    """Frames in order, one in memory at a time. A context manager, iterable once.

    Attributes:
        name: For output files: the file's stem, the folder's name or `camera0`.
        path: The file or folder; None for a camera.
        fps: Average frame rate.
        height: Height of every frame, upright, in pixels.
        width: Width of every frame.
        frame_count: About how many frames there are; None where that is unknown.
        has_audio: Whether there is sound to keep.
        has_pictures: Whether frames are files with names of their own.
        colors: What the numbers of its RGB stand for; None where nothing is known.
        pixel_aspect: Width of a pixel over its height, 1 for nearly all videos.
        start: Seconds from the zero of the file's clock to the first frame; its sound uses the
            same clock.
        last_duration: After the last frame: seconds for which it is shown; None where that is
            unknown, and `1 / fps` is taken.
        problem: After the last frame: one sentence when something was missing or damaged.
    """

    name: str
    path: Path | None
    fps: Fraction
    height: int
    width: int
    frame_count: int | None
    has_audio: bool = False
    has_pictures: bool = False
    colors: Colors | None = None
    pixel_aspect: Fraction = Fraction(1)
    start: float = 0.0
    last_duration: float | None = None
    problem: str | None = None
    _started: bool = False
    _rotation: int = 0

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames, once.

        Raises:
            RuntimeError: The frames have been asked for before.
        """
        self._begin()
        return map(self._turned, self._frames())

    def turn(self, degrees: int) -> None:
        """Turn every frame clockwise: for video that lies on its side and does not say so.

        Size and pixel aspect change accordingly. Call it before the first frame is read.

        Args:
            degrees: 0, 90, 180 or 270.

        Raises:
            InputError: It is another number.
        """
        if degrees not in (0, *_TURNS):
            raise InputError(f"rotate is {degrees}, expected 0, 90, 180 or 270 degrees clockwise.")
        self._rotation = (self._rotation + degrees) % 360
        if degrees % 180 == 90:
            self.height, self.width = self.width, self.height
            self.pixel_aspect = 1 / self.pixel_aspect

    def _turned(self, frame: VideoFrame) -> VideoFrame:
        if self._rotation == 0:
            return frame
        image = cv2.rotate(frame.image, _TURNS[self._rotation])
        return replace(frame, image=np.asarray(image, dtype=np.uint8))

    def _begin(self) -> None:
        if self._started:
            raise RuntimeError(f"{self.name}: its frames can be read once; open it again.")
        self._started = True

    @property
    def hidden(self) -> int:
        """Number of frames so far that the source holds and that players do not show."""
        return 0

    @abstractmethod
    def _frames(self) -> Iterator[VideoFrame]:
        """The frames; ends early, and quietly, once the source is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or the camera. May be called twice."""

    def __enter__(self: Source) -> Source:
        """The source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
