"""Hair: what lies behind the face, what falls over the forehead."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from facemask.data.synthetic.camera import Camera
from facemask.data.synthetic.drawing import (
    Alpha,
    Canvas,
    Points,
    blend,
    closed,
    curve,
    ellipse,
    noise,
    region,
    shade,
)
from facemask.data.synthetic.identity import Identity
from facemask.data.synthetic.skin import Light


class _Style(NamedTuple):
    """How one cut looks; lengths in units of the face."""

    volume: float
    """Size of the hair against the skull."""
    ragged: float
    """How far single strands stand out of the outline."""
    fringe: float
    """How far strands hang over the hairline."""
    stretch: float
    """How many times as long as thick a strand looks."""
    contrast: float


_STYLES: Final = {
    "short": _Style(1.02, 0.015, 0.10, 22.0, 0.13),
    "fringe": _Style(1.06, 0.012, 0.22, 30.0, 0.12),
    "long": _Style(1.06, 0.010, 0.14, 34.0, 0.13),
    "curly": _Style(1.14, 0.050, 0.12, 1.5, 0.24),
    "buzz": _Style(0.98, 0.006, 0.05, 1.2, 0.08),
}


class Hair:
    """One person's hair."""

    def __init__(self, identity: Identity, rng: np.random.Generator) -> None:
        """Draw its strands and its outline."""
        self._identity = identity
        self._style = _STYLES[identity.hair_style]
        size = 6.0 if identity.hair_style == "curly" else 2.4
        self._streaks = noise(rng, 420, 420, size, self._style.stretch)
        self._length = float(rng.uniform(1.5, 2.8))
        self._volume = self._style.volume * float(rng.uniform(0.97, 1.07))
        self._height = float(rng.uniform(0.98, 1.08))
        self._outline = 1 + self._wobble(rng, 96, (2, 3, 5), 0.012)
        self._outline += self._wobble(rng, 96, (11, 17, 23, 31), self._style.ragged)
        t = np.linspace(-1, 1, 97)
        part = float(rng.uniform(-1, 1)) * 0.08
        strands = 0.5 + self._wobble(rng, 97, (9, 14, 21, 33), 0.5)
        self._fringe = self._style.fringe * strands
        self._fringe += part * t + float(rng.uniform(-0.05, 0.1)) * t**2

    @staticmethod
    def _wobble(
        rng: np.random.Generator, count: int, waves: tuple[int, ...], amount: float
    ) -> Points:
        """A closed random line (count,) of waves a turn, between −amount and amount."""
        theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
        parts = [rng.uniform(0.5, 1) * np.sin(w * theta + rng.uniform(0, 6.3)) for w in waves]
        return np.asarray(amount * np.sum(parts, axis=0) / len(waves), np.float64)

    def _color(self, light: Light) -> Points:
        color = self._identity.hair * light.on(np.array([0, -0.5, 0.86]))
        if self._identity.hair_style == "buzz":  # the scalp shows through
            color = 0.6 * color + 0.4 * self._identity.skin * light.on(np.array([0, 0, 1.0]))
        return np.asarray(color, np.float64)

    def _paint(
        self, canvas: Canvas, outline: Points, camera: Camera, color: Points, opacity: float = 1.0
    ) -> None:
        alpha = region(outline, canvas.shape, softness=max(0.5, 0.014 * camera.unit))
        if alpha is not None:
            strands = _strands(alpha, self._streaks, camera, color, self._style.contrast)
            blend(canvas, alpha, strands, opacity)

    def paint_fall(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        """Paint long hair, which hangs behind neck and face."""
        if self._identity.hair_style != "long":
            return
        w, low = 1.22 * self._identity.face_width * self._volume, self._length
        side = np.array(
            [[w * 0.9, -0.7, 0], [w, 0.0, -0.2], [w * 1.06, 1.0, -0.4], [w * 0.94, low, -0.4]]
        )
        right, left = camera.head(side), camera.head(side * (-1, 1, 1))
        self._paint(
            canvas, closed(curve(right), curve(left[::-1])), camera, self._color(light) * 0.72
        )

    def paint_skull(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        """Paint the hair on the head, behind face and ears."""
        width = 1.15 * self._identity.face_width
        deep = np.hypot(width * np.cos(camera.yaw), 1.36 * np.sin(camera.yaw))
        tall = 1.20 * (0.65 + 0.35 * self._identity.hairline) * self._height
        center = camera.head(np.array([0, -0.36, 0.10]))
        radii = np.array([deep, tall]) * self._volume * camera.unit
        outline = ellipse(np.zeros(2), radii, camera.roll, count=96)
        self._paint(canvas, center + outline * self._outline[:, None], camera, self._color(light))

    def paint_fringe(self, canvas: Canvas, hairline: Points, camera: Camera, light: Light) -> None:
        """Let strands fall over the forehead's edge. `hairline`: (13, 2) pixels."""
        edge = curve(hairline)  # (97, 2)
        down = camera.rotation()[:2, 1] * camera.unit
        tips = edge + self._fringe[:, None] * down
        outline = closed(tips, (edge - 0.30 * down)[::-1])
        if self._identity.hair_style == "buzz":
            self._paint(canvas, outline, camera, self._color(light), 0.5)
            return
        shadow = region(outline + 0.04 * down, canvas.shape, softness=0.03 * camera.unit)
        shade(canvas, shadow, (0.72, 0.66, 0.64))
        self._paint(canvas, outline, camera, self._color(light) * 0.95)


def _strands(
    alpha: Alpha, streaks: Canvas, camera: Camera, color: Points, contrast: float
) -> Canvas:
    """Strands (h, w, 3) that turn and grow with the head."""
    center = camera.head(np.array([0, -0.4, 0.3]))
    scale = camera.unit / 110
    cosine, sine = np.cos(camera.roll) * scale, np.sin(camera.roll) * scale
    # The strands slide sideways when the head turns.
    source = np.array([streaks.shape[1] / 2 - camera.yaw * 90, streaks.shape[0] / 3])
    offset = center - (alpha.columns.start, alpha.rows.start)
    matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
    matrix[:, 2] = offset - matrix[:, :2] @ source
    height, width = alpha.coverage.shape
    field = np.asarray(
        cv2.warpAffine(streaks, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32
    )
    y = (np.arange(height, dtype=np.float32) - np.float32(offset[1])) / np.float32(camera.unit)
    gloss = np.exp(-(((y + 0.55) / 0.28) ** 2)).astype(np.float32)[:, None] * 0.35
    brightness = 0.86 + contrast * field + gloss * (0.6 + 0.3 * field)
    return np.asarray(color.astype(np.float32) * brightness[..., None], np.float32)
