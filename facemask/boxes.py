"""Boxes in images, and the box of a face.

Edges are `(left, top, right, bottom)`, right and bottom exclusive. Pixel j covers [j, j + 1), so
that the edge coordinate e lies half a pixel before the centre of pixel e.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import IGNORE
from facemask.errors import InputError

FACE_CROP_SCALE: Final = 1.3
"""Side of the face crop over the mean of the landmarks' width and height."""
SMALLEST_CROP: Final = 2
"""Fewest pixels that a face crop has on each side inside the frame."""
_SAME_BOX: Final = 0.7
"""IoU from which a new box is so near the known one that this one is kept."""


class Crop(NamedTuple):
    """Whole pixels of an image: `image[crop.top:crop.bottom, crop.left:crop.right]`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns of an image that lie inside."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def shifted(self, x: int, y: int) -> "Crop":
        """Return the same pixels, counted from x pixels further left and y further up."""
        return Crop(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def intersection(self, other: "Crop") -> "Crop":
        """Return the pixels of both, of no width or height where there are none."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Crop(left, top, max(left, right), max(top, bottom))


class Box(NamedTuple):
    """A box at any place of an image: neither rounded nor clipped, it may leave the image.

    Edges are in pixels or relative to the image's size, from 0 at its left or top edge to 1 at its
    right or bottom one. What is fixed for a clip is relative, because the clip's frames differ in
    size by a few pixels.

    Examples:
        >>> Box.around(50.0, 40.0, 20.0)
        Box(left=40.0, top=30.0, right=60.0, bottom=50.0)
    """

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, side: float, height: float | None = None) -> "Box":
        """Return the square of this side with its centre at the edge coordinates (x, y).

        With a height, it is the box of that height whose width is the side.
        """
        across, down = side / 2, (side if height is None else height) / 2
        return cls(x - across, y - down, x + across, y + down)

    @property
    def width(self) -> float:
        """Distance of the right edge from the left one."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Distance of the bottom edge from the top one."""
        return self.bottom - self.top

    @property
    def side(self) -> float:
        """Mean of width and height."""
        return (self.width + self.height) / 2

    @property
    def center(self) -> tuple[float, float]:
        """x, y of the centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def scaled(self, x: float, y: float) -> "Box":
        """Return the same box in an image that is x times as wide and y times as high."""
        return Box(self.left * x, self.top * y, self.right * x, self.bottom * y)

    def shifted(self, x: float, y: float) -> "Box":
        """Return the same box, moved by x to the right and by y down."""
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def in_pixels(self, height: float, width: float) -> "Box":
        """Return a relative box in pixels of an image of this size."""
        return self.scaled(width, height)

    def rounded(self, height: int, width: int) -> Crop:
        """Return the whole pixels of an image of this size inside the box; there may be none."""
        left, right = np.rint(np.clip((self.left, self.right), 0, width)).astype(int).tolist()
        top, bottom = np.rint(np.clip((self.top, self.bottom), 0, height)).astype(int).tolist()
        return Crop(left, top, right, bottom)

    def covering(self, height: int, width: int) -> Crop:
        """Return all pixels of an image of this size that the box touches; there may be none."""
        left, right = (
            min(max(edge, 0), width) for edge in (math.floor(self.left), math.ceil(self.right))
        )
        top, bottom = (
            min(max(edge, 0), height) for edge in (math.floor(self.top), math.ceil(self.bottom))
        )
        return Crop(left, top, right, bottom)

    def clipped(self, height: int, width: int) -> Crop:
        """Return the whole pixels of a face crop, rounded and clipped to the frame.

        Args:
            height: Height of the frame in pixels.
            width: Width of the frame in pixels.

        Raises:
            InputError: The box lies outside the frame or is smaller than 2 × 2 pixels there.
        """
        crop = self.rounded(height, width)
        if crop.width < SMALLEST_CROP or crop.height < SMALLEST_CROP:
            raise InputError(
                f"the box (x {self.left:.0f} to {self.right:.0f}, y {self.top:.0f} to "
                f"{self.bottom:.0f}) leaves no face inside the frame of {width}×{height} pixels."
            )
        return crop


FaceBox = Box
"""The former name of boxes of faces."""


def overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, in [0, 1].

    Examples:
        >>> overlap(Box(0, 0, 10, 10), Box(5, 0, 15, 10))
        0.3333333333333333
    """
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(width, 0.0) * max(height, 0.0)
    union = first.width * first.height + second.width * second.height - shared
    return shared / union if union > 0 else 0.0


def steady(known: Box, found: Box) -> Box:
    """Return the known box where the one found is nearly the same (IoU 0.7 or more), else that one.

    What a ConvLSTM remembers is tied to places in its box.
    """
    return known if overlap(known, found) >= _SAME_BOX else found


def enclosing(boxes: Sequence[Box]) -> Box | None:
    """Return the smallest box that holds all boxes, or None for no boxes."""
    if not boxes:
        return None
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return Box(left, top, right, bottom)


def face_box_of_points(points: npt.NDArray[np.float64]) -> Box:
    """Return the face crop of one frame's landmarks, neither rounded nor clipped.

    It is a square of side 1.3 × (width + height) / 2 of the landmarks' bounding box, centred on it.

    Args:
        points: Landmarks (68, 2); x, y in pixels from 0 (pixel centres).
    """
    low, high = points.min(axis=0), points.max(axis=0)
    side = FACE_CROP_SCALE * float((high - low).mean())
    left, top = ((low + high) / 2 + 0.5 - side / 2).tolist()  # + 0.5: from pixel centres to edges
    return Box(left, top, left + side, top + side)


def face_crop_box(points: npt.NDArray[np.float64], height: int, width: int) -> Crop:
    """Return the face crop of one frame's landmarks, rounded and clipped to the frame.

    Args:
        points: Landmarks (68, 2); x, y in pixels from 0 (pixel centres).
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Raises:
        InputError: The crop lies outside the frame or is smaller than 2 × 2 pixels there.
    """
    try:
        return face_box_of_points(points).clipped(height, width)
    except InputError:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        raise InputError(
            f"the landmarks (x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f}) "
            f"leave no face inside the frame of {width}×{height} pixels."
        ) from None


def face_box_of_mask(labels: npt.NDArray[np.uint8]) -> Box | None:
    """Return the face crop that follows from a face's mask, or None where it shows no face.

    Skin reaches from the jaw to the brows, so the bounding box of the mask is that of the
    landmarks. Only the largest connected part of the foreground counts: stray pixels do not.

    Args:
        labels: Class ids uint8 (H, W) at the frame's size; 255 counts as background.

    Examples:
        >>> labels = np.zeros((40, 60), dtype=np.uint8)
        >>> labels[10:20, 20:40] = 1
        >>> face_box_of_mask(labels)
        Box(left=20.25, top=5.25, right=39.75, bottom=24.75)
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
    return Box.around(x + width / 2, y + height / 2, side)
