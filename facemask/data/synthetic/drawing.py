"""Cameras and light, and anti-aliased drawing of curves and regions at sub-pixel positions.

Everything here keeps the project's pixel convention: the pixel in column j, row i has its centre
at x = j, y = i. OpenCV's own anti-aliased fills thicken a region by half a pixel, hence the masks
are filled on a grid `SUPERSAMPLING` times as fine and averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Points = npt.NDArray[np.float64]
Canvas = npt.NDArray[np.float32]
"""Picture in the making: float32 (H, W, 3) RGB, 0 to 255; or one channel of it."""
Field = Canvas | npt.NDArray[np.uint8]
Color = float | Sequence[float] | npt.NDArray[np.float64] | Canvas
"""RGB 0 to 255, or a factor for all or each of the channels."""

SUPERSAMPLING: Final = 4
NECK: Final = np.array([0.0, 0.95, -0.45])
"""Point that the head turns about, in the face's coordinates."""
_DISTANCE: Final = 10.0  # of the camera, in units: a mild perspective
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


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint(points * (1 << _SHIFT)), np.int32)


def trace(field: Field, points: Points, value: float, width: int, kind: int = cv2.LINE_8) -> None:
    """Draw a line along points (N, 2) into one channel, in place; width in whole pixels."""
    cv2.polylines(field, [_fixed(points)], False, [value], width, kind, _SHIFT)


def blur(picture: Field, sigma: float, stretch: float = 1.0) -> Canvas:
    """Return a picture blurred by a Gaussian of `sigma` pixels, `stretch` times as far down."""
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, sigmaY=sigma * stretch)
    return np.asarray(blurred, np.float32)


def ellipse(
    center: Points, radii: Sequence[float] | Points, angle: float = 0.0, count: int = 40
) -> Points:
    """Return the outline (count, 2) of an ellipse turned clockwise by an angle in radians."""
    theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = radii[0] * np.cos(theta), radii[1] * np.sin(theta)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
    return np.asarray(center + turned, np.float64)


def noise(
    rng: np.random.Generator, height: int, width: int, scale: float, stretch: float = 1.0
) -> Canvas:
    """Draw smooth noise (height, width), mean 0, standard deviation 1.

    Args:
        rng: Source of randomness.
        height: Rows.
        width: Columns.
        scale: Size of its blobs in pixels.
        stretch: How many times as tall as wide the blobs are.
    """
    if scale < 10:
        smooth = blur(rng.standard_normal((height, width), np.float32), scale / 2, stretch)
    else:  # a blur this wide is slow; enlarging a small smooth is not
        rows = max(2, round(height / (scale * stretch)) + 1)
        columns = max(2, round(width / scale) + 1)
        small = rng.standard_normal((rows, columns), np.float32)
        large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        smooth = np.asarray(large, np.float32)
    return np.asarray((smooth - smooth.mean()) / (smooth.std() + 1e-6), np.float32)


@dataclass(frozen=True)
class Camera:
    """Head pose and framing of one frame.

    Attributes:
        yaw: Turn to the picture's right, radians.
        pitch: Nod upwards, radians.
        roll: Tilt clockwise as seen in the picture, radians.
        unit: Pixels per unit of the face.
        x: Column of the neck's centre, pixels.
        y: Its row.
    """

    yaw: float
    pitch: float
    roll: float
    unit: float
    x: float
    y: float

    def rotation(self) -> Points:
        """Return the matrix (3, 3) from the head's to the scene's axes."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(roll @ yaw @ pitch, np.float64)

    def scene(self, points: Points) -> Points:
        """Turn points (…, 3) of the head about the neck."""
        turned = np.einsum("...k,jk->...j", points - NECK, self.rotation())
        return np.asarray(turned + NECK, np.float64)

    def pixels(self, scene: Points) -> Points:
        """Project points (…, 3) of the scene to (…, 2) x, y in pixels."""
        nearness = _DISTANCE / (_DISTANCE - scene[..., 2:])
        return np.asarray(
            (scene[..., :2] - NECK[:2]) * nearness * self.unit + (self.x, self.y), np.float64
        )

    def head(self, points: Points) -> Points:
        """Project points (…, 3) of the head to (…, 2) x, y in pixels."""
        return self.pixels(self.scene(points))


@dataclass(frozen=True)
class Light:
    """One distant lamp and the light from all round.

    Attributes:
        direction: (3,) unit vector from the scene to the lamp; x right, y down, z to the viewer.
        color: (3,) factor per channel of the lamp.
        ambient: (3,) factor per channel of the light from all round.
    """

    direction: Points
    color: Points
    ambient: Points

    @property
    def front(self) -> Points:
        """Light (3,) on what faces the viewer."""
        return self.on(np.array([0, 0, 1.0]))

    def on(self, normal: Points) -> Points:
        """Return the light (3,) on a patch of the scene with this unit normal."""
        facing = max(float(normal @ self.direction) * 0.8 + 0.2, 0.0)
        return np.asarray(self.ambient + self.color * facing, np.float64)


@dataclass(frozen=True)
class Picture:
    """Frame in the making, or a patch of one.

    Attributes:
        canvas: The picture, painted in place.
        offset: Where the canvas begins in the frame, x and y in pixels.
    """

    canvas: Canvas
    offset: Points | float = field(default=0.0, kw_only=True)

    def cover(self, points: Points, *, width: float = 0, soft: float = 0) -> Alpha | None:
        """Return the coverage of the inside of an outline or, with a width, of a line.

        Args:
            points: (N, 2) x, y in pixels of the frame.
            width: Thickness of the line in pixels; 0 fills the closed outline.
            soft: Standard deviation in pixels of a blur of the edge.

        Returns:
            The coverage, or None where it lies outside the picture.
        """
        points = points - self.offset
        margin = 1 + width + 3 * soft
        low = np.floor(points.min(axis=0) - margin).astype(int).clip(0)
        shape = self.canvas.shape[1::-1]
        high = np.minimum(np.ceil(points.max(axis=0) + margin).astype(int) + 1, shape)
        size = high - low
        if (size <= 0).any():
            return None
        fine = np.zeros(size[::-1] * SUPERSAMPLING, np.uint8)
        scaled = (points - low + 0.5) * SUPERSAMPLING - 0.5
        if width:
            trace(fine, scaled, 255, max(1, round(width * SUPERSAMPLING)))
        else:
            cv2.fillPoly(fine, [_fixed(scaled)], [255], cv2.LINE_8, _SHIFT)
        mask = cv2.resize(fine, size.tolist(), interpolation=cv2.INTER_AREA)
        covered = np.asarray(mask / np.float32(255), np.float32)
        if soft > 0:
            border = cv2.BORDER_REPLICATE
            covered = np.asarray(cv2.GaussianBlur(covered, (0, 0), soft, borderType=border))
        (left, top), (right, bottom) = low.tolist(), high.tolist()
        return Alpha(covered, slice(top, bottom), slice(left, right))

    def blend(self, alpha: Alpha | None, color: Color, opacity: float = 1) -> None:
        """Paint a colour (3,), or a patch of the size of `alpha`, over the canvas."""
        if alpha is not None and opacity > 0:
            target = self.canvas[alpha.rows, alpha.columns]
            weight = alpha.coverage[..., None] * np.float32(opacity)
            target += weight * (np.asarray(color, np.float32) - target)

    def darken(self, alpha: Alpha | None, by: Color, opacity: float = 1) -> None:
        """Multiply the canvas under `alpha` by a factor, a number or one per channel."""
        if alpha is not None and opacity > 0:
            weight = alpha.coverage[..., None] * np.float32(opacity)
            self.canvas[alpha.rows, alpha.columns] *= 1 + weight * (np.asarray(by, np.float32) - 1)

    def paint(
        self, points: Points, color: Color, opacity: float = 1, *, width: float = 0, soft: float = 0
    ) -> None:
        """Paint an outline or a line in a colour; arguments as in `cover` and `blend`."""
        self.blend(self.cover(points, width=width, soft=soft), color, opacity)

    def shade(
        self, points: Points, by: Color, opacity: float = 1, *, width: float = 0, soft: float = 0
    ) -> None:
        """Darken what lies under an outline or a line; arguments as in `cover` and `darken`."""
        self.darken(self.cover(points, width=width, soft=soft), by, opacity)

    def patch(self, alpha: Alpha, color: Points) -> "Picture":
        """Return a new picture in one colour, of the place and size of `alpha`."""
        canvas = np.empty((*alpha.coverage.shape, 3), np.float32)
        canvas[:] = color
        offset = np.array([alpha.columns.start, alpha.rows.start], np.float64)
        return Picture(canvas, offset=offset)


@dataclass(frozen=True)
class Scene(Picture):
    """Frame in the making and how it is seen.

    Attributes:
        camera: Head pose and framing.
        light: The light.
    """

    camera: Camera
    light: Light

    def lit(self, *normal: float) -> Points:
        """Return the light (3,) on a part of the head with this unit normal."""
        return self.light.on(self.camera.rotation() @ np.array(normal))
