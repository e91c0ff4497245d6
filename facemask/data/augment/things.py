"""Things that cover faces in real pictures alone: phones, cups, locks of hair, scarves, patches."""

import cv2
import numpy as np

from facemask.data import artist
from facemask.data.artist import Image, Mark, Points, Thing, bezier, muted, rounded


def random_tile(rng: np.random.Generator, image: Image | None = None, size: int = 48) -> Image:
    """Draw a texture: flat, smooth or fine noise, stripes, or a piece of `image`.

    Args:
        rng: Source of randomness.
        image: Where a piece may be copied from, uint8 (H, W, 3).
        size: Height and width in pixels.

    Returns:
        uint8 (size, size, 3).
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


def patch(rng: np.random.Generator, image: Image) -> Thing:
    """Draw a textured rectangle or ellipse; its texture may be a piece of the image."""
    tile = random_tile(rng, image)
    half = (float(rng.uniform(0.25, 0.8)), float(rng.uniform(0.25, 0.8)))
    outline = rounded(half, 1.0 if rng.random() < 0.5 else 0.05)
    color = tile.mean(axis=(0, 1))
    return Thing(color, [Mark(outline, color)], texture=(tile, half))


def phone(rng: np.random.Generator) -> Thing:
    """Draw a phone or a card, seen from behind or from the front."""
    w, h = float(rng.uniform(0.5, 0.65)), float(rng.uniform(0.95, 1.25))
    edge = rng.uniform(5, 60, 3) if rng.random() < 0.6 else rng.uniform(100, 240, 3)
    lenses, x, back = (
        int(rng.integers(0, 4)),
        float(rng.uniform(-0.6, 0.6)) * w,
        muted(rng, 10, 245),
    )
    glare = [[x, -h * 0.9], [x + 0.3 * w, -h * 0.9], [x, h * 0.9], [x - 0.3 * w, h * 0.9]]
    marks = [
        Mark(rounded((w, h), 0.2), edge),
        Mark(rounded((w * 0.93, h * 0.96), 0.2), back),
        Mark(np.clip(glare, [-0.9 * w, -h], [0.9 * w, h]), back * 0.8 + 50),
    ]
    for k in range(lenses):
        middle = np.array([-0.62 * w, -0.78 * h + 0.27 * k])
        marks.append(Mark(rounded((0.12, 0.12), 1.0, 16) + middle, np.full(3, 15.0)))
        marks.append(Mark(rounded((0.05, 0.05), 1.0, 12) + middle, np.full(3, 90.0)))
    return Thing(edge, marks, 0.0, 0.35)


def cup(rng: np.random.Generator) -> Thing:
    """Draw a cup, mug or glass with its rim towards -y."""
    color = muted(rng, 30, 250)
    if rng.random() < 0.4:
        color = np.full(3, rng.uniform(150, 250))
    band = rng.uniform(0, 255, 3) if rng.random() < 0.5 else None
    a, taper = float(rng.uniform(0.5, 0.75)), float(rng.uniform(0.65, 1.0))
    b, height = a * taper, float(rng.uniform(1.3, 2.0))

    def wall(width: float, top: float, bottom: float) -> Points:
        left, right = a + (b - a) * top / height, a + (b - a) * bottom / height
        middle = -0.2 * a * (1 - width)  # the light comes from one side
        x = middle + width * np.array([-left, left, right, -right])
        return np.stack([x, [top, top, bottom, bottom]], axis=1)

    marks = []
    for width, bright in artist.LEVELS:
        foot = rounded((b * width, 0.12 * a)) + np.array([-0.2 * a * (1 - width), height])
        marks += [Mark(wall(width, 0, height), color * bright), Mark(foot, color * bright)]
        if band is not None:
            marks.append(Mark(wall(width, 0.35 * height, 0.7 * height), band * bright))
    marks.append(Mark(rounded((a, 0.2 * a)), color * 1.05 + 8))
    marks.append(Mark(rounded((0.88 * a, 0.14 * a)), color * 0.4))
    return Thing(color * 0.6, marks, 0.03, 0.35)


def locks(rng: np.random.Generator) -> Thing:
    """Draw locks of curved strands that fall from above and end about the origin."""
    natural = artist.HAIR_COLORS[rng.integers(0, len(artist.HAIR_COLORS))]
    color = natural * rng.uniform(0.7, 1.25)
    strands = []
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
            strands.append(Mark(bezier(np.stack([x, y], axis=1), 8), tone, thickness))
    return Thing(color, strands, 0.0, 0.15)


def scarf(rng: np.random.Generator) -> Thing:
    """Draw a band of cloth with folds, straight across; its upper edge is at y = 0."""
    color = muted(rng, 15, 240)
    sag, height = rng.uniform(-0.1, 0.35), float(rng.uniform(1.4, 2.4))
    edge = bezier(np.array([[-3.0, -0.3], [0.0, sag], [3.0, -0.3]]), 16)
    marks = [Mark(np.concatenate([edge, edge[::-1] + np.array([0, height])]), color)]
    for _ in range(int(rng.integers(5, 12))):
        fold = edge * (1, rng.uniform(0.5, 2.5)) + (0, rng.uniform(0.05, 1) * height)
        tone = color * rng.uniform(0.65, 1.25)
        marks.append(Mark(fold, tone, float(rng.uniform(0.03, 0.16))))
    return Thing(color * 0.7, [*marks, Mark(edge, color * 0.85, 0.07)], 0.05, 0.3)
