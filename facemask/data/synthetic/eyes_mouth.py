"""Eyes and mouth, drawn inside the very curves that the mask is made of."""

from typing import Final

import cv2
import numpy as np

from facemask.data.masks import region_outlines
from facemask.data.synthetic.drawing import Alpha, Canvas, Points, Scene, blur, curve, ellipse
from facemask.data.synthetic.person import Expression, Identity
from facemask.data.synthetic.shape import FaceShape, surface

_EYEBALL: Final = 0.20  # radius in units; a real one is 12 mm where the pupils are 63 mm apart
_IRIS: Final = 0.098
_UPPER_LIP: Final = (0.98, 0.90, 0.80, 0.66)  # brightness from the skin to the parting
_LOWER_LIP: Final = (0.74, 0.92, 1.08, 1.06, 0.82)


def _rim_shadow(alpha: Alpha, reach: float, darkest: float) -> Canvas:
    """Return a factor (h, w, 1) that falls to `darkest` towards the region's upper rim."""
    down = np.array([[1, 0, 0], [0, 1, reach]])
    lowered = cv2.warpAffine(alpha.coverage, down, alpha.coverage.shape[::-1])
    soft = blur(np.asarray(lowered, np.float32), max(reach, 0.3))
    return np.asarray(darkest + (1 - darkest) * soft, np.float32)[..., None]


def paint_eyes(scene: Scene, points: Points, identity: Identity, expression: Expression) -> None:
    """Paint both eyes between their lids.

    Args:
        scene: The frame, painted in place.
        points: (68, 2) landmarks in pixels.
        identity: The person.
        expression: Its gaze is used here; the lids are in `points`.
    """
    outlines, unit = region_outlines(points), scene.camera.unit
    dark = np.minimum(identity.hair, identity.skin) * 0.35
    sides = ((-1, outlines[1], points[36:40]), (1, outlines[2], points[42:46]))
    for side, outline, upper in sides:
        alpha = scene.cover(outline)
        if alpha is not None:
            scene.blend(alpha, _eye(scene, alpha, side, identity, expression))
        # Two passes: a soft shadow of the lid's edge and the thin dark line of the lashes.
        lid = curve(upper) - (0, 0.007 * unit)
        scene.shade(lid, 0.72, width=0.045 * unit, soft=0.02 * unit)
        scene.paint(lid, dark, 0.85, width=0.022 * unit, soft=0.3)
        lower = outline[len(outline) // 2 :]
        scene.paint(lower, dark, 0.35, width=0.010 * unit, soft=0.4)


def _eye(
    frame: Scene, alpha: Alpha, side: int, identity: Identity, expression: Expression
) -> Canvas:
    light, unit, head = frame.lit(0, 0, 1), frame.camera.unit, frame.camera.head
    patch = frame.patch(alpha, np.array([232.0, 225, 220]) * light)
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
        return head(center + _EYEBALL * gaze + radius * circle)

    # The pink corner beside the nose.
    inner = head(np.array([middle[0] - side * 0.19 * identity.eye_size, 0.01, center[2] + 0.16]))
    pink = np.array([196.0, 120, 112]) * light
    patch.paint(ellipse(inner, (0.05 * unit,) * 2), pink, 0.7, soft=1.0)
    iris = identity.iris * light
    patch.paint(disc(_IRIS), iris * 0.42)
    patch.paint(disc(_IRIS * 0.84), iris, soft=0.4)
    patch.paint(disc(_IRIS * 0.62), iris * 1.25, 0.7, soft=0.5)
    patch.paint(disc(_IRIS * 0.42), (10, 8, 8))
    patch.canvas[:] *= _rim_shadow(alpha, 0.035 * unit, 0.45)
    spot = disc(_IRIS).mean(axis=0) + np.array([0.3, -0.36]) * _IRIS * unit
    gleam = ellipse(spot, (0.026 * unit,) * 2, count=16)
    patch.paint(gleam, np.array([255.0, 255, 255]) * min(1.0, float(light.max())), 0.95)
    return patch.canvas


def paint_mouth(scene: Scene, points: Points, shape: FaceShape, expression: Expression) -> None:
    """Paint the lips and, between them, teeth, tongue and the mouth's cavity.

    Arguments as in `paint_eyes`; `shape` gives the place of the teeth, which move with the
    skull and the jaw and not with the lips.
    """
    outlines, unit = region_outlines(points), scene.camera.unit
    lips = scene.cover(outlines[3], soft=0.35)
    if lips is not None:
        scene.blend(lips, _lips(scene, lips, points, shape.identity))
    inner = scene.cover(outlines[4])
    if inner is not None:
        scene.blend(inner, _cavity(scene, inner, shape, expression))
    # The parting line keeps a shut mouth readable: it is the shadow between the lips.
    upper, lower = curve(points[60:65]), curve(points[[64, 65, 66, 67, 60]])[::-1]
    part = np.concatenate([points[48:49], (upper + lower) / 2, points[54:55]])
    gap = float(np.abs(upper - lower).max()) / unit
    shut = float(np.clip(1 - gap / 0.08, 0, 1))
    if shut > 0:
        dark = (0.40, 0.32, 0.32)
        scene.shade(part, dark, 0.35 + 0.6 * shut, width=0.022 * unit, soft=0.4)
    scene.shade(upper, 0.6, 1 - shut, width=0.02 * unit, soft=0.5)


def _lips(frame: Scene, alpha: Alpha, points: Points, identity: Identity) -> Canvas:
    unit = frame.camera.unit
    patch = frame.patch(alpha, identity.lips * frame.lit(0, 0, 1))
    lower, inside = points[[54, 55, 56, 57, 58, 59, 48]], points[[64, 65, 66, 67, 60]]
    for outer_points, inner_points, levels, normal in (
        (points[48:55], points[60:65], _UPPER_LIP, (0, 0.35, 0.94)),
        (lower, inside, _LOWER_LIP, (0, -0.3, 0.95)),
    ):
        outer, inner = curve(outer_points, 8), curve(inner_points, 12)
        color = identity.lips * frame.lit(*normal)
        for k, level in enumerate(levels):
            a, b = k / len(levels), (k + 1) / len(levels) + 0.02
            far = (outer + b * (inner - outer))[::-1]
            patch.paint(np.concatenate([outer + a * (inner - outer), far]), color * level)
    patch.canvas[:] = blur(patch.canvas, max(0.4, 0.018 * unit))
    wet = (points[57] + points[66]) / 2 - (0, 0.01 * unit)
    gloss = ellipse(wet, (0.13 * unit, 0.018 * unit), frame.camera.roll)
    patch.paint(gloss, (255, 235, 230), 0.30, soft=0.03 * unit)
    return patch.canvas


def _cavity(frame: Scene, alpha: Alpha, shape: FaceShape, expression: Expression) -> Canvas:
    light, unit, head = frame.lit(0, 0, 1), frame.camera.unit, frame.camera.head
    patch = frame.patch(alpha, np.array([58.0, 18, 20]) * light)
    lip = float(shape.neutral[62, 1])
    drop = 0.40 * expression.jaw_open
    depth = float(surface(shape.identity, shape.neutral[62])) - 0.12

    def arc(v: float, bend: float) -> Points:
        """Return a row of the dental arch, (25, 2): it recedes and bends towards the sides."""
        s = np.linspace(-1, 1, 25)
        return head(np.stack([0.33 * s, v + bend * s**2, depth - 0.30 * s**2], axis=1))

    tongue = head(np.array([0, lip + 0.05 + 0.85 * drop, depth - 0.1]))
    fat = (0.24 * unit, (0.06 + 0.22 * drop) * unit)
    pink = np.array([172.0, 84, 86]) * light
    patch.paint(ellipse(tongue, fat, frame.camera.roll), pink, soft=0.02 * unit)
    enamel = np.array([244.0, 234, 214]) * light
    lower = [arc(lip + drop * 0.93 + 0.005, 0.02), arc(lip + drop + 0.25, 0.02)[::-1]]
    patch.paint(np.concatenate(lower), enamel * 0.80, soft=0.3)
    edge = arc(lip + 0.072, -0.035)
    upper = np.concatenate([arc(lip - 0.3, -0.035), edge[::-1]])
    patch.paint(upper, enamel, soft=0.3)
    top = arc(lip - 0.12, -0.035)
    for k in (4, 7, 9, 12, 15, 17, 20):  # gaps between the upper teeth
        patch.shade(np.stack([top[k], edge[k]]), 0.72, width=0.012 * unit, soft=0.3)
    # The cheeks' shadow darkens the mouth towards its corners.
    center = head(np.array([0, lip, depth])) - patch.offset
    columns = np.arange(patch.canvas.shape[1], dtype=np.float32) - np.float32(center[0])
    x = columns / np.float32(0.36 * unit)
    patch.canvas[:] *= np.clip(1.05 - 0.6 * x**2, 0.35, 1).astype(np.float32)[None, :, None]
    patch.canvas[:] *= _rim_shadow(alpha, 0.03 * unit, 0.35)
    return patch.canvas
