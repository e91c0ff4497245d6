"""What the face does in one frame, and how that moves the landmarks."""

from dataclasses import dataclass

import numpy as np

from facemask.data.landmarks import NUM_LANDMARKS
from facemask.data.synthetic.drawing import Points
from facemask.data.synthetic.identity import Identity


@dataclass(frozen=True)
class Expression:
    """Strengths from 0 to 1 (gaze: −1 to 1)."""

    jaw_open: float = 0.0
    smile: float = 0.0
    surprise: float = 0.0
    frown: float = 0.0
    pucker: float = 0.0
    blink: float = 0.0
    """1 is closed."""
    gaze_x: float = 0.0
    gaze_y: float = 0.0


def express(identity: Identity, neutral: Points, expression: Expression) -> Points:
    """Displacement (68, 3) of the landmarks by an expression, in units of the face.

    Args:
        identity: The person.
        neutral: (68, 2) landmarks of the relaxed face.
        expression: What the face does.
    """
    e = expression
    move = np.zeros((NUM_LANDMARKS, 3))
    _move_brows(move, e)
    _move_lids(move, neutral, e)
    _move_mouth(move, neutral, identity, e)
    return move


def _move_brows(move: Points, e: Expression) -> None:
    t = np.linspace(0, 1, 5)  # outer to inner end
    lift = -0.15 * e.surprise * (0.75 + 0.25 * np.sin(np.pi * t)) + 0.09 * e.frown * t**1.5
    lift = lift - 0.03 * e.frown * (1 - t) + 0.012 * e.smile + 0.012 * e.blink
    for brow, direction, order in ((slice(17, 22), 1, 1), (slice(22, 27), -1, -1)):
        move[brow, 1] = lift[::order]
        move[brow, 0] = direction * (0.045 * e.frown * t**1.5)[::order]


def _move_lids(move: Points, neutral: Points, e: Expression) -> None:
    opening = 1 + 0.42 * e.surprise - 0.30 * e.smile - 0.12 * e.frown
    opening = max(opening * (1 - e.blink), 0.035) - 0.12 * max(e.gaze_y, 0) * (1 - e.blink)
    for corners, upper, lower in (
        ((36, 39), (37, 38), (41, 40)),
        ((42, 45), (43, 44), (47, 46)),
    ):
        a, b = neutral[corners[0]], neutral[corners[1]]
        for top, bottom in zip(upper, lower, strict=True):
            line = a[1] + (b[1] - a[1]) * (neutral[top, 0] - a[0]) / (b[0] - a[0])
            # The lids meet a little below the line of the corners, as real ones do.
            meet = line + 0.55 * (neutral[bottom, 1] - line)
            move[top, 1] = meet + opening * (neutral[top, 1] - meet) - neutral[top, 1]
            low = max(min(opening, 1.0), 0.035)
            move[bottom, 1] = meet + low * (neutral[bottom, 1] - meet) - neutral[bottom, 1]
            move[bottom, 1] -= 0.018 * e.smile * (1 - e.blink)
            if e.blink > 0:  # never let the lids cross
                gap = neutral[bottom, 1] + move[bottom, 1] - neutral[top, 1] - move[top, 1]
                move[top, 1] -= max(0.006 - gap, 0.0)


def _move_mouth(move: Points, neutral: Points, identity: Identity, e: Expression) -> None:
    half = 0.41 * identity.mouth_width
    x = np.clip(neutral[48:68, 0] / half, -1, 1)
    middle = 1 - x**2  # 1 at the middle of the mouth, 0 at its corners
    corner = np.abs(x) ** 1.6
    mouth = move[48:68]
    lower = np.zeros(20)
    lower[[7, 8, 9, 10, 11, 17, 18, 19]] = 1
    lower[[7, 11]] = 0.75
    upper = np.zeros(20)
    upper[[1, 2, 3, 4, 5, 13, 14, 15]] = 1
    drop = 0.42 * e.jaw_open
    mouth[:, 1] += drop * (lower * (0.25 + 0.75 * np.sqrt(middle)) + 0.22 * corner * (1 - lower))
    mouth[:, 0] -= np.sign(x) * corner * 0.07 * e.jaw_open
    # A smile pulls the corners out and up and bares the upper teeth.
    mouth[:, 0] += 0.115 * e.smile * x
    mouth[:, 1] += e.smile * (0.045 * middle - 0.10 * corner)
    mouth[:, 1] -= e.smile * upper * 0.052 * middle
    mouth[:, 1] += e.smile * lower * 0.022 * middle
    mouth[:, 1] += e.frown * (0.075 * corner - 0.02 * middle)
    mouth[:, 1] -= e.surprise * upper * 0.025 * middle
    # Puckering narrows the mouth, thickens the lips and pushes them forward.
    mouth[:, 0] -= 0.32 * e.pucker * neutral[48:68, 0]
    mouth[:12, 1] += e.pucker * 0.025 * middle[:12] * (lower - upper)[:12]
    mouth[:, 2] += 0.10 * e.pucker - 0.05 * e.smile * corner - 0.08 * e.jaw_open * lower

    # The lower jaw turns about the ears: the chin drops most and moves back.
    chin = np.clip((neutral[:17, 1] - 0.75) / (neutral[8, 1] - 0.75), 0, 1)
    move[:17, 1] += 0.36 * e.jaw_open * chin
    move[:17, 0] -= np.sign(neutral[:17, 0]) * 0.05 * e.jaw_open * np.sin(np.pi * chin)
    move[:17, 2] -= 0.12 * e.jaw_open * chin
    move[:17, 0] += np.sign(neutral[:17, 0]) * 0.02 * e.smile * np.sin(np.pi * chin)
    move[31:36, 0] += 0.03 * e.smile * np.array([-1.0, -0.5, 0, 0.5, 1])
    move[31:36, 1] -= 0.015 * e.smile
