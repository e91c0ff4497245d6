"""Coarse colour pictures of faces, by which one face is told from another."""

from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.tracking.detection import Image
from facemask.tracking.flow import SmallFrame
from facemask.turned import TurnedBox

SIZE: Final = 8
SHARE: Final = 0.6
"""Inner share of the crop that is compared: the face without its background."""
LEAST_ALIKE: Final = 0.5
"""Correlation of looks; within 30 frames of real videos one face's never fell below 0.66."""

Look: TypeAlias = npt.NDArray[np.float32]
"""Coarse colour picture of an upright face as a vector of mean 0 and length 1, (192,)."""


def look_of(frame: SmallFrame, face: TurnedBox) -> Look:
    """Return the look of what is in a box, turned upright."""
    x, y = face.box.center
    inner = Box.around(x, y, SHARE * face.box.side).scaled(frame.scale, frame.scale)
    part = _upright(frame.colour, TurnedBox(inner, face.roll))
    if part.size == 0:
        return np.zeros(3 * SIZE**2, dtype=np.float32)
    small = cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    vector = np.asarray(small, dtype=np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), dtype=np.float32)


def is_strange(known: Look, seen: Look) -> bool:
    """Tell if a look is hardly that of the face known."""
    return float(known @ seen) < LEAST_ALIKE


def _upright(image: Image, inner: TurnedBox) -> Image:
    """Return the pixels of a box, turned upright; none if it lies outside the image."""
    height, width = image.shape[:2]
    crop = inner.bounds.rounded(height, width)
    if inner.roll == 0 or crop.width < 1 or crop.height < 1:
        return image[crop.pixels]
    side = max(SIZE, round(inner.box.side))
    step = inner.box.side / side
    # where the patch's first pixel and its right and lower neighbours have their centres
    corners = inner.to_image(step * (np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) + 0.5)) - 0.5
    matrix = np.column_stack([corners[1] - corners[0], corners[2] - corners[0], corners[0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(
        image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, dtype=np.uint8)
