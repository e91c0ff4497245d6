"""Binary masks as polygons and back, by the convention of pycocotools."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from facemask.errors import InputError

Mask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
_PARTS = 5  # pycocotools draws an outline in fifths of a pixel


def to_polygons(mask: Mask) -> list[Points]:
    """Return outlines along the borders of pixels, one for each part of a mask.

    A part is made of pixels that touch, by a corner too. A cut of no width, there and back, joins a
    hole to the outline around it, so that each part is one polygon.

    Args:
        mask: bool (height, width).

    Returns:
        Corners x, y, float64 (n, 2); (0, 0) is the upper left corner of the first pixel.
    """
    # contours go through the middles of pixels: those of half pixels lie beside the borders
    double = mask.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
    rings, tree = cv2.findContours(double, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corners = [np.asarray((ring[:, 0] + 1) // 2, np.float64) for ring in rings]
    corners = [c[(c != np.roll(c, 1, axis=0)).any(axis=1)] for c in corners]
    parents = [int(parent) for parent in tree[0, :, 3]] if rings else []
    parts = {i: c for i, c in enumerate(corners) if parents[i] < 0}
    for hole, parent in zip(corners, parents, strict=True):
        if parent >= 0:
            parts[parent] = _joined(parts[parent], hole)
    return list(parts.values())


def _joined(outline: Points, hole: Points) -> Points:
    """Return an outline that goes around a hole as well, from the corner next to it."""
    i, j = np.unravel_index(cdist(outline, hole).argmin(), (len(outline), len(hole)))
    around = np.roll(hole, -j, axis=0)
    return np.concatenate([outline[: i + 1], around, around[:1], outline[i:]])


def from_polygons(polygons: Sequence[npt.ArrayLike], height: int, width: int) -> Mask:
    """Return the mask of several polygons together, the same pixels as pycocotools has.

    Args:
        polygons: Corners x, y of each, (n, 2).
        height: Of the picture.
        width: Of the picture.

    Returns:
        bool (height, width); of a polygon that crosses itself what lies inside an odd number of
        times.

    Raises:
        InputError: A polygon has fewer than three corners, or one far outside of the picture.
    """
    mask = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise InputError(
                f"a polygon has the shape {corners.shape}, expected x and y of three corners or "
                "more: remove it."
            )
        if not (np.abs(corners) <= 10 * max(height, width)).all():  # NaN, too
            raise InputError(
                f"a polygon reaches ({corners[:, 0].max():g}, {corners[:, 1].max():g}), but the "
                f"picture has {width} x {height} pixels: correct it."
            )
        mask |= _inside(corners, height, width)
    return mask


def _inside(corners: Points, height: int, width: int) -> Mask:
    """Return a polygon's pixels by pycocotools' own steps, for the tools count by them.

    An outline is drawn in whole fifths of a pixel. Where it crosses the middle of a column, all
    below changes sides.
    """
    fifths = np.trunc(_PARTS * corners + 0.5)
    changes = np.zeros((height + 1, width), np.intp)
    for start, end in zip(fifths, np.roll(fifths, -1, axis=0), strict=True):
        long = int(np.abs(end - start).argmax())
        first, last = (start, end) if start[long] <= end[long] else (end, start)
        steps = last[long] - first[long]
        if not steps:
            continue
        x, y = np.trunc(first + (last - first) / steps * np.arange(steps + 1)[:, None] + 0.5).T
        left, upper = np.minimum(x[1:], x[:-1]), np.minimum(y[1:], y[:-1])
        columns, after = np.divmod(left, _PARTS)
        crosses = (np.diff(x) != 0) & (after == _PARTS // 2) & (columns >= 0) & (columns < width)
        rows = np.ceil((upper[crosses] + 0.5) / _PARTS - 0.5).clip(0, height)
        np.add.at(changes, (rows.astype(np.intp), columns[crosses].astype(np.intp)), 1)
    return np.asarray(changes.cumsum(axis=0)[:height] % 2 == 1)
