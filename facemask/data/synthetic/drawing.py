"""Anti-aliased drawing of curves and regions at sub-pixel positions.

Everything here keeps the project's pixel convention: the pixel in column j, row i has its centre
at x = j, y = i. OpenCV's own anti-aliased fills thicken a region by half a pixel, hence the masks
are filled on a grid `SUPERSAMPLING` times as fine and averaged.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Points = npt.NDArray[np.float64]
Canvas = npt.NDArray[np.float32]
"""A picture in the making: float32 (H, W, 3) RGB, 0 to 255."""
Color = Sequence[float] | npt.NDArray[np.float64] | npt.NDArray[np.float32]

SUPERSAMPLING: Final = 4
_SHIFT: Final = 4  # fractional bits of OpenCV's fixed-point coordinates


class Alpha(NamedTuple):
    """Coverage of a region: float32 (h, w), 0 to 1, and where it lies in the picture."""

    coverage: Canvas
    rows: slice
    columns: slice


@lru_cache(maxsize=64)
def _spline_matrix(count: int, samples: int) -> Points:
    spline = CubicSpline(np.arange(count), np.eye(count), bc_type="not-a-knot")
    steps = np.linspace(0.0, count - 1.0, (count - 1) * samples + 1)
    return np.asarray(spline(steps), np.float64)


def curve(points: Points, samples: int = 8) -> Points:
    """Sample the not-a-knot cubic spline through points, parametrised by their index.

    Args:
        points: (N, 2) or (N, 3), N >= 3.
        samples: Samples per interval between two points.

    Returns:
        ((N - 1) * samples + 1, 2) or (…, 3), the given points among them.
    """
    # The spline is linear in its points, and einsum keeps BLAS threads, hence the machine's
    # thread count, out of the result's last bits.
    sampled = np.einsum("mn,nk->mk", _spline_matrix(len(points), samples), points)
    return np.asarray(sampled, np.float64)


def closed(*curves: Points) -> Points:
    """Join curves end to end into one outline (N, 2)."""
    return np.concatenate(curves)


def _box(points: Points, shape: tuple[int, ...], margin: float) -> tuple[int, int, int, int] | None:
    low = np.floor(points.min(axis=0) - margin).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
    return None if right <= left or bottom <= top else (left, top, right, bottom)


def _fixed(points: Points, left: int, top: int) -> npt.NDArray[np.int32]:
    fine = (points - (left, top) + 0.5) * SUPERSAMPLING - 0.5
    return np.asarray(np.rint(fine * (1 << _SHIFT)), np.int32)


def _coarse(fine: npt.NDArray[np.uint8], softness: float) -> Canvas:
    size = (fine.shape[1] // SUPERSAMPLING, fine.shape[0] // SUPERSAMPLING)
    mask = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
    coverage = np.asarray(mask / np.float32(255), np.float32)
    if softness > 0:
        blurred = cv2.GaussianBlur(coverage, (0, 0), softness, borderType=cv2.BORDER_REPLICATE)
        coverage = np.asarray(blurred, np.float32)
    return coverage


def region(outline: Points, shape: tuple[int, ...], *, softness: float = 0.0) -> Alpha | None:
    """Coverage of the inside of a closed outline.

    Args:
        outline: (N, 2) x, y in pixels.
        shape: (H, W, …) of the picture.
        softness: Standard deviation in pixels of a blur of the edge.

    Returns:
        The coverage, or None where the region lies outside the picture.
    """
    box = _box(outline, shape, 1 + 3 * softness)
    if box is None:
        return None
    left, top, right, bottom = box
    fine = np.zeros(((bottom - top) * SUPERSAMPLING, (right - left) * SUPERSAMPLING), np.uint8)
    cv2.fillPoly(fine, [_fixed(outline, left, top)], [255], cv2.LINE_8, _SHIFT)
    return Alpha(_coarse(fine, softness), slice(top, bottom), slice(left, right))


def stroke(
    points: Points, shape: tuple[int, ...], thickness: float, *, softness: float = 0.0
) -> Alpha | None:
    """Coverage of a line along points; arguments as in `region`, thickness in pixels."""
    box = _box(points, shape, 1 + thickness + 3 * softness)
    if box is None:
        return None
    left, top, right, bottom = box
    fine = np.zeros(((bottom - top) * SUPERSAMPLING, (right - left) * SUPERSAMPLING), np.uint8)
    width = max(1, round(thickness * SUPERSAMPLING))
    cv2.polylines(fine, [_fixed(points, left, top)], False, [255], width, cv2.LINE_8, _SHIFT)
    return Alpha(_coarse(fine, softness), slice(top, bottom), slice(left, right))


def blend(canvas: Canvas, alpha: Alpha | None, color: Color | Canvas, opacity: float = 1.0) -> None:
    """Paint a colour (3,), or a patch of the size of `alpha`, over the canvas in place."""
    if alpha is None or opacity <= 0:
        return
    target = canvas[alpha.rows, alpha.columns]
    weight = alpha.coverage[..., None] * np.float32(opacity)
    target += weight * (np.asarray(color, np.float32) - target)


def shade(canvas: Canvas, alpha: Alpha | None, factor: Color | float, opacity: float = 1.0) -> None:
    """Multiply the canvas under `alpha` by a factor (a number or one per channel), in place."""
    if alpha is None or opacity <= 0:
        return
    weight = alpha.coverage[..., None] * np.float32(opacity)
    canvas[alpha.rows, alpha.columns] *= 1 + weight * (np.asarray(factor, np.float32) - 1)


def ellipse(center: Points, radii: Color, angle: float = 0.0, count: int = 40) -> Points:
    """Outline (count, 2) of an ellipse; angle in radians, clockwise as the picture is seen."""
    theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = radii[0] * np.cos(theta), radii[1] * np.sin(theta)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
    return np.asarray(center + turned, np.float64)


def noise(
    rng: np.random.Generator, height: int, width: int, scale: float, stretch: float = 1.0
) -> Canvas:
    """Smooth noise (height, width), mean 0, standard deviation 1.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
        scale: Size of its blobs in pixels.
        stretch: How many times as tall as wide the blobs are.
    """
    if scale < 10:
        field = rng.standard_normal((height, width), dtype=np.float32)
        field = np.asarray(
            cv2.GaussianBlur(field, (0, 0), scale / 2, sigmaY=scale * stretch / 2), np.float32
        )
    else:  # a blur this wide is slow; enlarging a small field is not
        rows = max(2, round(height / (scale * stretch)) + 1)
        columns = max(2, round(width / scale) + 1)
        small = rng.standard_normal((rows, columns), dtype=np.float32)
        field = np.asarray(
            cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32
        )
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)
