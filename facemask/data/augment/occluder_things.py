"""More that can hide a part of a face: phones, cups, hair, scarves and textured patches."""

from typing import Final

import cv2
import numpy as np

from facemask.data.augment.occluder_shapes import (
    LEVELS,
    Color,
    Image,
    Pen,
    Points,
    bezier,
    muted,
    rounded,
)

_HAIR: Final = np.array(
    [[18, 14, 12], [45, 30, 20], [80, 52, 32], [125, 85, 50], [190, 150, 95], [150, 65, 35],
     [150, 150, 150]], np.float64,
)  # fmt: skip


def random_tile(rng: np.random.Generator, image: Image | None = None, size: int = 48) -> Image:
    """A texture, uint8 (size, size, 3): flat, smooth or fine noise, stripes, or a piece of `image`.

    Args:
        rng: Source of randomness.
        image: Where a piece may be copied from, uint8 (H, W, 3).
        size: Height and width in pixels.
    """
    kind = int(rng.integers(0, 5 if image is not None else 4))
    if kind == 4 and image is not None:
        height, width = image.shape[:2]
        side = max(1, round(float(rng.uniform(0.15, 0.5)) * min(height, width)))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        piece = image[top : top + side, left : left + side]
        return np.asarray(cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    color = rng.uniform(0, 255, 3)
    if kind == 0:
        field = np.zeros((size, size, 1))
    elif kind == 1:
        field = rng.normal(0, 1, (size, size, 3))
    elif kind == 2:
        coarse = rng.normal(0, 1, (int(rng.integers(3, 9)),) * 2 + (3,))
        field = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))
    else:
        ramp = np.arange(size) * rng.uniform(0.2, 1.2)
        field = np.sin(ramp)[None, :, None] * np.ones((size, 1, 1))
    shade = np.linspace(-1, 1, size)[:, None, None] * rng.uniform(0, 30)
    tile = color + field * rng.uniform(8, 60) + shade
    return np.clip(np.broadcast_to(tile, (size, size, 3)), 0, 255).astype(np.uint8)


class Patch:
    """A textured rectangle or ellipse around the origin."""

    softness, shadow = 0.0, 0.0

    def __init__(self, rng: np.random.Generator, image: Image) -> None:
        """Draw its form; its texture may be a piece of the image."""
        self._tile = random_tile(rng, image)
        self._half = (float(rng.uniform(0.25, 0.8)), float(rng.uniform(0.25, 0.8)))
        self._outline = rounded(self._half, 1.0 if rng.random() < 0.5 else 0.05)
        self.base: Color = self._tile.mean(axis=(0, 1))

    def draw(self, pen: Pen) -> None:
        """Draw it."""
        pen.area(self._outline, self.base)
        pen.texture(self._tile, self._half)


class Phone:
    """A phone or a card, seen from behind or from the front."""

    softness, shadow = 0.0, 0.35

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw its form and colours."""
        self._half = (float(rng.uniform(0.5, 0.65)), float(rng.uniform(0.95, 1.25)))
        self._edge = rng.uniform(5, 60, 3) if rng.random() < 0.6 else rng.uniform(100, 240, 3)
        self._lenses = int(rng.integers(0, 4))
        self._glare = float(rng.uniform(-0.6, 0.6))
        self._back = muted(rng, 10, 245)
        self.base: Color = self._edge

    def draw(self, pen: Pen) -> None:
        """Draw case, back, lenses and glare."""
        w, h = self._half
        pen.area(rounded((w, h), 0.2), self._edge)
        pen.area(rounded((w * 0.93, h * 0.96), 0.2), self._back)
        x = self._glare * w
        glare = np.array([[x, -h * 0.9], [x + 0.3 * w, -h * 0.9], [x, h * 0.9],
                          [x - 0.3 * w, h * 0.9]])  # fmt: skip
        pen.area(np.clip(glare, [-0.9 * w, -h], [0.9 * w, h]), self._back * 0.8 + 50)
        for k in range(self._lenses):
            middle = np.array([-0.62 * w, -0.78 * h + 0.27 * k])
            pen.area(rounded((0.12, 0.12), 1.0, 16) + middle, np.full(3, 15.0))
            pen.area(rounded((0.05, 0.05), 1.0, 12) + middle, np.full(3, 90.0))


class Cup:
    """A cup, mug or glass with its rim towards -y."""

    softness, shadow = 0.03, 0.35

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw its form and colours."""
        self._color = muted(rng, 30, 250)
        if rng.random() < 0.4:
            self._color = np.full(3, rng.uniform(150, 250))
        self._band = rng.uniform(0, 255, 3) if rng.random() < 0.5 else None
        self._top, self._taper = float(rng.uniform(0.5, 0.75)), float(rng.uniform(0.65, 1.0))
        self._height = float(rng.uniform(1.3, 2.0))
        self.base: Color = self._color * 0.6

    def _wall(self, width: float, top: float, bottom: float) -> Points:
        a, b = self._top, self._top * self._taper
        left, right = a + (b - a) * top / self._height, a + (b - a) * bottom / self._height
        middle = -0.2 * self._top * (1 - width)  # the light comes from one side
        return np.array([[middle - width * left, top], [middle + width * left, top],
                         [middle + width * right, bottom],
                         [middle - width * right, bottom]])  # fmt: skip

    def draw(self, pen: Pen) -> None:
        """Draw wall, print, foot and rim."""
        for width, bright in LEVELS:
            pen.area(self._wall(width, 0, self._height), self._color * bright)
            foot = rounded((self._top * self._taper * width, 0.12 * self._top), 1.0)
            shift = np.array([-0.2 * self._top * (1 - width), self._height])
            pen.area(foot + shift, self._color * bright)
            if self._band is not None:
                band = self._wall(width, 0.35 * self._height, 0.7 * self._height)
                pen.area(band, self._band * bright)
        pen.area(rounded((self._top, 0.2 * self._top), 1.0), self._color * 1.05 + 8)
        pen.area(rounded((0.88 * self._top, 0.14 * self._top), 1.0), self._color * 0.4)


class Hair:
    """Locks of curved strands that fall from above; the origin is where the locks end, about."""

    softness, shadow = 0.0, 0.15

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the colour and the locks."""
        color = _HAIR[rng.integers(0, len(_HAIR))] * rng.uniform(0.7, 1.25)
        self.base: Color = color
        self._strands: list[tuple[Points, float, Color]] = []
        for _ in range(int(rng.integers(1, 4))):
            start = np.array([rng.uniform(-0.9, 0.9), -2.6])
            end = np.array([rng.uniform(-0.55, 0.55), rng.uniform(-0.35, 0.35)])
            bow, width = rng.uniform(-0.5, 0.5), rng.uniform(0.03, 0.16)
            for _ in range(int(rng.integers(10, 22))):
                side = rng.normal(0, width, 3)
                x = np.array([start[0], (start[0] + end[0]) / 2 + bow, end[0]])
                x += side[0] * np.array([2.0, 1.3, 0.6]) + side[1] * np.array([0.0, 0.7, 1.2])
                y = np.array([start[1], (start[1] + end[1]) / 2, end[1] + side[2] * 1.5])
                tone = color * rng.uniform(0.6, 1.35) + rng.uniform(0, 12)
                thickness = float(rng.uniform(0.008, 0.035))
                self._strands.append((bezier(np.stack([x, y], axis=1), 8), thickness, tone))

    def draw(self, pen: Pen) -> None:
        """Draw the strands."""
        for line, width, color in self._strands:
            pen.line(line, width, color)


class Scarf:
    """A band of cloth with folds, straight across; its upper edge is at y = 0."""

    softness, shadow = 0.05, 0.3

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw the cloth and its folds."""
        self._color = muted(rng, 15, 240)
        self.base: Color = self._color * 0.7
        sag, height = rng.uniform(-0.1, 0.35), float(rng.uniform(1.4, 2.4))
        self._edge = bezier(np.array([[-3.0, -0.3], [0.0, sag], [3.0, -0.3]]), 16)
        self._cloth = np.concatenate([self._edge, self._edge[::-1] + np.array([0, height])])
        self._folds = []
        for _ in range(int(rng.integers(5, 12))):
            fold = self._edge * (1, rng.uniform(0.5, 2.5)) + (0, rng.uniform(0.05, 1) * height)
            tone = self._color * rng.uniform(0.65, 1.25)
            self._folds.append((fold, float(rng.uniform(0.03, 0.16)), tone))

    def draw(self, pen: Pen) -> None:
        """Draw cloth, folds and hem."""
        pen.area(self._cloth, self._color)
        for line, width, color in self._folds:
            pen.line(line, width, color)
        pen.line(self._edge, 0.07, self._color * 0.85)
