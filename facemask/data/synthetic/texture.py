"""The skin's texture in (u, v): colour, surface normals and soft shadows, made once a video."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from facemask.data.synthetic.drawing import Canvas, Points, curve, noise
from facemask.data.synthetic.identity import Identity
from facemask.data.synthetic.shape import FaceShape, surface

_RESOLUTION: Final = 96
"""Texels per unit: about the size of the face in a frame 320 pixels high."""


@dataclass(frozen=True)
class SkinTexture:
    """Maps over (u, v); (h, w) or (h, w, 3) float32.

    Attributes:
        albedo: Colour without light, 0 to 255.
        normal: Unit normals in the head's axes.
        occlusion: Share of the ambient light that arrives, 0 to 1.
        folds: Darkening of a full smile (nasolabial folds, crow's-feet), 0 to 1.
        furrows: Darkening of the forehead's lines under fully raised brows, 0 to 1.
        scowl: Darkening between the brows in a full frown, 0 to 1.
        gloss: Strength of the highlights.
        origin: (u, v) of texel (0, 0).
        resolution: Texels per unit.
    """

    albedo: Canvas
    normal: Canvas
    occlusion: Canvas
    folds: Canvas
    furrows: Canvas
    scowl: Canvas
    gloss: Canvas
    origin: Points
    resolution: float


class _Painter:
    """Soft spots and lines on a map, placed by (u, v), mirrored on both sides of the face."""

    def __init__(self, uv: Points, origin: Points) -> None:
        self.uv, self.origin = uv, origin
        self.shape = uv.shape[:2]

    def spots(self, u: float, v: float, su: float, sv: float) -> Canvas:
        side, rise = (np.abs(self.uv[..., 0]) - u) / su, (self.uv[..., 1] - v) / sv
        return np.exp(-(side**2 + rise**2) / 2).astype(np.float32)

    def line(self, points: Points, thickness: float, softness: float) -> Canvas:
        field = np.zeros(self.shape, np.float32)
        for mirror in (1.0, -1.0):
            texels = (points * (mirror, 1) - self.origin) * _RESOLUTION
            cv2.polylines(
                field,
                [np.rint(texels * 16).astype(np.int32)],
                False,
                [1.0],
                max(1, round(thickness * _RESOLUTION)),
                cv2.LINE_8,
                4,
            )
        return np.asarray(cv2.GaussianBlur(field, (0, 0), softness * _RESOLUTION), np.float32)


def skin_texture(identity: Identity, shape: FaceShape, rng: np.random.Generator) -> SkinTexture:
    """Paint the skin of a person."""
    origin = np.array([-shape.width, shape.top])
    height = int(np.ceil((shape.bottom - shape.top) * _RESOLUTION)) + 1
    width = int(np.ceil(2 * shape.width * _RESOLUTION)) + 1
    u, v = np.meshgrid(np.arange(width) / _RESOLUTION, np.arange(height) / _RESOLUTION)
    uv = np.stack([u, v], axis=-1) + origin
    z = surface(identity, uv)
    dv, du = np.gradient(z, 1 / _RESOLUTION)
    # The sides are steep to the point of noise; a real head's normals turn evenly.
    normal = np.stack([-du, -dv, np.ones_like(z)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    bumps = noise(rng, height, width, 2.2) * 0.020 + noise(rng, height, width, 7) * 0.018
    normal[..., 0] += bumps * (0.7 + 0.6 * identity.age)
    normal[..., 1] += np.roll(bumps, 5, axis=0) * (0.7 + 0.6 * identity.age)

    painter = _Painter(uv, origin)
    occlusion, folds, furrows, scowl = _shadows(identity, shape, painter)
    gloss = (0.15 + painter.spots(0, 0.3 * identity.nose_length, 0.1, 0.35)).astype(np.float32)
    gloss += 0.7 * painter.spots(0, 0.52 * identity.nose_length, 0.07, 0.06)
    gloss += 0.5 * painter.spots(0, -0.7, 0.4, 0.2) + 0.4 * painter.spots(0.66, 0.3, 0.2, 0.12)
    return SkinTexture(
        albedo=_albedo(identity, shape, painter, rng),
        normal=normal.astype(np.float32),
        occlusion=occlusion,
        folds=folds,
        furrows=furrows,
        scowl=scowl,
        gloss=gloss,
        origin=origin,
        resolution=float(_RESOLUTION),
    )


def _shadows(
    identity: Identity, shape: FaceShape, painter: _Painter
) -> tuple[Canvas, Canvas, Canvas, Canvas]:
    nose, wing = identity.nose_length, identity.nose_width
    spacing, points = identity.eye_spacing / 2, shape.neutral
    mouth, corner = float(points[62, 1]), float(points[54, 0])
    shadow = 0.22 * painter.spots(spacing - 0.24, -0.06, 0.09, 0.11)  # beside the bridge
    shadow += 0.20 * painter.spots(spacing, -0.13, 0.22, 0.045)  # under the brow
    shadow += (0.08 + 0.14 * identity.age) * painter.spots(spacing - 0.05, 0.14, 0.17, 0.04)
    shadow += 0.22 * painter.spots(0.17 * wing + 0.09, 0.58 * nose, 0.028, 0.07)
    shadow += 0.10 * painter.spots(0.10 * wing, 0.53 * nose, 0.02, 0.04)
    shadow += 0.16 * painter.spots(0.06, 0.55 * nose + 0.20, 0.14 * wing, 0.04)
    shadow += 0.70 * painter.spots(0.098 * wing, 0.55 * nose + 0.12, 0.038, 0.016)  # nostrils
    shadow += 0.10 * painter.spots(0, (0.55 * nose + 0.15 + mouth) / 2 - 0.02, 0.028, 0.09)
    shadow += 0.24 * painter.spots(0, float(points[57, 1]) + 0.07, 0.20, 0.045)  # under the lip
    shadow += 0.18 * painter.spots(corner + 0.03, mouth + 0.02, 0.05, 0.05)
    shadow += 0.12 * painter.spots(0.84 * identity.face_width, 0.75, 0.16, 0.3)  # below cheekbone
    lid = curve(points[42:46]) + np.array([0, -0.055])
    shadow += 0.34 * painter.line(lid, 0.014, 0.014)  # the lid's crease
    shadow += 0.10 * painter.line(points[34:36] + np.array([0.03, -0.04]), 0.02, 0.02)

    wing_edge = np.array([0.22 * wing + 0.02, 0.55 * nose])
    fold = np.stack([wing_edge, wing_edge + np.array([0.16, 0.22]), [corner + 0.13, mouth + 0.05]])
    folds = painter.line(curve(fold), 0.03, 0.035)
    for rise in (-0.06, 0.0, 0.06):
        start = np.array([points[45, 0] + 0.06, rise * 0.6 + 0.01])
        feet = np.stack([start + np.array([k * 0.08, k**2 * rise / 4]) for k in range(3)])
        folds += (0.25 + 0.5 * identity.age) * painter.line(feet, 0.01, 0.01)
    furrows = np.zeros_like(shadow)
    for height in (0.5, 0.62, 0.74):
        line = np.stack([[0, -height], [0.3, -height - 0.02], [0.62, -height + 0.05]])
        furrows += 0.45 * painter.line(curve(line), 0.016, 0.016)
    scowl = 0.9 * painter.line(np.array([[0.07, -0.34], [0.06, -0.2]]), 0.02, 0.018)
    aged = 0.28 * identity.age * (folds + furrows + scowl)
    occlusion = np.asarray(np.clip(1 - shadow - aged, 0.12, 1), np.float32)
    return occlusion, folds, furrows, scowl


def _albedo(
    identity: Identity, shape: FaceShape, painter: _Painter, rng: np.random.Generator
) -> Canvas:
    height, width = painter.shape
    nose, points = identity.nose_length, shape.neutral
    albedo: Canvas = np.empty((height, width, 3), np.float32)
    albedo[:] = identity.skin
    blotches = noise(rng, height, width, 14) * 0.012 + noise(rng, height, width, 3) * 0.012
    albedo *= 1 + blotches[..., None]
    blush = 0.5 * painter.spots(0.62, 0.5, 0.24, 0.18) + 0.45 * painter.spots(
        0, 0.5 * nose, 0.13, 0.12
    )
    blush += 0.2 * painter.spots(0, 1.5 * identity.face_length, 0.3, 0.15)
    albedo *= 1 - blush[..., None] * np.array([0.0, 0.14, 0.12], np.float32)
    if identity.freckles > 0.2:
        dots = rng.random((height, width)) > 0.985
        where = painter.spots(0.4, 0.4, 0.45, 0.25) * identity.freckles
        soft = np.asarray(cv2.GaussianBlur(dots.astype(np.float32), (0, 0), 1.0), np.float32) * 4
        amount = (0.4 * np.minimum(soft, 1) * where)[..., None]
        albedo *= 1 - amount * np.array([0.7, 1, 1.1], np.float32)
    if identity.beard > 0:
        _paint_beard(albedo, identity, shape, painter, rng)
    _paint_brows(albedo, identity, points, painter, rng)
    return albedo


def _paint_beard(
    albedo: Canvas,
    identity: Identity,
    shape: FaceShape,
    painter: _Painter,
    rng: np.random.Generator,
) -> None:
    """Stubble or a beard along the jaw, on the chin and above the lip."""
    height, width = painter.shape
    points = shape.neutral
    outline = curve(points[0:17])
    inner = np.stack(
        [
            points[16] + (-0.07, 0.42),
            points[13] + (-0.16, 0.0),
            points[54] + (0.16, -0.02),
            points[54] + (-0.02, -0.17),
            points[33] + (0, 0.06),
        ]
    )
    area = np.concatenate([outline[len(outline) // 2 :][::-1], inner])
    field = np.zeros((height, width), np.float32)
    for mirror in (1.0, -1.0):
        texels = (area * (mirror, 1) - painter.origin) * painter.uv.shape[1] / (2 * shape.width)
        cv2.fillPoly(field, [np.rint(texels).astype(np.int32)], [1.0])
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), 0.045 * _RESOLUTION), np.float32)
    hairs = np.clip(0.75 + 0.3 * noise(rng, height, width, 1.3, 2.5), 0, 1)
    amount = (field * hairs * (0.25 + 0.6 * identity.beard))[..., None]
    albedo += amount * (identity.hair.astype(np.float32) * 0.8 - albedo)


def _paint_brows(
    albedo: Canvas,
    identity: Identity,
    points: Points,
    painter: _Painter,
    rng: np.random.Generator,
) -> None:
    """Two brows of single hairs whose upper edge is the landmarks' curve."""
    height, width = painter.shape
    color = identity.hair * 0.62 + identity.skin * 0.12
    coverage = np.zeros((height, width), np.uint8)
    for brow, outwards in ((points[17:22][::-1], -1), (points[22:27], 1)):
        edge = curve(brow, 20)
        t = np.linspace(0, 1, len(edge))
        depth = (
            0.10
            * identity.brow_thickness
            * np.clip(1.15 - 0.95 * t, 0, 1)
            * np.clip(0.55 + 5 * t, 0, 1)
        )
        for _ in range(int(260 * identity.brow_thickness**0.5)):
            k = int(rng.integers(0, len(edge)))
            root = edge[k] + (0, depth[k] * rng.uniform(0.1, 1))
            lean = (0.035 + 0.04 * t[k]) * outwards
            end = root + np.array([lean, -0.055 * (1 - 0.75 * t[k]) * rng.uniform(0.4, 1)])
            end[1] = max(end[1], edge[min(k + 4, len(edge) - 1)][1] - 0.004)
            line = np.rint((np.stack([root, end]) - painter.origin) * _RESOLUTION * 16)
            cv2.polylines(coverage, [line.astype(np.int32)], False, [255], 1, cv2.LINE_AA, 4)
    soft = np.asarray(cv2.GaussianBlur(coverage, (0, 0), 0.7), np.float32) / 255
    amount = np.clip(soft * 1.25, 0, 0.93)[..., None]
    albedo += amount * (color.astype(np.float32) - albedo)
