"""The person below and beside the face: shoulders, neck, sides of the head, ears."""

import numpy as np

from facemask.data.synthetic.camera import Camera
from facemask.data.synthetic.drawing import (
    Alpha,
    Canvas,
    Points,
    blend,
    closed,
    curve,
    region,
    shade,
    stroke,
)
from facemask.data.synthetic.hair import Hair
from facemask.data.synthetic.identity import Identity
from facemask.data.synthetic.skin import Light


class Person:
    """The parts of a person that are not the face.

    Attributes:
        hair: Their hair.
    """

    def __init__(self, identity: Identity, rng: np.random.Generator) -> None:
        """Draw the hair and the pattern of the clothes."""
        self._identity = identity
        self.hair = Hair(identity, rng)
        self._stripes = float(rng.uniform(0.12, 0.3)) if rng.random() < 0.4 else 0.0
        self._collar = bool(rng.random() < 0.5)

    def paint_behind(self, canvas: Canvas, jaw: Points, camera: Camera, light: Light) -> None:
        """Paint hair, neck, clothes and ears; the face comes over them.

        Args:
            canvas: The picture, changed in place.
            jaw: (17, 2) jaw points in pixels, for the chin's shadow.
            camera: The view.
            light: The light.
        """
        self.hair.paint_fall(canvas, camera, light)
        self._paint_neck(canvas, jaw, camera, light)
        self._paint_clothes(canvas, camera, light)
        self.hair.paint_skull(canvas, camera, light)
        self._paint_sides(canvas, camera, light)

    def _paint_neck(self, canvas: Canvas, jaw: Points, camera: Camera, light: Light) -> None:
        identity, unit = self._identity, camera.unit
        w = 0.66 * identity.face_width
        top = camera.head(np.array([[-w, 0.6, -0.3], [w, 0.6, -0.3]]))
        base = camera.pixels(np.array([[-w * 1.12, 2.1, -0.45], [w * 1.12, 2.1, -0.45]]))
        lower = camera.pixels(np.array([[-w * 1.6, 2.9, -0.45], [w * 1.6, 2.9, -0.45]]))
        right = curve(np.stack([top[1], base[1], lower[1]]))
        left = curve(np.stack([lower[0], base[0], top[0]]))
        neck = region(closed(right, left), canvas.shape)
        if neck is not None:
            middle = float((top[:, 0].mean() + base[:, 0].mean()) / 2) - neck.columns.start
            x = (np.arange(neck.coverage.shape[1]) - middle) / (w * 1.1 * unit)
            x = np.clip(x, -0.98, 0.98)
            normals = np.stack([x, np.zeros_like(x), np.sqrt(1 - x**2)], axis=1)
            tone = np.stack([light.on(n) for n in normals]) * identity.skin * 0.88
            patch = np.broadcast_to(tone[None], (*neck.coverage.shape, 3)).astype(np.float32)
            blend(canvas, neck, patch)
            shadow = jaw + np.array([-0.10 * light.direction[0], 0.22]) * unit
            shade(
                canvas,
                _limited(neck, region(curve(shadow), canvas.shape, softness=0.07 * unit)),
                (0.55, 0.47, 0.45),
            )

    def _paint_clothes(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        unit = camera.unit
        cloth = self._identity.clothes * light.on(np.array([0, 0, 1.0]))
        shoulder = np.array(
            [
                [0, 2.50],
                [0.55, 2.38],
                [0.80, 1.98],
                [1.5, 2.26],
                [2.3, 2.62],
                [2.7, 4.0],
                [2.8, 12],
            ]
        )
        half = np.concatenate([shoulder, np.full((len(shoulder), 1), -0.4)], axis=1)
        outline = closed(camera.pixels(half), camera.pixels(half * (-1, 1, 1))[::-1])
        body = region(outline, canvas.shape, softness=0.01 * unit)
        if body is None:
            return
        rows = (np.arange(body.coverage.shape[0]) + body.rows.start - camera.y) / unit
        columns = (np.arange(body.coverage.shape[1]) + body.columns.start - camera.x) / unit
        facing = np.clip(
            1 + 0.16 * light.direction[0] * columns[None] - 0.08 * (rows[:, None] - 1.5), 0.4, 1.3
        )
        if self._stripes:
            facing = facing * (
                1 + 0.18 * np.sign(np.sin(2 * np.pi * rows[:, None] / self._stripes))
            )
        folds = 0.05 * np.sin(7 * columns[None] + 3 * np.sin(2 * rows[:, None]))
        blend(canvas, body, ((facing + folds)[..., None] * cloth).astype(np.float32))
        if self._collar:
            edge = camera.pixels(half[:3])
            for flip in (1, -1):
                line = camera.pixels(half[:3] * (flip, 1, 1)) if flip < 0 else edge
                blend(canvas, stroke(line, canvas.shape, 0.12 * unit, softness=0.4), cloth * 1.25)

    def _paint_sides(self, canvas: Canvas, camera: Camera, light: Light) -> None:
        """Paint the cheek between jaw line and ear, and the ear, on every side that is seen."""
        identity, unit = self._identity, camera.unit
        w = identity.face_width
        theta = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        for side in (-1, 1):
            normal = camera.rotation() @ np.array([side * 0.85, 0, 0.53])
            tone = identity.skin * light.on(normal) * (0.95, 0.93, 0.92)
            seen = float(np.clip(-side * camera.yaw / 0.25, 0, 1))  # turned towards the viewer
            if seen > 0:
                cheek = np.array(
                    [
                        [1.00 * w, -0.42, 0.50],
                        [1.12 * w, -0.05, 0.14],
                        [1.09 * w, 0.45, 0.12],
                        [0.97 * w, 0.88, 0.20],
                        [0.70 * w, 1.36, 0.50],
                        [0.90 * w, 0.80, 0.62],
                    ]
                ) * (side, 1, 1)
                outline = closed(curve(camera.head(cheek)))
                flank = region(outline, canvas.shape, softness=0.03 * unit)
                blend(canvas, flank, tone * 0.80, seen)
            if identity.hair_style == "long" or normal[2] < -0.1:
                continue
            lobe = np.cos(theta) * (1.2 - 0.4 * np.sin(theta))
            ring = np.stack(
                [
                    side * (1.11 * w + 0.085 * lobe),
                    0.20 + 0.33 * np.sin(theta) - 0.03 * np.cos(theta),
                    0.22 - 0.16 * lobe,
                ],
                axis=1,
            )
            outline = camera.head(ring)
            blend(canvas, region(outline, canvas.shape, softness=0.4), tone * 1.04)
            middle = outline.mean(axis=0)
            hollow = region(middle + 0.6 * (outline - middle), canvas.shape, softness=0.03 * unit)
            shade(canvas, hollow, (0.68, 0.58, 0.56))


def _limited(outer: Alpha, inner: Alpha | None) -> Alpha | None:
    """`inner` limited to `outer`, on the grid of `outer`."""
    if inner is None:
        return None
    full = np.zeros_like(outer.coverage)
    top, left = inner.rows.start - outer.rows.start, inner.columns.start - outer.columns.start
    a, b = max(top, 0), max(left, 0)
    c = min(top + inner.coverage.shape[0], full.shape[0])
    d = min(left + inner.coverage.shape[1], full.shape[1])
    if c <= a or d <= b:
        return None
    full[a:c, b:d] = inner.coverage[a - top : c - top, b - left : d - left]
    return Alpha(full * outer.coverage, outer.rows, outer.columns)
