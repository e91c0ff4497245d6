"""Face crops: where to cut a face out of a frame.

Boxes are integer pixel edges `(left, top, right, bottom)`, right and bottom exclusive. The edge
coordinate e lies half a pixel before the centre of pixel e.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from facemask.errors import InputError

FACE_CROP_SCALE: Final = 1.3
"""Side of the crop over the mean of the landmarks' width and height."""


class Box(NamedTuple):
    """Pixel edges; `image[box.top:box.bottom, box.left:box.right]` is the crop."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left


def face_crop_box(points: npt.NDArray[np.float64], height: int, width: int) -> Box:
    """The face crop of one frame.

    A square of side 1.3 × (width + height) / 2 of the landmarks' bounding box, centred on it,
    rounded to whole pixels and clipped to the frame.

    Args:
        points: Landmarks (68, 2); x, y in pixels from 0.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Raises:
        InputError: The crop lies outside the frame or is smaller than 2 × 2 pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = FACE_CROP_SCALE * float((high - low).mean())
    start = (low + high) / 2 + 0.5 - side / 2  # + 0.5: from pixel centres to pixel edges
    left, top = np.rint(np.clip(start, 0, (width, height))).astype(int).tolist()
    right, bottom = np.rint(np.clip(start + side, 0, (width, height))).astype(int).tolist()
    box = Box(left, top, right, bottom)
    if box.height < 2 or box.width < 2:
        raise InputError(
            f"the landmarks (x {low[0]:.0f} to {high[0]:.0f}, y {low[1]:.0f} to {high[1]:.0f}) "
            f"leave no face inside the frame of {width}×{height} pixels."
        )
    return box
