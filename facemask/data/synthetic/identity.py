"""Who the person in a synthetic video is: proportions and colours that stay for all frames."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.data.artist import HAIR_COLORS

RGB = npt.NDArray[np.float64]

_SKIN_TONES: Final = np.array(
    [[234, 188, 162], [224, 176, 146], [206, 154, 120], [180, 124, 92], [138, 92, 66], [96, 64, 48]]
)
_IRIS_COLORS: Final = np.array(
    [[70, 44, 26], [104, 70, 38], [96, 100, 56], [76, 110, 90], [84, 124, 164], [110, 122, 132]]
)
_CLOTHES: Final = np.array(
    [
        [40, 48, 70],
        [130, 36, 40],
        [210, 208, 200],
        [50, 90, 70],
        [90, 90, 96],
        [180, 140, 60],
        [96, 60, 120],
    ]
)


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
    """How much higher the outer corner lies than the inner one, in units."""
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
    skin: RGB
    lips: RGB
    hair: RGB
    iris: RGB
    clothes: RGB
    hair_style: str
    """`short`, `fringe`, `long`, `curly` or `buzz`."""
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
        skin = np.array(
            [np.interp(tone, np.arange(len(_SKIN_TONES)), _SKIN_TONES[:, c]) for c in range(3)]
        )
        skin = (
            skin * rng.uniform(0.96, 1.03) * (1 + rng.uniform(-0.02, 0.02) * np.array([0, 1, 2.0]))
        )
        age = float(rng.beta(1.2, 2.0))
        dark = tone > 2.8  # dark skin goes with dark hair and eyes
        hair = HAIR_COLORS[rng.integers(0, 2 if dark else 6)]
        hair = hair + (HAIR_COLORS[6] - hair) * float(np.clip((age - 0.55) * 2.4, 0, 1))
        iris = _IRIS_COLORS[rng.integers(0, 2 if dark else 6)] * rng.uniform(0.9, 1.1, 3)
        lipstick = float(rng.uniform(0, 1) ** 2)
        natural = skin * (0.86, 0.60, 0.60)
        lips = natural + lipstick * 0.8 * (np.array([168.0, 38, 58]) - natural)
        beard = float(rng.uniform(0.3, 1.0)) if lipstick < 0.3 and rng.random() < 0.55 else 0.0
        styles = (
            ("short", "curly", "buzz") if beard else ("short", "fringe", "long", "curly", "long")
        )
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
