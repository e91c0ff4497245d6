"""How faces move from one frame to the next: median flow on a reduced grey image.

Points on a face are followed by pyramidal Lucas-Kanade and back again; those that do not come
back to where they started are left out (Kalal et al., Forward-Backward Error, ICPR 2010). The
face's motion is the median shift of the others and the median ratio of their distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.tracking.detection import Image

LONGEST: Final = 480
"""The reduced image is at most so many pixels long."""
WINDOW: Final = (11, 11)
LEVELS: Final = 3
GRID: Final = 9
"""Points per row and column on a face."""
INNER: Final = 0.6
"""The points cover this share of the crop, which leaves the background out."""
FARTHEST_RETURN: Final = 0.02
"""How far from its start a reliable point may come back, over the crop's side."""

Grey: TypeAlias = npt.NDArray[np.uint8]
Points: TypeAlias = npt.NDArray[np.float32]


class Motion(NamedTuple):
    """How a face moved.

    Attributes:
        x: Shift of the crop's centre to the right in pixels of the frame.
        y: The same, down.
        scale: Its new size over the old one.
        reliable: Share of the points that came back, in [0, 1].
    """

    x: float
    y: float
    scale: float
    reliable: float


@dataclass(frozen=True, eq=False)
class SmallFrame:
    """A frame reduced to what tracking needs.

    Attributes:
        colour: RGB uint8 (h, w, 3), at most `LONGEST` pixels long.
        scale: Its size over the frame's.
    """

    colour: Image
    scale: float

    @classmethod
    def of(cls, image: Image) -> "SmallFrame":
        """Halve an RGB image uint8 (H, W, 3) until it is small, which is fast and exact."""
        scale = 1.0
        while max(image.shape[:2]) > LONGEST and min(image.shape[:2]) > 1:
            rows, columns = image.shape[0] // 2, image.shape[1] // 2
            whole = image[: 2 * rows, : 2 * columns]
            half = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
            image, scale = np.asarray(half, dtype=np.uint8), scale / 2
        return cls(image, scale)

    @cached_property
    def grey(self) -> Grey:
        """Grey values uint8 (h, w)."""
        return np.asarray(cv2.cvtColor(self.colour, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def face_motions(
    before: SmallFrame, after: SmallFrame, boxes: Sequence[Box]
) -> list[Motion | None]:
    """How each face moved between two frames of one size; None where nothing can be followed.

    Args:
        before: The earlier frame.
        after: The later frame.
        boxes: The faces in the earlier frame, in its pixels.
    """
    if not boxes:
        return []
    grids = [_grid(box, before.scale) for box in boxes]
    start = np.concatenate(grids)
    there, error = follow(before.grey, after.grey, start)
    motions: list[Motion | None] = []
    first = 0
    for box, grid in zip(boxes, grids, strict=True):
        part = slice(first, first + len(grid))
        first += len(grid)
        good = error[part] < max(0.3, FARTHEST_RETURN * box.side * before.scale)
        good &= _inside(grid, before) & _inside(there[part], after)
        motions.append(_motion(box, grid, there[part], good, before.scale))
    return motions


def _grid(box: Box, scale: float) -> Points:
    x, y = box.center
    steps = np.linspace(-INNER / 2, INNER / 2, GRID)
    columns, rows = np.meshgrid(x + steps * box.width, y + steps * box.height)
    edges = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return (edges * scale - 0.5).astype(np.float32)


def follow(before: Grey, after: Grey, start: Points) -> tuple[Points, Points]:
    """Follow points from one grey image uint8 (h, w) to another of the same size.

    Args:
        before: The earlier image.
        after: The later image.
        start: Points (N, 2) x, y in pixel centres of the earlier image.

    Returns:
        Where they are in the later image (N, 2), and how far from its start each comes back
        when followed from there (N,), in pixels; infinite where it is lost.
    """
    unknown: Any = None  # where to look first: OpenCV takes the start
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, start, unknown, winSize=WINDOW, maxLevel=LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, unknown, winSize=WINDOW, maxLevel=LEVELS
    )
    error = np.linalg.norm(np.asarray(back) - start, axis=1)
    lost = (np.asarray(found).ravel() == 0) | (np.asarray(returned).ravel() == 0)
    error[lost] = np.inf
    return np.asarray(there, dtype=np.float32), np.asarray(error, dtype=np.float32)


def _inside(points: Points, frame: SmallFrame) -> npt.NDArray[np.bool_]:
    height, width = frame.colour.shape[:2]
    return np.asarray(((points > -1) & (points < (width, height))).all(axis=1))


def _motion(
    box: Box, start: Points, end: Points, good: npt.NDArray[np.bool_], scale: float
) -> Motion | None:
    if good.sum() < 4:
        return None
    a, b = start[good].astype(np.float64), end[good].astype(np.float64)
    far = len(a) // 2  # pairs of points that lie far apart say most about the size
    before = np.linalg.norm(a - np.roll(a, far, axis=0), axis=1)
    after = np.linalg.norm(b - np.roll(b, far, axis=0), axis=1)
    growth = float(np.median(after / before))
    # the points' motion at the crop's centre: take out what growing about it moves them
    centre = np.asarray(box.center) * scale - 0.5
    shift = np.median(b - (centre + growth * (a - centre)), axis=0) / scale
    return Motion(float(shift[0]), float(shift[1]), growth, float(good.mean()))
