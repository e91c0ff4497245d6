"""Landmarks of made-up faces."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Points: TypeAlias = npt.NDArray[np.float64]


def _arc(x0: float, x1: float, y: float, bend: float, count: int) -> Points:
    t = np.linspace(0, 1, count)
    return np.stack([x0 + (x1 - x0) * t, y - bend * np.sin(np.pi * t)], axis=1)


def face_points(
    rng: np.random.Generator,
    size: float = 100.0,
    center: tuple[float, float] = (100.0, 100.0),
    jitter: float = 0.01,
) -> Points:
    """A random face, frontal, about `size` pixels wide.

    Args:
        rng: Decides eye and mouth opening, the tilt and a jitter of every point.
        size: Width of the jaw in pixels.
        center: x, y of the middle.
        jitter: Standard deviation of the points' jitter over `size`.
    """
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 * np.cos(angle), -0.1 + 0.7 * np.sin(angle)], axis=1)
    eye_open, mouth_open = rng.uniform(0.01, 0.06), rng.uniform(0.0, 0.12)

    def eye(x: float) -> Points:
        upper = _arc(x - 0.09, x + 0.09, -0.08, eye_open, 4)
        lower = _arc(x + 0.09, x - 0.09, -0.08, -eye_open, 4)[1:3]
        return np.concatenate([upper, lower])

    points = np.concatenate(
        [
            jaw,
            _arc(-0.4, -0.1, -0.2, 0.06, 5),
            _arc(0.1, 0.4, -0.2, 0.06, 5),
            np.stack([np.zeros(4), np.linspace(-0.1, 0.12, 4)], axis=1),
            _arc(-0.1, 0.1, 0.17, -0.03, 5),
            eye(-0.22),
            eye(0.22),
            _arc(-0.2, 0.2, 0.36, 0.06 + mouth_open / 2, 7),
            _arc(0.2, -0.2, 0.36, -0.07 - mouth_open / 2, 7)[1:6],
            _arc(-0.16, 0.16, 0.36, 0.005 + mouth_open / 2, 5),
            _arc(0.16, -0.16, 0.36, -0.005 - mouth_open / 2, 5)[1:4],
        ]
    )
    points += rng.normal(0, jitter, points.shape)
    tilt = rng.uniform(-0.4, 0.4)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    turned: Points = points @ turn * size + center
    return turned
