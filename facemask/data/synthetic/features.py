"""Eyes and mouth, drawn inside the very curves that the mask is made of."""

from typing import Final

import cv2
import numpy as np

from facemask.data.masks import region_outlines
from facemask.data.synthetic.camera import Camera
from facemask.data.synthetic.drawing import (
    Alpha,
    Canvas,
    Points,
    blend,
    closed,
    curve,
    ellipse,
    region,
    shade,
    stroke,
)
from facemask.data.synthetic.expression import Expression
from facemask.data.synthetic.identity import Identity
from facemask.data.synthetic.shape import FaceShape, surface
from facemask.data.synthetic.skin import Light

_EYEBALL: Final = 0.20  # radius in units; a real one is 12 mm where the pupils are 63 mm apart
_IRIS: Final = 0.098
_UPPER_LIP: Final = (0.98, 0.90, 0.80, 0.66)  # brightness from the skin to the parting
_LOWER_LIP: Final = (0.74, 0.92, 1.08, 1.06, 0.82)


def _patch(alpha: Alpha, color: Points) -> tuple[Canvas, Points]:
    """A picture of the size of `alpha` in one colour, and the offset of its pixels."""
    patch = np.empty((*alpha.coverage.shape, 3), np.float32)
    patch[:] = color
    return patch, np.array([alpha.columns.start, alpha.rows.start], np.float64)


def _rim_shadow(alpha: Alpha, reach: float, darkest: float) -> Canvas:
    """Factor (h, w, 1) that falls to `darkest` towards the region's upper rim."""
    lowered = np.asarray(
        cv2.warpAffine(
            alpha.coverage, np.array([[1, 0, 0], [0, 1, reach]]), alpha.coverage.shape[::-1]
        ),
        np.float32,
    )
    soft = np.asarray(cv2.GaussianBlur(lowered, (0, 0), max(reach, 0.3)), np.float32)
    return np.asarray(darkest + (1 - darkest) * soft, np.float32)[..., None]


def paint_eyes(
    canvas: Canvas,
    points: Points,
    identity: Identity,
    camera: Camera,
    light: Light,
    expression: Expression,
) -> None:
    """Paint both eyes between their lids.

    Args:
        canvas: The picture, changed in place.
        points: (68, 2) landmarks in pixels.
        identity: The person.
        camera: The view.
        light: The light.
        expression: Its gaze is used here; the lids are in `points`.
    """
    illumination = light.on(camera.rotation() @ np.array([0, 0, 1.0]))
    outlines = region_outlines(points)
    sides = ((-1, outlines[1], points[36:40]), (1, outlines[2], points[42:46]))
    for side, outline, upper in sides:
        alpha = region(outline, canvas.shape)
        if alpha is not None:
            blend(
                canvas, alpha, _eye_patch(alpha, side, identity, camera, illumination, expression)
            )
        _paint_lashes(canvas, upper, outline, identity, camera.unit)


def _eye_patch(
    alpha: Alpha,
    side: int,
    identity: Identity,
    camera: Camera,
    illumination: Points,
    expression: Expression,
) -> Canvas:
    patch, offset = _patch(alpha, np.array([232.0, 225, 220]) * illumination)
    middle = np.array([side * identity.eye_spacing / 2, 0.0])
    center = np.array([*middle, float(surface(identity, middle)) - _EYEBALL])
    gaze = np.array([0.40 * expression.gaze_x, 0.30 * expression.gaze_y, 0.0])
    gaze[2] = np.sqrt(1 - gaze @ gaze)
    across = np.cross(np.array([0, 1.0, 0]), gaze)
    across /= np.linalg.norm(across)
    down = np.cross(gaze, across)
    theta = np.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    circle = np.cos(theta) * across + np.sin(theta) * down

    def disc(radius: float) -> Points:
        return camera.head(center + _EYEBALL * gaze + radius * circle) - offset

    # The pink corner beside the nose.
    inner = camera.head(
        np.array([middle[0] - side * 0.19 * identity.eye_size, 0.01, center[2] + 0.16])
    )
    pink = region(ellipse(inner - offset, (0.05 * camera.unit,) * 2), patch.shape, softness=1.0)
    blend(patch, pink, np.array([196.0, 120, 112]) * illumination, 0.7)
    iris = identity.iris * illumination
    blend(patch, region(disc(_IRIS), patch.shape), iris * 0.42)
    blend(patch, region(disc(_IRIS * 0.84), patch.shape, softness=0.4), iris)
    blend(patch, region(disc(_IRIS * 0.62), patch.shape, softness=0.5), iris * 1.25, 0.7)
    blend(patch, region(disc(_IRIS * 0.42), patch.shape), (10, 8, 8))
    patch *= _rim_shadow(alpha, 0.035 * camera.unit, 0.45)
    spot = disc(_IRIS).mean(axis=0) + np.array([0.3, -0.36]) * _IRIS * camera.unit
    gleam = region(ellipse(spot, (0.026 * camera.unit,) * 2, count=16), patch.shape)
    blend(patch, gleam, np.array([255.0, 255, 255]) * min(1.0, float(illumination.max())), 0.95)
    return patch


def _paint_lashes(
    canvas: Canvas, upper: Points, outline: Points, identity: Identity, unit: float
) -> None:
    lid = curve(upper)
    dark = np.minimum(identity.hair, identity.skin) * 0.35
    raised = lid - (0, 0.007 * unit)
    # Two passes: a soft shadow of the lid's edge and the thin dark line of the lashes.
    shade(canvas, stroke(raised, canvas.shape, 0.045 * unit, softness=0.02 * unit), 0.72)
    blend(canvas, stroke(raised, canvas.shape, 0.022 * unit, softness=0.3), dark, 0.85)
    lower = outline[len(outline) // 2 :]
    blend(canvas, stroke(lower, canvas.shape, 0.010 * unit, softness=0.4), dark, 0.35)


def paint_mouth(
    canvas: Canvas,
    points: Points,
    shape: FaceShape,
    camera: Camera,
    light: Light,
    expression: Expression,
) -> None:
    """Paint the lips and, between them, teeth, tongue and the mouth's cavity.

    Arguments as in `paint_eyes`; `shape` gives the place of the teeth, which move with the
    skull and the jaw and not with the lips.
    """
    outlines = region_outlines(points)
    lips = region(outlines[3], canvas.shape, softness=0.35)
    if lips is not None:
        blend(canvas, lips, _lip_patch(lips, points, shape.identity, camera, light))
    inner = region(outlines[4], canvas.shape)
    if inner is not None:
        blend(canvas, inner, _cavity_patch(inner, shape, camera, light, expression))
    # The parting line keeps a shut mouth readable: it is the shadow between the lips.
    upper, lower = curve(points[60:65]), curve(points[[64, 65, 66, 67, 60]])[::-1]
    part = np.concatenate([points[48:49], (upper + lower) / 2, points[54:55]])
    gap = float(np.abs(upper - lower).max()) / camera.unit
    shut = float(np.clip(1 - gap / 0.08, 0, 1))
    line = stroke(part, canvas.shape, 0.022 * camera.unit, softness=0.4)
    shade(canvas, line, (0.40, 0.32, 0.32), 0.35 + 0.6 * shut if shut > 0 else 0.0)
    shade(canvas, stroke(upper, canvas.shape, 0.02 * camera.unit, softness=0.5), 0.6, 1 - shut)


def _lip_patch(
    alpha: Alpha, points: Points, identity: Identity, camera: Camera, light: Light
) -> Canvas:
    rotation = camera.rotation()
    patch, offset = _patch(alpha, identity.lips * light.on(rotation @ np.array([0, 0, 1.0])))
    halves = (
        (points[48:55], points[60:65], _UPPER_LIP, np.array([0, 0.35, 0.94])),
        (
            points[[54, 55, 56, 57, 58, 59, 48]],
            points[[64, 65, 66, 67, 60]],
            _LOWER_LIP,
            np.array([0, -0.3, 0.95]),
        ),
    )
    for outer_points, inner_points, levels, normal in halves:
        outer, inner = curve(outer_points, 8), curve(inner_points, 12)
        color = identity.lips * light.on(rotation @ normal)
        for k, level in enumerate(levels):
            a, b = k / len(levels), (k + 1) / len(levels) + 0.02
            strip = closed(outer + a * (inner - outer), (outer + b * (inner - outer))[::-1])
            blend(patch, region(strip - offset, patch.shape), color * level)
    softness = max(0.4, 0.018 * camera.unit)
    patch = np.asarray(cv2.GaussianBlur(patch, (0, 0), softness), np.float32)
    wet = (points[57] + points[66]) / 2 - offset - (0, 0.01 * camera.unit)
    gloss = ellipse(wet, (0.13 * camera.unit, 0.018 * camera.unit), camera.roll)
    blend(patch, region(gloss, patch.shape, softness=0.03 * camera.unit), (255, 235, 230), 0.30)
    return patch


def _cavity_patch(
    alpha: Alpha, shape: FaceShape, camera: Camera, light: Light, expression: Expression
) -> Canvas:
    illumination = light.on(camera.rotation() @ np.array([0, 0, 1.0]))
    patch, offset = _patch(alpha, np.array([58.0, 18, 20]) * illumination)
    unit = camera.unit
    identity = shape.identity
    lip = float(shape.neutral[62, 1])
    drop = 0.40 * expression.jaw_open
    depth = float(surface(identity, shape.neutral[62])) - 0.12

    def arc(v: float, bend: float, half: float = 0.33) -> Points:
        """A row of the dental arch, (25, 2) pixels: it recedes and bends towards the sides."""
        s = np.linspace(-1, 1, 25)
        row = np.stack([half * s, v + bend * s**2, depth - 0.30 * s**2], axis=1)
        return camera.head(row) - offset

    tongue = np.array([0, lip + 0.05 + 0.85 * drop, depth - 0.1])
    fat = (0.24 * unit, (0.06 + 0.22 * drop) * unit)
    outline = ellipse(camera.head(tongue) - offset, fat, camera.roll)
    blend(
        patch,
        region(outline, patch.shape, softness=0.02 * unit),
        np.array([172.0, 84, 86]) * illumination,
    )
    enamel = np.array([244.0, 234, 214]) * illumination
    lower = closed(arc(lip + drop * 0.93 + 0.005, 0.02), arc(lip + drop + 0.25, 0.02)[::-1])
    blend(patch, region(lower, patch.shape, softness=0.3), enamel * 0.80)
    edge = arc(lip + 0.072, -0.035)
    blend(
        patch, region(closed(arc(lip - 0.3, -0.035), edge[::-1]), patch.shape, softness=0.3), enamel
    )
    top = arc(lip - 0.12, -0.035)
    for k in (4, 7, 9, 12, 15, 17, 20):  # gaps between the upper teeth
        shade(
            patch,
            stroke(np.stack([top[k], edge[k]]), patch.shape, 0.012 * unit, softness=0.3),
            0.72,
        )
    # The cheeks' shadow darkens the mouth towards its corners.
    center = camera.head(np.array([0, lip, depth])) - offset
    x = (np.arange(patch.shape[1], dtype=np.float32) - np.float32(center[0])) / np.float32(
        0.36 * unit
    )
    patch *= np.clip(1.05 - 0.6 * x**2, 0.35, 1).astype(np.float32)[None, :, None]
    patch *= _rim_shadow(alpha, 0.03 * unit, 0.35)
    return patch
