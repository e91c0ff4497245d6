"""Which way up a video's frames are, from the display matrix of their metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import av
import cv2
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Orientation:
    """How to turn stored frames upright: transpose first, then mirror.

    Attributes:
        transposed: Rows become columns.
        mirror_x: Then left and right change places.
        mirror_y: Then top and bottom change places.
    """

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a stored frame once upright."""
        return (height, width) if self.transposed else (width, height)

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A stored frame (H, W, 3), upright.

        Examples:
            >>> image = np.array([[[1, 1, 1], [2, 2, 2]], [[3, 3, 3], [4, 4, 4]]], dtype=np.uint8)
            >>> Orientation(transposed=True, mirror_x=True).apply(image)[..., 0]  # clockwise
            array([[3, 1],
                   [4, 2]], dtype=uint8)
        """
        turned = cv2.transpose(image) if self.transposed else image
        if self.mirror_x or self.mirror_y:
            turned = cv2.flip(turned, 1 if not self.mirror_y else -1 if self.mirror_x else 0)
        return cast("npt.NDArray[np.uint8]", turned)


UPRIGHT: Final = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation that a decoded frame's display matrix asks for, to the nearest 90 degrees.

    The matrix (a, b, u, c, d, v, x, y, w; the track header of ISO/IEC 14496-12) takes a stored
    point to x' = a x + c y, y' = b x + d y.
    """
    matrix = cast("Mapping[str, bytes]", frame.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, mirror_x=a < 0, mirror_y=d < 0)
    return Orientation(True, mirror_x=c < 0, mirror_y=b < 0)
