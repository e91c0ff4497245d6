"""Landmarks to masks by the rule of the paper's authors, and masks to colours and back.

Each curve is a not-a-knot cubic spline through its landmarks, parametrised by point index, and
curves are joined, not smoothed, where they meet (section 4.1 of the paper: "relaxed continuity
constraints on eye corners and mouth corners"). With such knots the sampled curve is a fixed
linear function of the points, so all twelve curves of a face are one small matrix product.
"""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.classes import (
    CLASS_SETS,
    COLORS,
    EYES,
    IGNORE,
    INNER_MOUTH,
    LIPS,
    NUM_CLASSES,
    OPEN,
    PALETTE,
    SKIN,
)
from facemask.data.landmarks import NUM_LANDMARKS, check_points
from facemask.errors import InputError

# (class id, curves through the points numbered from 1), in the order they are painted.
REGION_CURVES: Final[tuple[tuple[int, tuple[tuple[int, ...], ...]], ...]] = (
    (SKIN, (tuple(range(1, 18)), (27, 26, 25, 24, 23), (22, 21, 20, 19, 18))),
    (EYES, ((37, 38, 39, 40), (40, 41, 42, 37))),
    (EYES, ((43, 44, 45, 46), (46, 47, 48, 43))),
    (LIPS, ((49, 50, 51, 52), (52, 53, 54, 55), (55, 56, 57, 58, 59, 60, 49))),
    (INNER_MOUTH, ((61, 62, 63, 64, 65), (65, 66, 67, 68, 61))),
)

# 24 chords between two landmarks keep the polygon within 0.01 pixels of the spline even on a
# face of 1000 pixels.
_SAMPLES_PER_SEGMENT: Final = 24


@functools.cache
def _sampling_matrix() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return a matrix (S, 68) that samples all outlines, and the first row of each region (6,)."""
    rows: list[npt.NDArray[np.float64]] = []
    starts = [0]
    identity = np.eye(NUM_LANDMARKS)
    for _, curves in REGION_CURVES:
        rows += [_sample_spline(identity[np.array(curve) - 1]) for curve in curves]
        starts.append(sum(len(r) for r in rows))
    return np.concatenate(rows), np.array(starts)


def _sample_spline(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sample the not-a-knot cubic spline through values (N, D), N >= 4, at the knots 0, 1, …, N-1.

    Equal to the last bit to SciPy's `CubicSpline`, which costs each process 50 MB.

    Returns:
        (S, D), `_SAMPLES_PER_SEGMENT` samples a segment.
    """
    count, rise = len(values), np.diff(values, axis=0)
    # the slopes at the knots solve a tridiagonal system
    below, middle, above = np.ones(count), np.full(count, 4.0), np.ones(count)
    below[-1] = above[0] = 2
    middle[[0, -1]] = 1
    ends = (5 * rise[0] + rise[1]) / 2, (rise[-2] + 5 * rise[-1]) / 2
    slopes = np.stack([ends[0], *(3 * (rise[:-1] + rise[1:])), ends[1]])
    for k in range(1, count):
        factor = below[k] / middle[k - 1]
        middle[k] -= factor * above[k - 1]
        slopes[k] -= factor * slopes[k - 1]
    slopes[-1] /= middle[-1]
    for k in reversed(range(count - 1)):
        slopes[k] = (slopes[k] - above[k] * slopes[k + 1]) / middle[k]

    place = np.linspace(0, count - 1, (count - 1) * _SAMPLES_PER_SEGMENT + 1)
    left = np.minimum(place.astype(int), count - 2)
    x = (place - left)[:, None]
    cubic = slopes[:-1] + slopes[1:] - 2 * rise
    square = rise - slopes[:-1] - cubic
    samples = values[left] + slopes[left] * x + square[left] * (x * x) + cubic[left] * (x * x * x)
    return np.asarray(samples, np.float64)


def region_outlines(points: npt.ArrayLike) -> list[npt.NDArray[np.float64]]:
    """Sample the closed outline of every region, in painting order.

    Args:
        points: Landmarks (68, 2) or, for N frames, (N, 68, 2); x, y in pixels from 0.

    Returns:
        One float64 array (…, S, 2) for each entry of `REGION_CURVES`: skin, right eye, left
        eye, lips, inner mouth. The last point joins the first by a straight line.
    """
    matrix, starts = _sampling_matrix()
    samples = matrix @ check_points(points)
    return np.split(samples, starts[1:-1], axis=-2)


def landmarks_to_mask(points: npt.ArrayLike, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Paint the face mask of 68 landmarks.

    A pixel belongs to a region when its centre lies inside the curve (even-odd rule); the
    pixel in column j, row i has its centre at x = j, y = i. Later regions cover earlier ones:
    skin, eyes, lips, inner mouth.

    Args:
        points: Landmarks (68, 2) or, for N frames of a video, (N, 68, 2); x, y in pixels from
            0. Points may lie outside the frame.
        height: Height of the mask in pixels.
        width: Width of the mask in pixels.

    Returns:
        Class ids, uint8 (height, width) or (N, height, width).

    Raises:
        InputError: The points have another shape or are not finite, or the size is not
            positive.

    Examples:
        >>> import numpy as np
        >>> points = np.random.default_rng(0).uniform(10, 90, size=(68, 2))
        >>> landmarks_to_mask(points, height=100, width=120).shape
        (100, 120)
    """
    if height < 1 or width < 1:
        raise InputError(f"a mask needs a positive size, got height {height}, width {width}.")
    array = check_points(points)
    outlines = region_outlines(array.reshape(-1, NUM_LANDMARKS, 2))
    masks = np.zeros((len(outlines[0]), height, width), dtype=np.uint8)
    for n, mask in enumerate(masks):
        for (class_id, _), outline in zip(REGION_CURVES, outlines, strict=True):
            _paint_polygon(mask, outline[n], class_id)
    return masks[0] if array.ndim == 2 else masks


def _paint_polygon(
    mask: npt.NDArray[np.uint8], outline: npt.NDArray[np.float64], value: int
) -> None:
    """Paint the pixels of `mask` (H, W) whose centres lie inside `outline` (S, 2), in place.

    Every edge toggles inside/outside at one column of each pixel row whose centre line it
    crosses; a running parity along the rows then fills the polygon.
    """
    height, width = mask.shape
    x, y = outline[:, 0], outline[:, 1]
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    # rows i with min(y) <= i < max(y): half open, so a vertex on a row counts once
    first = np.clip(np.ceil(np.minimum(y, y_next)), 0, height).astype(np.intp)
    last = np.clip(np.ceil(np.maximum(y, y_next)), 0, height).astype(np.intp)
    crossings = last - first
    total = int(crossings.sum())
    if total == 0:
        return
    edge = np.repeat(np.arange(len(x)), crossings)
    row = np.arange(total) - np.repeat(np.cumsum(crossings) - crossings, crossings) + first[edge]
    slope = (x_next[edge] - x[edge]) / (y_next[edge] - y[edge])
    column = np.clip(np.ceil(x[edge] + (row - y[edge]) * slope), 0, width).astype(np.intp)

    top, bottom = int(row.min()), int(row.max()) + 1
    left, right = int(column.min()), int(column.max()) + 1
    toggles = np.bincount(
        (row - top) * (right - left) + column - left, minlength=(bottom - top) * (right - left)
    )
    parity = toggles.astype(np.uint8).reshape(bottom - top, right - left)
    inside = (np.cumsum(parity, axis=1, dtype=np.uint8) & 1).astype(bool)
    target = mask[top:bottom, left:right]  # narrower than `inside` by the column at `width`
    target[inside[:, : target.shape[1]]] = value


# every palette colour, and white for IGNORE, is told apart by which channels are 255
_UNKNOWN: Final = 254
_ID_OF_BITS: Final = np.full(8, _UNKNOWN, dtype=np.uint8)
_BITS: Final = np.array([4, 2, 1], dtype=np.uint8)
for _id in (*range(NUM_CLASSES), IGNORE):
    _ID_OF_BITS[(COLORS[_id] // 255 * _BITS).sum()] = _id
_KNOWN: Final = [*range(NUM_CLASSES), *CLASS_SETS, IGNORE]


def check_class_ids(mask: npt.NDArray[np.uint8]) -> None:
    """Check that a mask holds class ids (0 to 4), sets of them (see `classes.OPEN`) and 255 only.

    Raises:
        InputError: It holds other values; the message lists them.
    """
    present = np.bincount(mask.ravel(), minlength=256) > 0
    present[_KNOWN] = False
    if present.any():
        raise InputError(
            f"label values {np.flatnonzero(present).tolist()} are not class ids, expected 0 to "
            f"{NUM_CLASSES - 1}, {OPEN} + the sum of 2**id over two or more of them for pixels "
            f"that may be any of these, or {IGNORE} for pixels to ignore."
        )


def mask_to_color(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colour a mask with the palette.

    Args:
        mask: Class ids, uint8 (…, H, W); 255 (ignore) becomes white, and a label of several classes
            (see `classes.OPEN`) the grey of its own level, 131 (131, 131, 131).

    Returns:
        RGB, uint8 (…, H, W, 3).

    Raises:
        InputError: The mask holds something that is not a class id.

    Examples:
        >>> import numpy as np
        >>> mask_to_color(np.array([[1, 3]], dtype=np.uint8)).tolist()
        [[[255, 0, 0], [0, 255, 255]]]
    """
    check_class_ids(mask)
    return COLORS[mask]


def color_to_mask(color: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn palette colours back into class ids; the inverse of `mask_to_color`.

    Args:
        color: RGB, uint8 (…, H, W, 3), colours of `mask_to_color` only; white means 255 (ignore).

    Returns:
        Class ids, uint8 (…, H, W).

    Raises:
        InputError: A colour is not in the palette; the message lists up to three.
    """
    mask: npt.NDArray[np.uint8] = _ID_OF_BITS[(color >> 7) @ _BITS]
    strange = (mask == _UNKNOWN) | ((color != 0) & (color != 255)).any(axis=-1)
    if strange.any():
        level = color[..., 0]
        grey = np.isin(level, list(CLASS_SETS)) & (color == level[..., None]).all(axis=-1)
        mask, strange = np.where(grey, level, mask), strange & ~grey
    if strange.any():
        found = np.unique(color[strange], axis=0)[:3].tolist()
        raise InputError(
            f"colours {found} are not in the palette, expected {PALETTE.tolist()} (RGB)."
        )
    return mask
