"""Frames, their sources (whether file, folder or camera), and pixels that are not square."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.video.probing import Colors

Source = TypeVar("Source", bound="FrameSource")

_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_SQUARE_ENOUGH: Final = 0.01  # headers round; a face 1 % too wide is still one
_LARGEST_ASPECT: Final = 4  # beyond, in either direction, a header is taken to be wrong


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame of a source.

    Attributes:
        index: Number of the frame, from 0.
        time: Seconds from the first frame; every frame's is larger than the one before.
        image: uint8 (H, W, 3) RGB, upright.
        picture: Name of the file that it was read from, of a source of pictures.
        label: Name of the file or entry made from it, unlike any other frame's; None to number it.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]
    picture: str | None = None
    label: str | None = None


class FrameSource(ABC):
    """Base of sources of frames, in order and one in memory at a time; iterable once.

    A context manager that closes the source.

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
        hidden: Number of frames so far that the source holds and that players do not show.
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
    hidden: int = 0
    last_duration: float | None = None
    problem: str | None = None
    _started: bool = False
    _rotation: int = 0

    def __iter__(self) -> Iterator[VideoFrame]:
        """Return the frames, once.

        Raises:
            RuntimeError: The frames have been asked for before.
        """
        self._begin()
        return map(self._turned, self._frames())

    @property
    def white(self) -> int:
        """Value of its RGB that stands for white, up to 255."""
        return 255 if self.colors is None else self.colors.white

    def turn(self, degrees: int) -> None:
        """Turn every frame clockwise: meant for video that lies on its side and does not say so.

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

    @abstractmethod
    def _frames(self) -> Iterator[VideoFrame]:
        """Yield the frames; end early, and quietly, once the source is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file or the camera. May be called twice."""

    def __enter__(self: Source) -> Source:
        """Return the source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the source."""
        self.close()


@dataclass(frozen=True)
class SquarePixels:
    """Conversion between a frame as it is stored and the same with square pixels.

    The latter is the frame enlarged in one direction, so that nothing is lost. A point's edge
    coordinates (0 is the frame's left or upper edge) are multiplied by `x` and `y`.

    Attributes:
        height: Height with square pixels.
        width: Width with square pixels.
        x: That width over the stored one, from 1 on.
        y: That height over the stored one, from 1 on.

    Examples:
        >>> SquarePixels.of(576, 720, Fraction(16, 15))
        SquarePixels(height=576, width=768, x=1.0666666666666667, y=1.0)
    """

    height: int
    width: int
    x: float
    y: float

    @classmethod
    def of(cls, height: int, width: int, pixel_aspect: Fraction | float) -> "SquarePixels":
        """Return the conversion for frames of one size.

        Args:
            height: Stored height in pixels.
            width: Stored width in pixels.
            pixel_aspect: Width of a pixel over its height. Within 1 % of 1, and below 1/4 or above
                4, where a header is wrong, nothing is changed.
        """
        aspect = float(pixel_aspect)
        wrong = not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT
        if abs(aspect - 1) < _SQUARE_ENOUGH or wrong:
            return cls(height, width, 1.0, 1.0)
        new_width, new_height = round(width * max(aspect, 1)), round(height / min(aspect, 1))
        return cls(new_height, new_width, new_width / width, new_height / height)

    @property
    def changes(self) -> bool:
        """Return whether pixels are not square."""
        return (self.x, self.y) != (1, 1)

    @property
    def pixel_aspect(self) -> float:
        """Width of a stored pixel over its height."""
        return self.x / self.y

    def image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a stored picture (H, W, C) with square pixels; itself where they are."""
        if not self.changes:
            return image
        return np.asarray(cv2.resize(image, (self.width, self.height)), dtype=np.uint8)

    def points(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return points (N, 2), x, y in stored pixels from 0 (a pixel's centre), in square ones."""
        return (points + 0.5) * (self.x, self.y) - 0.5 if self.changes else points

    def stored_points(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return points (N, 2) of the square picture in stored pixels: the reverse of `points`."""
        return (points + 0.5) / (self.x, self.y) - 0.5 if self.changes else points

    def stored_plane(
        self,
        plane: npt.NDArray[Any],
        corner: tuple[int, int],
        box: tuple[int, int, int, int],
        interpolation: int,
    ) -> npt.NDArray[Any]:
        """Return what was found in a box of the square picture, in a box of the stored one.

        Args:
            plane: (h, w), uint8 or float32.
            corner: Left and upper edge of its box.
            box: Left, top, right and bottom edge of the box to fill.
            interpolation: One of OpenCV's.

        Returns:
            (bottom - top, right - left).
        """
        left, top, right, bottom = box
        matrix = np.array(
            [
                [self.x, 0, (left + 0.5) * self.x - 0.5 - corner[0]],
                [0, self.y, (top + 0.5) * self.y - 0.5 - corner[1]],
            ]
        )
        return cv2.warpAffine(
            plane,
            matrix,
            (right - left, bottom - top),
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
