"""Hands, glasses and microphones in front of a made-up face. The landmarks stay complete."""

from collections.abc import Callable
from typing import Final

import numpy as np

from facemask.data.artist import Projection, Thing, glasses, hand, microphone
from facemask.data.synthetic.drawing import Camera, Points
from facemask.data.synthetic.person import Identity, Wave, smoothstep
from facemask.data.synthetic.shape import surface

Placing = Callable[[Camera, float], tuple[Projection, float]]
"""Projection of a thing as the camera sees it at so many seconds, and pixels per unit of it."""

_KINDS: Final = ("hand", "glasses hand", "microphone", "sunglasses", "hand microphone")
_TARGETS: Final = np.array(  # of the knuckles: mouth, cheeks, chin, eyes
    [[0.0, 0.85], [0.62, 0.6], [-0.62, 0.6], [0.1, 1.2], [0.45, 0.1], [-0.45, 0.1]]
)


def make_occluders(
    rng: np.random.Generator, identity: Identity, index: int
) -> list[tuple[Thing, Placing]]:
    """Draw what covers the face of video `index`, and how it moves; the kinds take turns."""
    made = []
    for kind in _KINDS[index % len(_KINDS)].split():
        if kind == "hand":
            made.append((hand(rng, identity.skin, identity.clothes), _held_hand(rng)))
        elif kind == "microphone":
            made.append((microphone(rng), _held_microphone(rng)))
        else:
            spread = identity.eye_spacing / 2
            made.append((glasses(rng, spread, dark=kind == "sunglasses"), _worn(identity)))
    return made


def _place(center: Points, angle: float, unit: float) -> tuple[Projection, float]:
    """Return the projection of a flat thing at `center`, turned by `angle`."""
    down = np.array([-np.sin(angle), np.cos(angle)]) * unit
    axes = np.stack([[down[1], -down[0]], down])
    return lambda points: points @ axes + center, unit


def _held_hand(rng: np.random.Generator) -> Placing:
    """Raise the person's own hand to the face and take it away again."""
    target = np.array([*_TARGETS[rng.integers(0, len(_TARGETS))], 1.4])
    side = float(np.sign(target[0])) if abs(target[0]) > 0.2 else float(rng.choice([-1.0, 1.0]))
    lean, size = -side * rng.uniform(0.15, 0.6), float(rng.uniform(0.78, 0.95))
    lift, bias = Wave(rng, 0.25, 0.5), float(rng.uniform(0.25, 0.65))
    drift = [Wave(rng, 0.3, 0.8) for _ in range(3)]

    def place(camera: Camera, t: float) -> tuple[Projection, float]:
        lowered = 1 - smoothstep(0.5 + 1.3 * (bias + lift(t)))
        away = np.array([side * 0.5, 1.0]) * lowered * 3.2
        sway = np.array([w(t) for w in drift[:2]]) * 0.07
        angle = lean + 0.10 * drift[2](t) + 0.5 * camera.roll
        return _place(camera.head(target) + (away + sway) * camera.unit, angle, size * camera.unit)

    return place


def _held_microphone(rng: np.random.Generator) -> Placing:
    """Hold a microphone under the mouth; it follows the head only half of the way."""
    target = np.array([rng.uniform(-0.35, 0.35), rng.uniform(1.15, 1.5), 2.0])
    lean, size = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.65, 0.8))
    drift = [Wave(rng, 0.25, 0.7) for _ in range(2)]

    def place(camera: Camera, t: float) -> tuple[Projection, float]:
        sway = np.array([w(t) for w in drift]) * 0.10 * camera.unit
        center = (camera.head(target) + camera.pixels(target)) / 2 + sway
        return _place(center, lean, size * camera.unit)

    return place


def _worn(identity: Identity) -> Placing:
    """Let glasses sit on the nose, bend back to the ears, and turn with the head."""
    front = float(surface(identity, np.array([0.14, 0.05]))) + 0.20
    bend, reach, ear = 0.98, identity.eye_spacing / 2 + 0.85, 1.12 * identity.face_width

    def place(camera: Camera, _: float) -> tuple[Projection, float]:
        def project(points: Points) -> Points:
            u, side = points[:, 0], np.sign(points[:, 0])
            seen = np.clip(0.5 - side * camera.yaw / 0.2, 0, 1)  # the head hides the far temple
            back = np.clip((np.abs(u) - bend) / (reach - bend), 0, 1) * seen
            u = np.where(np.abs(u) > bend, side * (bend + (ear - bend) * back), u)
            z = front - 0.28 * np.minimum(np.abs(u), bend) ** 2
            on_head = np.stack([u, points[:, 1] + 0.04, z + (0.35 - z) * back], axis=1)
            return camera.head(on_head)

        return project, camera.unit

    return place
