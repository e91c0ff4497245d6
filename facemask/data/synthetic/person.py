"""Person of a made-up video: proportions, colours and motion.

The motion is a smooth function of the seconds and is fixed when the video's random
numbers are drawn, so a longer video begins with exactly the frames of a shorter one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from facemask.data.artist import HAIR_COLORS
from facemask.data.synthetic.drawing import Camera, Points

_SKIN_TONES: Final = np.array(
    [[234, 188, 162], [224, 176, 146], [206, 154, 120], [180, 124, 92], [138, 92, 66], [96, 64, 48]]
)
_IRIS_COLORS: Final = np.array(
    [[70, 44, 26], [104, 70, 38], [96, 100, 56], [76, 110, 90], [84, 124, 164], [110, 122, 132]]
)
_CLOTHES: Final = np.array(
    [[40, 48, 70], [130, 36, 40], [210, 208, 200], [50, 90, 70], [90, 90, 96], [180, 140, 60],
     [96, 60, 120]],
)  # fmt: skip
_MOODS: Final = ("smile", "surprise", "frown", "smile", "pucker")
# Half-ranges of yaw, pitch and roll in radians by category: the third holds the large poses.
_POSE: Final = {1: (0.32, 0.15, 0.12), 2: (0.34, 0.16, 0.13), 3: (0.40, 0.20, 0.20)}
_TURNED: Final = 0.45  # how far category 3 may stand turned away on average
_FARTHEST: Final = 0.78  # beyond this yaw the far eye would vanish behind the nose


@dataclass(frozen=True)
class Identity:
    """Proportions of a face and its colours.

    Lengths are factors around 1 or, where said, in units of the distance between the pupils of
    the average face. Colours are RGB float64 (3,), 0 to 255.
    """

    face_width: float
    face_length: float
    jaw_power: float
    """Exponent of the jaw's superellipse: 2 is oval, 3 is square."""
    eye_size: float
    eye_opening: float
    eye_spacing: float
    """Distance between the eyes' centres, in units."""
    eye_tilt: float
    """Rise of the outer corner above the inner one, in units."""
    brow_height: float
    """Distance of the brow above the eye, in units."""
    brow_arch: float
    brow_thickness: float
    nose_width: float
    nose_length: float
    nose_height: float
    mouth_width: float
    lip_fullness: float
    cheekbones: float
    skin: Points
    lips: Points
    hair: Points
    iris: Points
    clothes: Points
    hair_style: str
    """Cut: `short`, `fringe`, `long`, `curly` or `buzz`."""
    hairline: float
    """Height of the hairline above the eyes, in units."""
    beard: float
    """0 (none) to 1 (full)."""
    age: float
    """0 (smooth) to 1 (wrinkled)."""
    freckles: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Identity":
        """Draw a person."""

        def around(mean: float, spread: float) -> float:
            return float(mean + spread * np.clip(rng.standard_normal(), -1.8, 1.8))

        tone = float(rng.uniform(0, 1) ** 1.2) * (len(_SKIN_TONES) - 1)
        skin = np.array([np.interp(tone, range(len(_SKIN_TONES)), c) for c in _SKIN_TONES.T])
        skin = skin * rng.uniform(0.96, 1.03)
        skin = skin * (1 + rng.uniform(-0.02, 0.02) * np.array([0, 1, 2.0]))
        age = float(rng.beta(1.2, 2.0))
        dark = tone > 2.8  # dark skin goes with dark hair and eyes
        hair = HAIR_COLORS[rng.integers(0, 2 if dark else 6)]
        hair = hair + (HAIR_COLORS[6] - hair) * float(np.clip((age - 0.55) * 2.4, 0, 1))
        iris = _IRIS_COLORS[rng.integers(0, 2 if dark else 6)] * rng.uniform(0.9, 1.1, 3)
        lipstick = float(rng.uniform(0, 1) ** 2)
        natural = skin * (0.86, 0.60, 0.60)
        lips = natural + lipstick * 0.8 * (np.array([168.0, 38, 58]) - natural)
        beard = float(rng.uniform(0.3, 1.0)) if lipstick < 0.3 and rng.random() < 0.55 else 0.0
        all_styles = ("short", "fringe", "long", "curly", "long")
        styles = ("short", "curly", "buzz") if beard else all_styles
        return cls(
            face_width=around(1.0, 0.06),
            face_length=around(1.0, 0.06),
            jaw_power=around(2.12, 0.14),
            eye_size=around(1.0, 0.08),
            eye_opening=around(1.0, 0.14),
            eye_spacing=around(1.0, 0.04),
            eye_tilt=around(0.02, 0.025),
            brow_height=around(0.26, 0.035),
            brow_arch=around(0.08, 0.03),
            brow_thickness=around(1.0, 0.3),
            nose_width=around(1.0, 0.14),
            nose_length=around(1.0, 0.07),
            nose_height=around(1.0, 0.15),
            mouth_width=around(1.0, 0.09),
            lip_fullness=around(1.0, 0.22),
            cheekbones=around(1.0, 0.4),
            skin=np.clip(skin, 30, 252),
            lips=np.clip(lips, 30, 235),
            hair=hair,
            iris=iris,
            clothes=_CLOTHES[rng.integers(0, len(_CLOTHES))] * rng.uniform(0.8, 1.1, 3),
            hair_style=styles[rng.integers(0, len(styles))],
            hairline=around(1.04, 0.08),
            beard=beard,
            age=age,
            freckles=float(rng.uniform(0, 1) ** 3),
        )


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


def smoothstep(x: float) -> float:
    """Return 0 below 0, 1 above 1, and a smooth curve between."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


class Wave:
    """Smooth random signal between −1 and 1: a few sines of frequencies `low` to `high` Hz."""

    def __init__(self, rng: np.random.Generator, low: float, high: float) -> None:
        """Draw frequencies, phases and weights."""
        self._frequency = rng.uniform(low, high, 3)
        self._phase = rng.uniform(0, 2 * np.pi, 3)
        weight = rng.uniform(0.5, 1, 3)
        self._weight = weight / weight.sum()

    def __call__(self, t: float) -> float:
        """Return the value at `t` seconds."""
        return float(self._weight @ np.sin(2 * np.pi * self._frequency * t + self._phase))


@dataclass(frozen=True)
class Moment:
    """One instant of a performance.

    Attributes:
        expression: What the face does.
        camera: Where head and camera are.
        view: (3,) shift right and down in frame heights, and zoom, of the background.
    """

    expression: Expression
    camera: Camera
    view: Points


class Performance:
    """One video's motion."""

    def __init__(
        self, rng: np.random.Generator, category: int, seconds: float, height: int, width: int
    ) -> None:
        """Draw the motion.

        Args:
            rng: Source of randomness.
            category: 1 to 3.
            seconds: Until when blinks are needed.
            height: Of the frame, pixels.
            width: Of the frame, pixels.
        """
        slow, quick = (0.10, 0.38), (0.5, 1.1)
        self._pose = [Wave(rng, *slow) for _ in range(3)]
        self._nod = [Wave(rng, *quick) for _ in range(3)]
        self._range = np.array(_POSE[category])
        self._rest = np.array([rng.uniform(-1, 1) * 0.12, rng.uniform(-0.06, 0.06), 0.0])
        turned = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1) * _TURNED
        if category == 3:
            self._rest[0] = turned
        self._moods = [str(m) for m in rng.permutation(_MOODS)[:2]]
        self._mood = Wave(rng, 0.15, 0.45)
        self._mood_bias = float(rng.uniform(-0.1, 0.5))
        self._talk, self._loud = Wave(rng, 0.2, 0.5), Wave(rng, 0.6, 1.4)
        self._talk_bias = float(rng.uniform(0.0, 0.9))
        self._rate, self._drift = float(rng.uniform(2.6, 4.2)), Wave(rng, 0.3, 0.8)
        self._round = Wave(rng, 0.8, 1.8)
        self._gaze = [Wave(rng, 0.2, 0.9) for _ in range(2)]
        self._shake = [Wave(rng, 2.0, 5.0) for _ in range(2)]
        self._pan = [Wave(rng, 0.08, 0.3) for _ in range(3)]
        self._body = [Wave(rng, 0.15, 0.4) for _ in range(2)]
        self._shakiness = float(rng.uniform(0, 1) ** 2) * 0.0035

        share = rng.uniform(0.36, 0.57)  # of the frame's height between brows and chin
        self._unit = float(min(share * height / 2.05, 0.34 * width))
        room = max(0.0, width / 2 - 1.5 * self._unit) * 0.5
        self._x = width / 2 + rng.uniform(-1, 1) * room
        self._y = height * rng.uniform(0.50, 0.58) + 0.27 * self._unit
        self._height = height
        self._blinks = self._draw_blinks(np.random.default_rng(rng.integers(2**63)), seconds)

    @staticmethod
    def _draw_blinks(rng: np.random.Generator, seconds: float) -> Points:
        """Draw the start and the time closed of every blink (B, 2); the first comes early."""
        blinks, start = [], rng.uniform(0.2, 1.3)
        while start < seconds + 1:
            blinks.append((start, rng.uniform(0.02, 0.15)))
            start += 0.5 + rng.exponential(2.2)
        return np.array(blinks).reshape(-1, 2)

    def _blink(self, t: float) -> float:
        closing, opening = 0.12, 0.20
        shut = (
            smoothstep((t - start) / closing) - smoothstep((t - start - closing - still) / opening)
            for start, still in self._blinks
        )
        return max(shut, default=0.0)

    def _face(self, t: float) -> Expression:
        mood = smoothstep(0.5 * (self._mood_bias + self._mood(t)) + 0.5)
        strength = dict.fromkeys(("smile", "surprise", "frown", "pucker"), 0.0)
        strength[self._moods[0]] += smoothstep(1.6 * mood - 0.6)
        strength[self._moods[1]] += smoothstep(0.7 - 1.6 * mood)
        talking = smoothstep(0.5 + 1.2 * (self._talk_bias + self._talk(t) - 0.3))
        syllable = 0.5 - 0.5 * np.cos(2 * np.pi * self._rate * t + 3.0 * self._drift(t))
        jaw = talking * syllable**1.3 * (0.42 + 0.28 * self._loud(t))
        jaw += 0.55 * strength["surprise"] * (1 - 0.5 * talking)
        pucker = strength["pucker"] * 0.8 + 0.7 * talking * max(self._round(t), 0.0)
        strength |= {"jaw_open": jaw, "pucker": pucker * (1 - 0.7 * strength["smile"])}
        moved = {name: float(min(value, 1.0)) for name, value in strength.items()}
        gaze_x, gaze_y = (wave(t) for wave in self._gaze)
        return Expression(**moved, blink=self._blink(t), gaze_x=gaze_x, gaze_y=gaze_y)

    def at(self, t: float) -> Moment:
        """Return the performance at `t` seconds."""
        angles = self._rest + self._range * [
            0.85 * w(t) + 0.15 * n(t) for w, n in zip(self._pose, self._nod, strict=True)
        ]
        angles[0] = _FARTHEST * np.tanh(angles[0] / _FARTHEST)
        zoom = 1 + 0.06 * self._pan[2](t)
        view = np.array([w(t) for w in self._pan[:2]]) * 0.05
        view = view + np.array([w(t) for w in self._shake]) * self._shakiness
        sway = np.array([w(t) for w in self._body]) * (0.03, 0.012)
        x, y = (view + sway) * self._height
        yaw, pitch, roll = angles.tolist()
        unit = self._unit * zoom
        camera = Camera(yaw, pitch, roll, unit, float(self._x + x), float(self._y + y))
        return Moment(self._face(t), camera, np.array([*(view * 0.7), 1 + 0.04 * self._pan[2](t)]))
