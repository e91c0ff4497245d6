"""What can hide a part of a face, drawn fast: one RGBA layer for each frame and object.

Every shape is described once, in units of the distance between the eyes, and drawn in each frame
with another `Pen`, so that it stays the same object while it moves.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Color = npt.NDArray[np.float64]
"""RGB (3,), 0 to 255."""
Image = npt.NDArray[np.uint8]

_SHIFT: Final = 4  # fractional bits of OpenCV's fixed-point coordinates
LEVELS: Final = ((1.0, 0.58), (0.84, 0.78), (0.62, 0.93), (0.34, 1.03))
"""Width and brightness of the lines that together look like a round limb."""
_SKIN_SHADE: Final = np.array([1.0, 0.9, 0.86])  # shaded skin turns red


@dataclass(frozen=True)
class Pen:
    """Draws a shape's points into a frame's layer.

    Attributes:
        layer: RGBA uint8 (H, W, 4), drawn in place.
        matrix: Turns the shape's coordinates into pixels, float64 (2, 3).
        scale: Pixels per unit of the shape.
    """

    layer: Image
    matrix: Points
    scale: float

    def _fixed(self, points: Points) -> npt.NDArray[np.int32]:
        pixels = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        # OpenCV cannot draw lines of more than 2^15 pixels
        pixels *= 1 << _SHIFT
        pixels.clip(-131072, 131072, out=pixels)  # 8192 pixels
        return np.asarray(pixels.round(), np.int32)

    def line(self, points: Points, width: float, color: Color, *, rough: bool = False) -> None:
        """Draw a line along points (N, 2), `width` units wide, at least one pixel.

        A rough one has jagged edges, which is faster and unseen where the shading is blurred.
        """
        cv2.polylines(
            self.layer, [self._fixed(points)], False, _rgba(color, 1.0),
            max(1, round(width * self.scale)), cv2.LINE_8 if rough else cv2.LINE_AA, _SHIFT,
        )  # fmt: skip

    def area(self, outline: Points, color: Color, alpha: float = 1.0) -> None:
        """Fill an outline (N, 2)."""
        cv2.fillPoly(
            self.layer, [self._fixed(outline)], _rgba(color, alpha), cv2.LINE_AA, _SHIFT
        )  # fmt: skip

    def texture(self, tile: Image, half: tuple[float, float]) -> None:
        """Lay a tile, uint8 (h, w, 3), over the box of half width and height around the origin."""
        height, width = tile.shape[:2]
        step = np.diag([2 * half[0] / width, 2 * half[1] / height])
        linear = self.matrix[:, :2] @ step
        start = self.matrix @ np.array([-half[0], -half[1], 1.0])
        matrix = np.column_stack([linear, start])
        size = (self.layer.shape[1], self.layer.shape[0])
        laid = cv2.warpAffine(tile, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
        self.layer[..., :3] = laid


class Shape(Protocol):
    """An object that hides a part of the face.

    Attributes:
        base: Colour of the layer where nothing is drawn; soft edges blend with it.
        softness: Blur of its shading, in units.
        shadow: Darkness of the shadow it throws on the face, 0 to 1.
    """

    base: Color
    softness: float
    shadow: float

    def draw(self, pen: Pen) -> None:
        """Draw it into one frame."""


def _rgba(color: Color, alpha: float) -> tuple[int, int, int, int]:
    red, green, blue = (int(min(max(c, 0.0), 255.0)) for c in color.tolist())
    return red, green, blue, round(255 * alpha)


def rounded(half: tuple[float, float], power: float, count: int = 40) -> Points:
    """Outline of an ellipse (power 1) or of a rounder or squarer box (less)."""
    theta = np.linspace(0, 2 * np.pi, count, endpoint=False)
    wave = np.stack([np.cos(theta), np.sin(theta)], axis=1)
    return np.asarray(np.sign(wave) * np.abs(wave) ** power * half, np.float64)


@lru_cache(maxsize=16)
def _bernstein(count: int) -> Points:
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)


def bezier(points: Points, count: int = 10) -> Points:
    """The quadratic Bézier curve (count, 2) of three points."""
    return np.asarray(np.einsum("nk,kd->nd", _bernstein(count), points), np.float64)


def muted(rng: np.random.Generator, low: float, high: float) -> Color:
    """A colour, mostly near grey, as most things are."""
    gray = rng.uniform(low, high)
    return np.asarray(gray + rng.random() ** 2 * (rng.uniform(low, high, 3) - gray), np.float64)


class Hand:
    """A hand: its knuckles at the origin, fingers towards -y, forearm towards +y."""

    softness, shadow = 0.045, 0.4

    def __init__(self, rng: np.random.Generator, skin: Color) -> None:
        """Draw its pose, its sleeve and which hand it is."""
        self.base, self._skin = skin * 0.62 * _SKIN_SHADE, skin
        self._sleeve = muted(rng, 10, 230) if rng.random() < 0.7 else None
        self._cuff = rng.uniform(1.9, 2.8)
        mirror = np.array([rng.choice([-1.0, 1.0]), 1.0])
        spread, folded = rng.uniform(0.0, 0.2), rng.random(4) < 0.12
        bend = rng.uniform(-0.12, 0.12) + rng.normal(0, 0.04, 4)
        self._limbs: list[tuple[Points, float]] = []
        self._palm: list[tuple[Points, float]] = []
        self._nails: list[tuple[Points, Points]] = []
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
            inside, middle = knuckle + np.array([0, 0.35]), knuckle + along * reach * 0.5
            finger = np.stack([inside, knuckle, middle, knuckle + tip])
            self._limbs.append((finger * mirror, width))
            self._palm.append((np.stack([knuckle, wrist + np.array([0.55 * x, 0])]) * mirror, 0.5))
            if not folded[k]:
                self._nails.append((finger[2] * mirror, finger[3] * mirror))
        thumb = np.array([[-0.3, 1.25], [-0.72, 0.72], [-0.9 - spread, 0.1]])
        self._limbs.append((bezier(thumb, 4) * mirror, 0.34))
        self._palm.append((np.stack([wrist - (0, 0.1), wrist + np.array([0, 5.0])]), 0.92))
        self._show_nails = rng.random() < 0.7  # the back of the hand, or its inside

    def draw(self, pen: Pen) -> None:
        """Draw forearm, palm, fingers, creases, nails and sleeve."""
        for width, bright in LEVELS:
            color = self._skin * (1 - (1 - bright) * (2 - _SKIN_SHADE))
            for line, size in self._palm:  # flatter than a finger: its middle is wider
                pen.line(line, size * (1 - 0.45 * (1 - width)), color, rough=width < 1)
            for line, size in self._limbs:
                pen.line(line, size * width, color, rough=width < 1)
        for middle, tip in self._nails:
            along = tip - middle
            across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
            for at in (0.0, 0.5):
                joint = middle + along * at
                pen.line(np.stack([joint - across * 0.07, joint + across * 0.07]), 0.02,
                         self._skin * 0.7 * _SKIN_SHADE)  # fmt: skip
            if self._show_nails:
                pen.line(np.stack([tip - along * 0.12, tip + along * 0.04]), 0.13,
                         self._skin * (1.06, 0.95, 0.93) + 14)  # fmt: skip
        if self._sleeve is not None:
            for width, bright in LEVELS:
                ends = np.array([[0, self._cuff + 0.6 * width], [0, 7.0]])
                pen.line(ends, 1.25 * width, self._sleeve * bright, rough=width < 1)


class Glasses:
    """Glasses or sunglasses; the origin lies between the eyes."""

    softness, shadow = 0.0, 0.25

    def __init__(self, rng: np.random.Generator, spread: float) -> None:
        """Draw their form.

        Args:
            rng: Source of randomness.
            spread: Half of the distance between the eyes, in units.
        """
        dark = rng.random() < 0.4
        self._color = rng.uniform(5, 70, 3) if rng.random() < 0.7 else muted(rng, 60, 230)
        self._tint = rng.uniform(5, 60, 3) if dark else rng.uniform(120, 220, 3)
        self._opacity = float(rng.uniform(0.7, 0.97) if dark else rng.uniform(0.03, 0.18))
        self.base = self._tint
        self._width = float(rng.uniform(0.025, 0.1))
        half = (spread * rng.uniform(0.72, 0.92), spread * rng.uniform(0.5, 0.82))
        outline = rounded(half, rng.uniform(0.5, 1.0))
        drop = rng.uniform(0.0, 0.1)
        self._rims = [outline + np.array([side * spread * 1.04, drop]) for side in (-1.0, 1.0)]
        self._frameless = rng.random() < 0.12
        self._glare = float(rng.uniform(0.1, 0.55)) if rng.random() < 0.6 else 0.0
        self._glare_at = float(rng.uniform(-0.5, 0.5)) * half[0]
        self._half, self._spread, self._drop = half, spread, drop

    def draw(self, pen: Pen) -> None:
        """Draw lenses, glare, rims, bridge and temples."""
        for side, rim in zip((-1.0, 1.0), self._rims, strict=True):
            pen.area(rim, self._tint, self._opacity)
            if self._glare:
                x = rim[:, 0].mean() + self._glare_at
                w, h = self._half[0] * 0.22, self._half[1] * 0.62
                y = rim[:, 1].mean()
                band = np.array([[x, y - h], [x + w, y - h], [x - w * 0.2, y + h],
                                 [x - w * 1.2, y + h]])  # fmt: skip
                pen.area(band, np.full(3, 245.0), max(self._glare, self._opacity * 0.8))
            outer = rim[np.argmax(rim[:, 0] * side)] - (0, 0.25 * self._half[1])
            ear = np.array([side * (self._spread + 0.85), outer[1] - 0.02])
            pen.line(np.stack([outer, ear]), self._width, self._color * 0.8)
            if not self._frameless:
                pen.line(np.concatenate([rim, rim[:1]]), self._width, self._color)
        inner = self._spread * 1.04 - self._half[0]
        y = self._drop - 0.2 * self._half[1]
        bridge = np.array([[-inner, y], [0.0, y - 0.12], [inner, y]])
        pen.line(bezier(bridge), self._width, self._color)


class Microphone:
    """A microphone with its head at the origin and its handle towards +y."""

    softness, shadow = 0.02, 0.3

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw its size and colours."""
        self._radius = float(rng.uniform(0.32, 0.55))
        self._foam = rng.random() < 0.4
        self._color = np.full(3, rng.uniform(25, 110))
        if self._foam and rng.random() < 0.5:
            self._color = rng.uniform(20, 230, 3)
        self._handle = np.full(3, rng.uniform(15, 70))
        self.base = self._color * 0.5

    def draw(self, pen: Pen) -> None:
        """Draw handle, head and mesh."""
        r = self._radius
        for width, bright in LEVELS:
            pen.line(np.array([[0, r], [0, 6.0]]), 1.2 * r * width, self._handle * bright,
                     rough=width < 1)  # fmt: skip
        for width, bright in LEVELS:
            center = np.array([-0.16, -0.2]) * r * (1 - width)
            color = self._color * (bright * 1.25)
            pen.area(rounded((r * width, 1.1 * r * width), 1.0) + center, color)
        if not self._foam:
            for k in np.linspace(-0.75, 0.75, 7):
                half = float(np.sqrt(1 - k * k)) * 0.95 * r
                for a, b in ((0, 1), (1, 0)):
                    ends = np.zeros((2, 2))
                    ends[:, a], ends[:, b] = k * r, (-half, half)
                    pen.line(ends, 0.0, self._color * 0.55)
            pen.line(np.array([[-0.7 * r, r], [0.7 * r, r]]), 0.25 * r, self._color * 1.6)
