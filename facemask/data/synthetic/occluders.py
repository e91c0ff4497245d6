"""Things in front of the face: hands, glasses, microphones. The landmarks stay complete."""

from typing import Final, Protocol

import numpy as np

from facemask.data.synthetic.camera import Camera
from facemask.data.synthetic.drawing import (
    Canvas,
    Points,
    blend,
    curve,
    ellipse,
    region,
    shade,
    stroke,
)
from facemask.data.synthetic.identity import Identity
from facemask.data.synthetic.motion import Wave, smoothstep
from facemask.data.synthetic.shape import surface
from facemask.data.synthetic.skin import Light

_KINDS: Final = (
    ("hand",),
    ("glasses", "hand"),
    ("microphone",),
    ("sunglasses",),
    ("hand", "microphone"),
)
_TARGETS: Final = (
    (0.0, 1.05),
    (0.62, 0.75),
    (-0.62, 0.75),
    (0.1, 1.45),
    (0.45, 0.15),
    (-0.45, 0.15),
)


class Occluder(Protocol):
    """Something that hides a part of the face."""

    def paint(self, canvas: Canvas, camera: Camera, light: Light, t: float) -> None:
        """Paint it into the canvas, in place, at `t` seconds."""


def make_occluders(rng: np.random.Generator, identity: Identity, index: int) -> list[Occluder]:
    """Draw what covers the face of video `index`; the kinds take turns."""
    made: list[Occluder] = []
    for kind in _KINDS[index % len(_KINDS)]:
        if kind == "hand":
            made.append(Hand(rng, identity))
        elif kind == "microphone":
            made.append(Microphone(rng, identity))
        else:
            made.append(Glasses(rng, identity, dark=kind == "sunglasses"))
    return made


class Hand:
    """The person's own hand, raised to the face and taken away again."""

    def __init__(self, rng: np.random.Generator, identity: Identity) -> None:
        """Draw where it touches and how it moves."""
        u, v = _TARGETS[rng.integers(0, len(_TARGETS))]
        self._target = np.array([u, v, 1.4])
        self._side = float(np.sign(u)) if u else float(rng.choice([-1.0, 1.0]))
        self._angle = -self._side * rng.uniform(0.15, 0.6)
        self._raise, self._drift = Wave(rng, 0.25, 0.5), [Wave(rng, 0.3, 0.8) for _ in range(3)]
        self._bias = float(rng.uniform(0.25, 0.65))
        self._size = float(rng.uniform(0.78, 0.95))
        self._spread = float(rng.uniform(0.02, 0.14))
        self._identity = identity

    def paint(self, canvas: Canvas, camera: Camera, light: Light, t: float) -> None:
        """Paint arm, palm, fingers and thumb."""
        size = self._size * camera.unit
        raised = smoothstep(0.5 + 1.3 * (self._bias + self._raise(t)))
        away = np.array([self._side * 0.5, 1.0]) * (1 - raised) * 3.2 * camera.unit
        sway = np.array([w(t) for w in self._drift[:2]]) * 0.07 * camera.unit
        touch = camera.head(self._target) + away + sway
        angle = self._angle + 0.10 * self._drift[2](t) + 0.5 * camera.roll
        up = np.array([np.sin(angle), -np.cos(angle)])
        across = np.array([-up[1], up[0]])
        palm = touch - up * 0.75 * size
        skin = self._identity.skin * light.on(np.array([0, -0.2, 0.98]))
        sleeve = self._identity.clothes * light.on(np.array([0, 0, 1.0])) * 0.9
        wrist = palm - up * 0.75 * size
        elbow = wrist - up * 4 * size + np.array([self._side * 1.2, 1.5]) * size
        self._tube(
            canvas, np.stack([palm, wrist, wrist - up * 0.5 * size]), 0.72 * size, skin, across
        )
        self._tube(canvas, np.stack([wrist - up * 0.3 * size, elbow]), 0.95 * size, sleeve, across)
        thumb = palm + across * self._side * -0.35 * size - up * 0.2 * size
        tip = thumb + (across * self._side * -0.42 + up * 0.62) * size
        knuckles = ellipse(palm, (0.55 * size, 0.60 * size), angle)
        blend(canvas, region(knuckles, canvas.shape, softness=0.02 * size), skin * 0.93)
        self._tube(
            canvas,
            np.stack([thumb, (thumb + tip) / 2 + across * self._side * -0.08 * size, tip]),
            0.27 * size,
            skin,
            across,
        )
        for k, length in enumerate((0.98, 1.16, 1.10, 0.86)):
            offset = (k - 1.5) * 0.265
            base = palm + across * offset * size + up * 0.32 * size
            direction = up + across * (k - 1.5) * self._spread
            middle = base + direction * length * 0.5 * size
            end = base + direction * length * size
            self._tube(
                canvas,
                curve(np.stack([base - up * 0.3 * size, middle, end])),
                0.235 * size,
                skin,
                across,
            )
            for joint in (0.42, 0.74):  # creases of the knuckles
                at = base + direction * length * joint * size
                crease = np.stack([at - across * 0.08 * size, at + across * 0.08 * size])
                shade(
                    canvas, stroke(crease, canvas.shape, 0.02 * size, softness=0.015 * size), 0.78
                )
            nail = ellipse(end - direction * 0.03 * size, (0.065 * size, 0.09 * size), angle)
            blend(
                canvas, region(nail, canvas.shape, softness=0.4), skin * (1.05, 0.92, 0.9) + 14, 0.8
            )

    @staticmethod
    def _tube(
        canvas: Canvas, line: Points, thickness: float, color: Points, across: Points
    ) -> None:
        """A round limb: dark edge, body, and a lighter middle."""
        shape = canvas.shape
        shade(canvas, stroke(line, shape, thickness * 1.12, softness=0.05 * thickness), 0.62)
        blend(canvas, stroke(line, shape, thickness * 0.98), color * (0.80, 0.72, 0.70))
        lit = line - across * 0.08 * thickness
        blend(canvas, stroke(lit, shape, thickness * 0.55, softness=0.15 * thickness), color)


class Microphone:
    """A hand microphone held under the mouth."""

    def __init__(self, rng: np.random.Generator, identity: Identity) -> None:
        """Draw its size and place."""
        self._place = np.array([rng.uniform(-0.35, 0.35), rng.uniform(1.15, 1.5), 2.0])
        self._lean = float(rng.uniform(-0.5, 0.5))
        self._radius = float(rng.uniform(0.24, 0.33))
        self._drift = [Wave(rng, 0.25, 0.7) for _ in range(2)]
        self._shade = float(rng.uniform(30, 95))
        self._skin = identity.skin

    def paint(self, canvas: Canvas, camera: Camera, light: Light, t: float) -> None:
        """Paint handle, fist and head."""
        unit, shape = camera.unit, canvas.shape
        bright = light.on(np.array([0, 0, 1.0]))
        sway = np.array([w(t) for w in self._drift]) * 0.10 * unit
        # Held by the body, it follows the head only half of the way.
        head, body = camera.head(self._place), camera.pixels(self._place)
        center = 0.5 * head + 0.5 * body + sway
        radius = self._radius * unit
        down = np.array([np.sin(self._lean), np.cos(self._lean)])
        foot = center + down * 3.2 * unit
        dark = np.full(3, self._shade) * bright
        handle = np.stack([center, foot])
        blend(canvas, stroke(handle, shape, radius * 1.15), dark * 0.6)
        blend(
            canvas,
            stroke(handle - (0.12 * radius, 0), shape, 0.35 * radius, softness=0.1 * radius),
            dark * 1.5,
            0.6,
        )
        across = np.array([down[1], -down[0]])
        for k in range(4):  # the fist
            grip = center + down * (1.35 + 0.24 * k) * unit
            finger = np.stack([grip - across * 0.3 * unit, grip + across * 0.28 * unit])
            color = self._skin * bright
            shade(canvas, stroke(finger, shape, 0.28 * unit, softness=0.4), 0.55)
            blend(canvas, stroke(finger, shape, 0.235 * unit), color * 0.86)
            blend(
                canvas,
                stroke(finger - (0, 0.03 * unit), shape, 0.11 * unit, softness=0.04 * unit),
                color,
                0.9,
            )
        blend(
            canvas, region(ellipse(center, (radius, radius * 1.08), self._lean), shape), dark * 0.9
        )
        for k in np.linspace(-0.8, 0.8, 7):  # wire mesh
            half = float(np.sqrt(1 - k * k)) * radius
            for a, b in ((across, down), (down, across)):
                wire = np.stack(
                    [center + a * k * radius - b * half, center + a * k * radius + b * half]
                )
                blend(canvas, stroke(wire, shape, 0.05 * radius), dark * 1.7, 0.55)
        glow = ellipse(center + light.direction[:2] * 0.4 * radius, (0.35 * radius, 0.35 * radius))
        blend(
            canvas,
            region(glow, shape, softness=0.15 * radius),
            np.array([235.0] * 3) * bright,
            0.35,
        )
        ring = np.stack(
            [
                center + down * radius - across * 0.6 * radius,
                center + down * radius + across * 0.6 * radius,
            ]
        )
        blend(canvas, stroke(ring, shape, 0.22 * radius), dark * 1.9)


class Glasses:
    """Spectacles or sunglasses that sit on the nose and turn with the head."""

    def __init__(self, rng: np.random.Generator, identity: Identity, *, dark: bool) -> None:
        """Draw the frame's form and colour and the lens's tint."""
        self._spacing = identity.eye_spacing / 2
        self._width = identity.face_width
        radii = np.array([rng.uniform(0.34, 0.42), rng.uniform(0.23, 0.31)])
        power = rng.uniform(0.55, 1.0)  # 1 is an ellipse, less is a rounded box
        theta = np.linspace(0, 2 * np.pi, 49)
        cosine, sine = np.cos(theta), np.sin(theta)
        rim = np.stack(
            [np.sign(cosine) * np.abs(cosine) ** power, np.sign(sine) * np.abs(sine) ** power], 1
        )
        eye = np.array([self._spacing, 0.04])
        uv = eye + rim * radii
        front = float(surface(identity, np.array([0.14, 0.05]))) + 0.20
        self._rim = np.concatenate([uv, (front - 0.28 * uv[:, :1] ** 2)], axis=1)
        self._color = rng.uniform(10, 90, 3) * rng.choice([0.5, 1.0, 1.6])
        self._thickness = float(rng.uniform(0.03, 0.085))
        self._tint = rng.uniform(5, 50, 3)
        self._opacity = float(rng.uniform(0.72, 0.93)) if dark else float(rng.uniform(0.03, 0.14))

    def paint(self, canvas: Canvas, camera: Camera, light: Light, t: float) -> None:  # noqa: ARG002
        """Paint lenses, rims, bridge and the visible temple."""
        unit, shape = camera.unit, canvas.shape
        bright = light.on(np.array([0, 0, 1.0]))
        color = self._color * bright
        thickness = self._thickness * unit
        inner = []
        for side in (-1.0, 1.0):
            rim = self._rim * (side, 1, 1)
            line = camera.head(rim)
            lens = region(line, shape)
            blend(canvas, lens, self._tint * bright, self._opacity)
            middle, span = line.mean(axis=0), np.ptp(line, axis=0)
            glare = (
                np.array([[-0.30, 0.24], [-0.02, -0.38], [0.10, -0.38], [-0.18, 0.24]]) * span
                + middle
            )
            blend(
                canvas,
                region(glare, shape, softness=0.02 * unit),
                np.array([255.0] * 3) * bright,
                0.20,
            )
            shade(
                canvas,
                stroke(line + np.array([0, 0.05 * unit]), shape, thickness, softness=0.03 * unit),
                0.72,
            )
            blend(canvas, stroke(line, shape, thickness), color)
            inner.append(line[np.argmin(np.abs(rim[:, 0]))])
            outer = rim[np.argmax(np.abs(rim[:, 0]))]
            seen = float(np.clip(0.5 - side * camera.yaw / 0.2, 0, 1))  # the head hides the far one
            if seen > 0:
                ear = np.array([side * 1.12 * self._width, 0.02, 0.35])
                temple = camera.head(np.stack([outer, ear]))
                blend(canvas, stroke(temple, shape, thickness), color, seen)
        top = (inner[0] + inner[1]) / 2 - (0, 0.05 * unit)
        blend(canvas, stroke(curve(np.stack([inner[0], top, inner[1]])), shape, thickness), color)
