"""What is seen behind the person."""

from typing import Final

import cv2
import numpy as np

from facemask.data.synthetic.drawing import Canvas, Points, blend, ellipse, noise, region

_MARGIN: Final = 1.5  # the background is this much larger than the frame, for the camera to move


def _muted(rng: np.random.Generator, mean: float, spread: float) -> Points:
    """A colour (3,) of mostly little saturation, its brightness around `mean`."""
    tint = rng.normal(0, 1, 3) * rng.choice([8.0, 16.0, 34.0])
    return np.asarray(np.clip(rng.normal(mean, spread) + tint - tint.mean(), 8, 248), np.float64)


def make_background(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """A blurred room or landscape, float32, `_MARGIN` times the frame's size."""
    rows, columns = int(height * _MARGIN), int(width * _MARGIN)
    base, other = _muted(rng, 128, 70), _muted(rng, 128, 70)
    ramp = np.linspace(0, 1, rows)[:, None, None] * rng.uniform(0, 1) + (
        np.linspace(0, 1, columns)[None, :, None] * rng.uniform(0, 1)
    )
    picture = (base + (other - base) * 0.5 * ramp).astype(np.float32)
    kind = rng.integers(0, 4)
    for _ in range(int(rng.integers(6, 26)) if kind else 3):
        color = _muted(rng, float(base.mean()), 45)
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        size = rng.uniform(0.04, 0.25) * rows
        if kind == 1:  # lights out of focus
            outline = ellipse(np.array([x, y]), (size * 0.6, size * 0.6))
            blend(picture, region(outline, picture.shape), np.clip(color + 50, 0, 255), 0.6)
        elif kind == 2:  # shelves, windows, doors
            half = np.array([size, size * rng.uniform(0.4, 2.5)]) / 1.5
            corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * half + (x, y)
            blend(picture, region(corners, picture.shape), color, 0.9)
        else:  # foliage, crowd
            outline = ellipse(
                np.array([x, y]), (size, size * rng.uniform(0.4, 1.6)), rng.uniform(0, 3)
            )
            blend(picture, region(outline, picture.shape, softness=2.0), color, 0.7)
    softness = float(rng.uniform(0.004, 0.03)) * rows
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), softness), np.float32)
    picture += noise(rng, rows, columns, 3.0)[..., None] * np.float32(rng.uniform(0, 2.5))
    return np.clip(picture, 0, 255)


def place_background(background: Canvas, height: int, width: int, view: Points) -> Canvas:
    """Cut the frame out of the background.

    Args:
        background: From `make_background`.
        height: Rows of the frame.
        width: Columns.
        view: (3,) shift right, shift down (both in frame heights) and zoom of the camera.
    """
    zoom = float(view[2])
    x = width / 2 - zoom * background.shape[1] / 2 + view[0] * height
    y = height / 2 - zoom * background.shape[0] / 2 + view[1] * height
    matrix = np.array([[zoom, 0, x], [0, zoom, y]])
    placed = cv2.warpAffine(background, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(placed, np.float32)
