"""Settings of a cascade."""

import math
from dataclasses import dataclass

from torch import nn

from facemask.confidence import ConfidenceFit
from facemask.errors import InputError
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.regions import REGIONS


@dataclass(frozen=True)
class CascadeSettings:
    """Settings of a `Cascade`, saved with it.

    Args:
        size: Side of the square input of all networks in pixels, as in training or a little more;
            a multiple of 16, as other sides shift what the networks see, or 32 n + 1, of which
            every level of an encoder has a middle, so that mirrored faces are seen alike.
        eyes_margin: Side of the eyes' box over the width of both eyes.
        mouth_margin: Side of the mouth's box over the mouth's width.
        refine_each_eye: Give each eye a box of its own instead of one for both.
        each_eye_margin: Side of such a box over the eye's width. The usual box over both eyes is
            about 4.5 times as wide as one eye, so this zooms about twice as far.
        temperature: What scores are divided by before the softmax that gives probabilities. None
            is 1 where the primary's scores are free, and 0.1 where it is a ConvLSTM-FCN with tanh,
            whose scores lie in (-1, 1): there 1 would leave all classes nearly alike. It hardly
            matters to labels: only where the eyes and the mouth network claim a pixel that is
            neither to the primary.
        primary_weight: Weight of the primary's probabilities inside the boxes, from 0 to 1, against
            those of the eyes' and the mouth's network, in a geometric mean. 0 is the paper's
            cascade, where these networks decide alone; two together err less than the better one.
        guess_boxes: Where the primary finds a face with one eye or none, or half a mouth or none,
            make the box as large as both eyes and a whole mouth usually are, and where they usually
            are; their network decides whether they are there. Eyes in the dark, lowered or behind
            sunglasses are often missed by the primary. False is the paper's cascade.
        max_frames: Frames that go through a network at once, but never less than a clip; bounds
            the memory whatever the number of clips. More may be faster on a GPU.
        confidence: Fit of the masks' confidence (`facemask calibrate`); None takes the
            probabilities as they are.

    Raises:
        InputError: A number is out of range.

    Examples:
        >>> CascadeSettings(refine_each_eye=True).size
        320
    """

    size: int = 320
    eyes_margin: float = REGIONS["eyes"].margin
    mouth_margin: float = REGIONS["mouth"].margin
    refine_each_eye: bool = False
    each_eye_margin: float = 2.0
    temperature: float | None = None
    primary_weight: float = 0.0
    guess_boxes: bool = False
    max_frames: int = 10
    confidence: ConfidenceFit | None = None

    @property
    def is_calibrated(self) -> bool:
        """True where the confidence in masks is fitted, so that it tells which are unsure."""
        return self.confidence is not None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("size", "max_frames"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(
                    f"The cascade's {name} is {value!r}: give a whole number, 1 or more."
                )
        for name in ("eyes_margin", "mouth_margin", "each_eye_margin"):
            value = getattr(self, name)
            if not _is_number(value) or value < 1:
                raise InputError(f"The cascade's {name} is {value!r}: give a number, 1 or more.")
        if not _is_number(self.primary_weight) or not 0 <= self.primary_weight <= 1:
            raise InputError(
                f"The cascade's primary_weight is {self.primary_weight!r}: give 0 to 1."
            )
        value = self.temperature
        if value is not None and (not _is_number(value) or value <= 0):
            raise InputError(
                f"The cascade's temperature is {value!r}: give a number above 0, such as 1 for "
                "free scores or 0.1 for those in (-1, 1), or leave it out."
            )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def temperature_for(settings: CascadeSettings, primary: nn.Module) -> float:
    """Return the temperature of the settings, or else the one for such scores as the primary's."""
    if settings.temperature is not None:
        return settings.temperature
    bounded = isinstance(primary, ConvLSTMFCN) and primary.bounded
    return 0.1 if bounded else 1.0
