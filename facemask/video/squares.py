"""Videos whose pixels are not square: frames made square to look at, and results put back."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

_SQUARE_ENOUGH: Final = 0.01
"""Headers round; a face 1 % too wide is still one."""
_MOST: Final = 4
"""Beyond, in either direction, a header is taken to be wrong."""


@dataclass(frozen=True)
class SquarePixels:
    """Between a frame as it is stored and the same with square pixels.

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
        """For frames of this stored size.

        Args:
            height: Height in pixels.
            width: Width in pixels.
            pixel_aspect: Width of a pixel over its height. Within 1 % of 1, and below 1/4 or above
                4, where a header is wrong, nothing is changed.
        """
        aspect = float(pixel_aspect)
        if abs(aspect - 1) < _SQUARE_ENOUGH or not 1 / _MOST <= aspect <= _MOST:
            return cls(height, width, 1.0, 1.0)
        new_width, new_height = round(width * max(aspect, 1)), round(height / min(aspect, 1))
        return cls(new_height, new_width, new_width / width, new_height / height)

    @property
    def changes(self) -> bool:
        """Whether pixels are not square."""
        return (self.x, self.y) != (1, 1)

    @property
    def pixel_aspect(self) -> float:
        """Width of a stored pixel over its height."""
        return self.x / self.y

    def image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A stored picture (H, W, C) with square pixels; itself where they are."""
        if not self.changes:
            return image
        return np.asarray(cv2.resize(image, (self.width, self.height)), dtype=np.uint8)

    def points(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points (N, 2), x, y in stored pixels from 0 (a pixel's centre), in square ones."""
        return (points + 0.5) * (self.x, self.y) - 0.5 if self.changes else points

    def stored_points(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The reverse of `points`."""
        return (points + 0.5) / (self.x, self.y) - 0.5 if self.changes else points

    def stored_plane(
        self,
        plane: npt.NDArray[Any],
        corner: tuple[int, int],
        box: tuple[int, int, int, int],
        interpolation: int,
    ) -> npt.NDArray[Any]:
        """What was found in a box of the square picture, in a box of the stored one.

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
