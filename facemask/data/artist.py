"""Hands, glasses and microphones that can hide a part of a face, real or made up.

A thing is decided once, as a list of lines and outlines in coordinates of its own, whose unit is
the distance between the eyes. Each frame shows it through another projection, so that it stays
the same thing while it moves.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Color = npt.NDArray[np.float64]
"""RGB (3,), 0 to 255."""
Image = npt.NDArray[np.uint8]
Pixels = TypeVar("Pixels", npt.NDArray[np.uint8], npt.NDArray[np.float32])
Projection = Callable[[Points], Points]
"""Function from points (N, 2) of a thing to x, y in pixels."""

HAIR_COLORS: Final = np.array(
    [[18, 14, 12], [45, 30, 20], [80, 52, 32], [125, 85, 50], [190, 150, 95], [150, 65, 35],
     [150, 150, 150]], np.float64,
)  # fmt: skip
"""From black to blond, then red and grey."""
_SHIFT: Final = 4  # fractional bits of OpenCV's fixed-point coordinates
LEVELS: Final = ((1.0, 0.58), (0.84, 0.78), (0.62, 0.93), (0.34, 1.03))
"""Width and brightness of the lines that together look like a round limb."""
_SKIN_SHADE: Final = np.array([1.0, 0.9, 0.86])  # shaded skin turns red


class Mark(NamedTuple):
    """Line along points or, without a width, a filled outline.

    Attributes:
        points: (N, 2) in units of the thing.
        color: Its colour.
        width: Thickness in units, at least one pixel.
        alpha: Opacity of a filled outline, 0 to 1.
        rough: A line with jagged edges: faster, and unseen where the shading is blurred.
    """

    points: Points
    color: Color
    width: float | None = None
    alpha: float = 1.0
    rough: bool = False


class Thing(NamedTuple):
    """Object that hides a part of the face.

    Attributes:
        base: Colour of the layer where nothing is drawn; soft edges blend with it.
        marks: Its lines and outlines, from the back to the front.
        softness: Blur of its shading, in units.
        shadow: Darkness of the shadow that it throws on the face, 0 to 1.
        texture: Picture (h, w, 3) over the box of this half width and height about the origin.
    """

    base: Color
    marks: Sequence[Mark]
    softness: float = 0.0
    shadow: float = 0.0
    texture: tuple[Image, tuple[float, float]] | None = None


def cover(
    picture: Pixels,
    thing: Thing,
    project: Projection,
    unit: float,
    light: Sequence[float] | Color = (1.0, 1.0, 1.0),
) -> Pixels:
    """Return a picture with a thing drawn over it, with soft shading and a shadow.

    Args:
        picture: RGB (H, W, 3), 0 to 255; not changed.
        thing: The thing.
        project: Where its points are in the picture.
        unit: Pixels per unit of the thing.
        light: Factor per channel of the thing's colours.

    Returns:
        A new picture, or the same one if the thing is out of sight.
    """
    layer = np.empty((*picture.shape[:2], 4), np.uint8)
    layer[:] = (*np.clip(thing.base, 0, 255).astype(np.uint8), 0)
    _draw(thing, layer, project, unit)
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(layer[..., 3]))
    if not width:
        return picture
    reach = round(0.15 * unit) + 2 if thing.shadow else 2
    top, left = max(y - reach, 0), max(x - reach, 0)
    window = (slice(top, y + height + reach), slice(left, x + width + reach))
    part = np.ascontiguousarray(layer[window])
    color = np.ascontiguousarray(part[..., :3])
    if thing.softness * unit > 0.3:
        side = 2 * round(1.2 * thing.softness * unit) + 1
        color = np.asarray(cv2.blur(cv2.blur(color, (side, side)), (side, side)), np.uint8)
    # the camera's edges are no sharper than this
    alpha = cv2.GaussianBlur(part[..., 3], (3, 3), 0.7).astype(np.float32) / 255
    under = 1 - alpha
    if thing.shadow:
        side = 2 * round(0.08 * unit) + 1
        shadow = cv2.blur(cv2.blur(alpha, (side, side)), (side, side))
        under *= 1 - np.float32(thing.shadow) * shadow
    depth = cv2.CV_8U if picture.dtype == np.uint8 else cv2.CV_32F
    out: Pixels = picture.copy()
    out[window] = cv2.add(
        cv2.multiply(picture[window], cv2.merge([under] * 3), dtype=depth),
        cv2.multiply(color, cv2.merge([alpha * np.float32(f) for f in light]), dtype=depth),
    )
    return out


def _draw(thing: Thing, layer: Image, project: Projection, unit: float) -> None:
    """Draw a thing into an RGBA layer, in place."""
    for points, color, width, alpha, rough in thing.marks:
        # OpenCV cannot draw lines of more than 2^15 pixels: 8192 are enough
        fixed = (project(points) * (1 << _SHIFT)).clip(-131072, 131072).round().astype(np.int32)
        red, green, blue = (int(min(max(c, 0.0), 255.0)) for c in color.tolist())
        rgba = (red, green, blue, round(255 * alpha))
        if width is None:
            cv2.fillPoly(layer, [fixed], rgba, cv2.LINE_AA, _SHIFT)
        else:
            pixels, kind = max(1, round(width * unit)), cv2.LINE_8 if rough else cv2.LINE_AA
            cv2.polylines(layer, [fixed], False, rgba, pixels, kind, _SHIFT)
    if thing.texture is not None:
        tile, (w, h) = thing.texture
        corners = project(np.array([[-w, -h], [w, -h], [-w, h]]))
        steps = (corners[1:] - corners[0]) / [[tile.shape[1]], [tile.shape[0]]]
        laid = cv2.warpAffine(
            tile, np.column_stack([*steps, corners[0]]), layer.shape[1::-1],
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        layer[..., :3] = laid


def rounded(half: tuple[float, float], power: float = 1.0, count: int = 40) -> Points:
    """Return the outline of an ellipse (power 1) or of a rounder or squarer box (less)."""
    theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
    wave = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return np.asarray(np.sign(wave) * np.abs(wave) ** power * half, np.float64)


@lru_cache(maxsize=16)
def _bernstein(count: int) -> Points:
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)


def bezier(points: Points, count: int = 10) -> Points:
    """Sample the quadratic Bézier curve of three points: (count, 2)."""
    return np.asarray(np.einsum("nk,kd->nd", _bernstein(count), points), np.float64)


def muted(rng: np.random.Generator, low: float, high: float) -> Color:
    """Draw a colour, mostly near grey, as most things are."""
    gray = rng.uniform(low, high)
    return np.asarray(gray + rng.random() ** 2 * (rng.uniform(low, high, 3) - gray), np.float64)


def hand(rng: np.random.Generator, skin: Color, sleeve: Color | None = None) -> Thing:
    """Draw a hand: its knuckles at the origin, fingers towards -y, forearm towards +y.

    Args:
        rng: Decides its pose, its sleeve and which hand it is.
        skin: Colour of the skin.
        sleeve: Colour of the sleeve; None draws one, or a bare arm.
    """
    drawn = muted(rng, 10, 230) if rng.random() < 0.7 else None
    sleeve = drawn if sleeve is None else sleeve
    cuff = rng.uniform(1.9, 2.8)
    mirror = np.array([rng.choice([-1.0, 1.0]), 1.0])
    spread, folded = rng.uniform(0.0, 0.2), rng.random(4) < 0.12
    bend = rng.uniform(-0.12, 0.12) + rng.normal(0, 0.04, 4)
    limbs: list[tuple[Points, float]] = []
    palm: list[tuple[Points, float]] = []
    nails: list[tuple[Points, Points]] = []
    wrist = np.array([0.0, 1.5])
    rows = zip(
        (-0.46, -0.15, 0.16, 0.45), (0.12, 0.0, 0.03, 0.17), (1.12, 1.28, 1.18, 0.88),
        (0.30, 0.31, 0.30, 0.25), strict=True,
    )  # fmt: skip
    for k, (x, y, length, width) in enumerate(rows):
        knuckle = np.array([x, y])
        reach = length * (0.5 if folded[k] else rng.uniform(0.93, 1.05))
        lean = (k - 1.5) * spread
        along = np.array([np.sin(lean), -np.cos(lean)])
        tip = along * reach + np.array([bend[k] * reach, 0])
        middle = knuckle + along * reach * 0.5
        finger = np.stack([knuckle + np.array([0, 0.35]), knuckle, middle, knuckle + tip]) * mirror
        limbs.append((finger, width))
        palm.append((np.stack([knuckle, wrist + np.array([0.55 * x, 0])]) * mirror, 0.5))
        if not folded[k]:
            nails.append((finger[2], finger[3]))
    thumb = np.array([[-0.3, 1.25], [-0.72, 0.72], [-0.9 - spread, 0.1]])
    limbs.append((bezier(thumb, 4) * mirror, 0.34))
    palm.append((np.stack([wrist - (0, 0.1), wrist + np.array([0, 5.0])]), 0.92))
    back = rng.random() < 0.7  # of the hand, with nails, or its inside

    marks = []
    for width, bright in LEVELS:
        color, rough = skin * (1 - (1 - bright) * (2 - _SKIN_SHADE)), width < 1
        for line, size in palm:  # flatter than a finger: its middle is wider
            marks.append(Mark(line, color, size * (1 - 0.45 * (1 - width)), rough=rough))
        marks += [Mark(line, color, size * width, rough=rough) for line, size in limbs]
    for middle, tip in nails:
        along = tip - middle
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        for joint in (middle + along * 0.0, middle + along * 0.5):
            crease = np.stack([joint - across * 0.07, joint + across * 0.07])
            marks.append(Mark(crease, skin * 0.7 * _SKIN_SHADE, 0.02))
        if back:
            nail = np.stack([tip - along * 0.12, tip + along * 0.04])
            marks.append(Mark(nail, skin * (1.06, 0.95, 0.93) + 14, 0.13))
    if sleeve is not None:
        for width, bright in LEVELS:
            ends = np.array([[0, cuff + 0.6 * width], [0, 7.0]])
            marks.append(Mark(ends, sleeve * bright, 1.25 * width, rough=width < 1))
    return Thing(skin * 0.62 * _SKIN_SHADE, marks, 0.045, 0.4)


def glasses(rng: np.random.Generator, spread: float, *, dark: bool | None = None) -> Thing:
    """Draw glasses or sunglasses; the origin lies between the eyes.

    Args:
        rng: Decides their form.
        spread: Half of the distance between the eyes, in units.
        dark: Sunglasses; None draws it.
    """
    drawn = rng.random() < 0.4
    dark = drawn if dark is None else dark
    color = rng.uniform(5, 70, 3) if rng.random() < 0.7 else muted(rng, 60, 230)
    tint = rng.uniform(5, 60, 3) if dark else rng.uniform(120, 220, 3)
    opacity = float(rng.uniform(0.7, 0.97) if dark else rng.uniform(0.03, 0.18))
    width = float(rng.uniform(0.025, 0.1))
    half = (spread * rng.uniform(0.72, 0.92), spread * rng.uniform(0.5, 0.82))
    outline = rounded(half, rng.uniform(0.5, 1.0))
    drop = rng.uniform(0.0, 0.1)
    frameless = rng.random() < 0.12
    glare = float(rng.uniform(0.1, 0.55)) if rng.random() < 0.6 else 0.0
    glare_at = float(rng.uniform(-0.5, 0.5)) * half[0]

    marks = []
    for side in (-1.0, 1.0):
        rim = outline + np.array([side * spread * 1.04, drop])
        marks.append(Mark(rim, tint, alpha=opacity))
        if glare:
            x, y = rim[:, 0].mean() + glare_at, rim[:, 1].mean()
            w, h = half[0] * 0.22, half[1] * 0.62
            band = [[x, y - h], [x + w, y - h], [x - w * 0.2, y + h], [x - w * 1.2, y + h]]
            bright = max(glare, opacity * 0.8)
            marks.append(Mark(np.array(band), np.full(3, 245.0), alpha=bright))
        outer = rim[np.argmax(rim[:, 0] * side)] - (0, 0.25 * half[1])
        ear = np.array([side * (spread + 0.85), outer[1] - 0.02])
        marks.append(Mark(np.stack([outer, ear]), color * 0.8, width))
        if not frameless:
            marks.append(Mark(np.concatenate([rim, rim[:1]]), color, width))
    inner, y = spread * 1.04 - half[0], drop - 0.2 * half[1]
    bridge = np.array([[-inner, y], [0.0, y - 0.12], [inner, y]])
    return Thing(tint, [*marks, Mark(bezier(bridge), color, width)], 0.0, 0.25)


def microphone(rng: np.random.Generator) -> Thing:
    """Draw a microphone with its head at the origin and its handle towards +y."""
    r = float(rng.uniform(0.32, 0.55))
    foam = rng.random() < 0.4
    color = np.full(3, rng.uniform(25, 110))
    if foam and rng.random() < 0.5:
        color = rng.uniform(20, 230, 3)
    handle, stick = np.full(3, rng.uniform(15, 70)), np.array([[0, r], [0, 6.0]])
    marks = [Mark(stick, handle * b, 1.2 * r * w, rough=w < 1) for w, b in LEVELS]
    for width, bright in LEVELS:
        center = np.array([-0.16, -0.2]) * r * (1 - width)
        head = rounded((r * width, 1.1 * r * width)) + center
        marks.append(Mark(head, color * (bright * 1.25)))
    if not foam:
        for k in np.linspace(-0.75, 0.75, 7):  # wire mesh
            half = float(np.sqrt(1 - k * k)) * 0.95 * r
            wire = np.array([[k * r, -half], [k * r, half]])
            marks += [Mark(wire, color * 0.55, 0.0), Mark(wire[:, ::-1], color * 0.55, 0.0)]
        ring = np.array([[-0.7 * r, r], [0.7 * r, r]])
        marks.append(Mark(ring, color * 1.6, 0.25 * r))
    return Thing(color * 0.5, marks, 0.02, 0.3)
