"""Where a face is in a frame, and where to cut it out.

Boxes are pixel edges `(left, top, right, bottom)`, right and bottom exclusive. The edge coordinate
e lies half a pixel before the centre of pixel e.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import IGNORE
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


SMALLEST_CROP: Final = 2
"""Fewest pixels that a crop has on each side inside the frame, as in `face_crop_box`."""


class FaceBox(NamedTuple):
    """A face crop before it is cut: pixel edges in the frame, not rounded, not clipped.

    The crop is the square of side 1.3 × (width + height) / 2 of the 68 landmarks' bounding box,
    centred on it. The edge coordinate e lies half a pixel before the centre of pixel e.

    Examples:
        >>> FaceBox.around(50.0, 40.0, 20.0)
        FaceBox(left=40.0, top=30.0, right=60.0, bottom=50.0)
    """

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, side: float) -> "FaceBox":
        """The square of this side with its centre at the edge coordinates (x, y)."""
        half = side / 2
        return cls(x - half, y - half, x + half, y + half)

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def side(self) -> float:
        """Mean of width and height in pixels."""
        return (self.width + self.height) / 2

    @property
    def center(self) -> tuple[float, float]:
        """x, y of the centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def clipped(self, height: int, width: int) -> Box:
        """The whole pixels to cut out, rounded and clipped to the frame like `face_crop_box`.

        Args:
            height: Height of the frame in pixels.
            width: Width of the frame in pixels.

        Raises:
            InputError: The box lies outside the frame or is smaller than 2 × 2 pixels there.
        """
        left, right = np.rint(np.clip((self.left, self.right), 0, width)).astype(int).tolist()
        top, bottom = np.rint(np.clip((self.top, self.bottom), 0, height)).astype(int).tolist()
        box = Box(left, top, right, bottom)
        if box.width < SMALLEST_CROP or box.height < SMALLEST_CROP:
            raise InputError(
                f"the box (x {self.left:.0f} to {self.right:.0f}, y {self.top:.0f} to "
                f"{self.bottom:.0f}) leaves no face inside the frame of {width}×{height} pixels."
            )
        return box


def face_box_of_points(points: npt.NDArray[np.float64]) -> FaceBox:
    """The face crop of one frame's landmarks, neither rounded nor clipped.

    Args:
        points: Landmarks (68, 2); x, y in pixels from 0 (pixel centres).
    """
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = ((low + high) / 2 + 0.5).tolist()  # + 0.5: from pixel centres to pixel edges
    return FaceBox.around(x, y, FACE_CROP_SCALE * float((high - low).mean()))


def face_box_of_mask(labels: npt.NDArray[np.uint8]) -> FaceBox | None:
    """The face crop that follows from a face's mask; None where it shows no face.

    Skin reaches from the jaw to the brows, so the bounding box of the mask is that of the
    landmarks. Only the largest connected part of the foreground counts: stray pixels do not.

    Args:
        labels: Class ids uint8 (H, W) at the frame's size; 255 counts as background.

    Examples:
        >>> labels = np.zeros((40, 60), dtype=np.uint8)
        >>> labels[10:20, 20:40] = 1
        >>> face_box_of_mask(labels)
        FaceBox(left=20.25, top=5.25, right=39.75, bottom=24.75)
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise InputError(
            f"a mask of shape {labels.shape} and type {labels.dtype} was given: "
            "expected class ids as uint8 (H, W)."
        )
    face = ((labels != 0) & (labels != IGNORE)).view(np.uint8)
    x, y, width, height = cv2.boundingRect(face)
    if width == 0:
        return None
    inside = np.ascontiguousarray(face[y : y + height, x : x + width])
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    largest = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
    width, height = int(largest[cv2.CC_STAT_WIDTH]), int(largest[cv2.CC_STAT_HEIGHT])
    x += int(largest[cv2.CC_STAT_LEFT])
    y += int(largest[cv2.CC_STAT_TOP])
    side = FACE_CROP_SCALE * (width + height) / 2
    return FaceBox.around(x + width / 2, y + height / 2, side)


def overlap(first: FaceBox, second: FaceBox) -> float:
    """Intersection over union of two boxes, in [0, 1].

    Examples:
        >>> overlap(FaceBox(0, 0, 10, 10), FaceBox(5, 0, 15, 10))
        0.3333333333333333
    """
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(width, 0.0) * max(height, 0.0)
    union = first.width * first.height + second.width * second.height - shared
    return shared / union if union > 0 else 0.0
