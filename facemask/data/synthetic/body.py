"""Hair and body of a made-up person: neck, clothes, sides of the head, ears."""

from typing import Final, NamedTuple

import cv2
import numpy as np

from facemask.data.synthetic.drawing import Alpha, Canvas, Points, Scene, curve, ellipse, noise
from facemask.data.synthetic.person import Identity


class _Style(NamedTuple):
    """Look of one cut; lengths in units of the face.

    Attributes:
        volume: Size of the hair against the skull.
        ragged: How far single strands stand out of the outline.
        fringe: How far strands hang over the hairline.
        stretch: How many times as long as thick a strand looks.
        contrast: Of the strands.
    """

    volume: float
    ragged: float
    fringe: float
    stretch: float
    contrast: float


_STYLES: Final = {
    "short": _Style(1.02, 0.015, 0.10, 22.0, 0.13),
    "fringe": _Style(1.06, 0.012, 0.22, 30.0, 0.12),
    "long": _Style(1.06, 0.010, 0.14, 34.0, 0.13),
    "curly": _Style(1.14, 0.050, 0.12, 1.5, 0.24),
    "buzz": _Style(0.98, 0.006, 0.05, 1.2, 0.08),
}
# Outline from the throat down, at the neck's depth.
_SHOULDER: Final = np.array(
    [[0, 0.55, 0.80, 1.5, 2.3, 2.7, 2.8], [2.50, 2.38, 1.98, 2.26, 2.62, 4.0, 12], [-0.4] * 7]
).T


class Body:
    """Hair, neck, clothes and ears of a person: all but the face."""

    def __init__(self, identity: Identity, rng: np.random.Generator) -> None:
        """Draw the hair's strands and outline and the pattern of the clothes."""
        self._identity = identity
        self._style = _STYLES[identity.hair_style]
        size = 6.0 if identity.hair_style == "curly" else 2.4
        self._streaks = noise(rng, 420, 420, size, self._style.stretch)
        self._length = float(rng.uniform(1.5, 2.8))
        self._volume = self._style.volume * float(rng.uniform(0.97, 1.07))
        self._height = float(rng.uniform(0.98, 1.08))
        self._outline = 1 + _wobble(rng, 96, (2, 3, 5), 0.012)
        self._outline += _wobble(rng, 96, (11, 17, 23, 31), self._style.ragged)
        t = np.linspace(-1, 1, 97)
        part = float(rng.uniform(-1, 1)) * 0.08
        strands = 0.5 + _wobble(rng, 97, (9, 14, 21, 33), 0.5)
        self._fringe = self._style.fringe * strands
        self._fringe += part * t + float(rng.uniform(-0.05, 0.1)) * t**2
        self._stripes = float(rng.uniform(0.12, 0.3)) if rng.random() < 0.4 else 0.0
        self._collar = bool(rng.random() < 0.5)

    def paint_behind(self, scene: Scene, jaw: Points) -> None:
        """Paint hair, neck, clothes and ears; the face comes over them.

        Args:
            scene: The frame, painted in place.
            jaw: (17, 2) jaw points in pixels, for the chin's shadow.
        """
        if self._identity.hair_style == "long":
            self._paint_fall(scene)
        self._paint_neck(scene, jaw)
        self._paint_clothes(scene)
        self._paint_skull(scene)
        for side in (-1, 1):
            self._paint_side(scene, side)

    def paint_fringe(self, scene: Scene, hairline: Points) -> None:
        """Let strands fall over the forehead's edge. `hairline`: (13, 2) pixels."""
        unit = scene.camera.unit
        edge = curve(hairline)  # (97, 2)
        down = scene.camera.rotation()[:2, 1] * unit
        outline = np.concatenate([edge + self._fringe[:, None] * down, (edge - 0.30 * down)[::-1]])
        if self._identity.hair_style == "buzz":
            self._paint_hair(scene, outline, opacity=0.5)
            return
        scene.shade(outline + 0.04 * down, (0.72, 0.66, 0.64), soft=0.03 * unit)
        self._paint_hair(scene, outline, 0.95)

    def _paint_hair(
        self, scene: Scene, outline: Points, brightness: float = 1.0, opacity: float = 1.0
    ) -> None:
        color = self._identity.hair * scene.light.on(np.array([0, -0.5, 0.86]))
        if self._identity.hair_style == "buzz":  # the scalp shows through
            color = 0.6 * color + 0.4 * self._identity.skin * scene.light.front
        alpha = scene.cover(outline, soft=max(0.5, 0.014 * scene.camera.unit))
        if alpha is not None:
            tone = color * brightness
            strands = self._strands(alpha, scene, tone)
            scene.blend(alpha, strands, opacity)

    def _strands(self, alpha: Alpha, scene: Scene, color: Points) -> Canvas:
        """Return strands (h, w, 3) that turn and grow with the head."""
        camera, streaks = scene.camera, self._streaks
        scale = camera.unit / 110
        cosine, sine = np.cos(camera.roll) * scale, np.sin(camera.roll) * scale
        # The strands slide sideways when the head turns.
        source = np.array([streaks.shape[1] / 2 - camera.yaw * 90, streaks.shape[0] / 3])
        offset = camera.head(np.array([0, -0.4, 0.3])) - (alpha.columns.start, alpha.rows.start)
        matrix = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]])
        matrix[:, 2] = offset - matrix[:, :2] @ source
        height, width = alpha.coverage.shape
        turned = cv2.warpAffine(streaks, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        field = np.asarray(turned, np.float32)
        y = (np.arange(height, dtype=np.float32) - np.float32(offset[1])) / np.float32(camera.unit)
        gloss = np.exp(-(((y + 0.55) / 0.28) ** 2)).astype(np.float32)[:, None] * 0.35
        brightness = 0.86 + self._style.contrast * field + gloss * (0.6 + 0.3 * field)
        return np.asarray(color.astype(np.float32) * brightness[..., None], np.float32)

    def _paint_fall(self, scene: Scene) -> None:
        """Paint long hair, which hangs behind neck and face."""
        w, low = 1.22 * self._identity.face_width * self._volume, self._length
        side = np.array(
            [[w * 0.9, -0.7, 0], [w, 0.0, -0.2], [w * 1.06, 1.0, -0.4], [w * 0.94, low, -0.4]]
        )
        right, left = scene.camera.head(side), scene.camera.head(side * (-1, 1, 1))
        self._paint_hair(scene, np.concatenate([curve(right), curve(left[::-1])]), 0.72)

    def _paint_skull(self, scene: Scene) -> None:
        """Paint the hair on the head, behind face and ears."""
        camera, width = scene.camera, 1.15 * self._identity.face_width
        deep = np.hypot(width * np.cos(camera.yaw), 1.36 * np.sin(camera.yaw))
        tall = 1.20 * (0.65 + 0.35 * self._identity.hairline) * self._height
        center = camera.head(np.array([0, -0.36, 0.10]))
        radii = np.array([deep, tall]) * self._volume * camera.unit
        outline = ellipse(np.zeros(2), radii, camera.roll, count=96)
        self._paint_hair(scene, center + outline * self._outline[:, None])

    def _paint_neck(self, scene: Scene, jaw: Points) -> None:
        camera, unit = scene.camera, scene.camera.unit
        w = 0.66 * self._identity.face_width
        top = camera.head(np.array([[-w, 0.6, -0.3], [w, 0.6, -0.3]]))
        base = camera.pixels(np.array([[-w * 1.12, 2.1, -0.45], [w * 1.12, 2.1, -0.45]]))
        lower = camera.pixels(np.array([[-w * 1.6, 2.9, -0.45], [w * 1.6, 2.9, -0.45]]))
        right = curve(np.stack([top[1], base[1], lower[1]]))
        left = curve(np.stack([lower[0], base[0], top[0]]))
        neck = scene.cover(np.concatenate([right, left]))
        if neck is None:
            return
        middle = float((top[:, 0].mean() + base[:, 0].mean()) / 2) - neck.columns.start
        x = (np.arange(neck.coverage.shape[1]) - middle) / (w * 1.1 * unit)
        x = np.clip(x, -0.98, 0.98)
        normals = np.stack([x, np.zeros_like(x), np.sqrt(1 - x**2)], axis=1)
        tone = np.stack([scene.light.on(n) for n in normals]) * self._identity.skin * 0.88
        scene.blend(neck, tone[None].astype(np.float32))
        shadow = jaw + np.array([-0.10 * scene.light.direction[0], 0.22]) * unit
        chin = scene.cover(curve(shadow), soft=0.07 * unit)
        if chin is not None:
            scene.darken(_limited(neck, chin, scene.canvas.shape), (0.55, 0.47, 0.45))

    def _paint_clothes(self, scene: Scene) -> None:
        camera, unit = scene.camera, scene.camera.unit
        cloth = self._identity.clothes * scene.light.front
        right, left = camera.pixels(_SHOULDER), camera.pixels(_SHOULDER * (-1, 1, 1))
        body = scene.cover(np.concatenate([right, left[::-1]]), soft=0.01 * unit)
        if body is None:
            return
        rows = (np.arange(body.coverage.shape[0]) + body.rows.start - camera.y)[:, None] / unit
        columns = (np.arange(body.coverage.shape[1]) + body.columns.start - camera.x)[None] / unit
        facing = 1 + 0.16 * scene.light.direction[0] * columns - 0.08 * (rows - 1.5)
        facing = np.clip(facing, 0.4, 1.3)
        if self._stripes:
            facing = facing * (1 + 0.18 * np.sign(np.sin(2 * np.pi * rows / self._stripes)))
        folds = 0.05 * np.sin(7 * columns + 3 * np.sin(2 * rows))
        scene.blend(body, ((facing + folds)[..., None] * cloth).astype(np.float32))
        if self._collar:
            for edge in (right[:3], left[:3]):
                scene.paint(edge, cloth * 1.25, width=0.12 * unit, soft=0.4)

    def _paint_side(self, scene: Scene, side: int) -> None:
        """Paint the cheek between jaw line and ear, and the ear, if this side is seen."""
        camera, unit, w = scene.camera, scene.camera.unit, self._identity.face_width
        normal = camera.rotation() @ np.array([side * 0.85, 0, 0.53])
        tone = self._identity.skin * scene.light.on(normal) * (0.95, 0.93, 0.92)
        seen = float(np.clip(-side * camera.yaw / 0.25, 0, 1))  # turned towards the viewer
        if seen > 0:
            u = side * w * np.array([1.00, 1.12, 1.09, 0.97, 0.70, 0.90])
            low, deep = [-0.42, -0.05, 0.45, 0.88, 1.36, 0.80], [0.50, 0.14, 0.12, 0.20, 0.50, 0.62]
            flank = curve(camera.head(np.stack([u, low, deep], axis=1)))
            scene.paint(flank, tone * 0.80, seen, soft=0.03 * unit)
        if self._identity.hair_style == "long" or normal[2] < -0.1:
            return
        theta = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        lobe = np.cos(theta) * (1.2 - 0.4 * np.sin(theta))
        v = 0.20 + 0.33 * np.sin(theta) - 0.03 * np.cos(theta)
        ear = np.stack([side * (1.11 * w + 0.085 * lobe), v, 0.22 - 0.16 * lobe], axis=1)
        outline = camera.head(ear)
        scene.paint(outline, tone * 1.04, soft=0.4)
        middle = outline.mean(axis=0)
        hollow = middle + 0.6 * (outline - middle)
        scene.shade(hollow, (0.68, 0.58, 0.56), soft=0.03 * unit)


def _wobble(rng: np.random.Generator, count: int, waves: tuple[int, ...], amount: float) -> Points:
    """Draw a closed random line (count,) of waves a turn, between −amount and amount."""
    theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
    parts = [rng.uniform(0.5, 1) * np.sin(w * theta + rng.uniform(0, 6.3)) for w in waves]
    return np.asarray(amount * np.sum(parts, axis=0) / len(waves), np.float64)


def _limited(outer: Alpha, inner: Alpha, shape: tuple[int, ...]) -> Alpha:
    """Return `inner` limited to `outer`, on the grid of `outer`, in a picture of this shape."""
    full = np.zeros(shape[:2], np.float32)
    full[inner.rows, inner.columns] = inner.coverage
    return outer._replace(coverage=full[outer.rows, outer.columns] * outer.coverage)
