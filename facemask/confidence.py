"""Confidence of a mask: the mean IoU to expect of it, from the probabilities of its pixels.

Of a class, let R be the pixels that carry its label, and p its probability. If probabilities were
right, sum of p over R would be the intersection to expect, and |R| + sum of p outside R the union:
their quotient is nearly the IoU to expect. A network's probabilities are too sure, but in a steady
way: two numbers a class, fitted on masks with known truth, correct that (`facemask calibrate`).
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.classes import FACE_CLASSES, NUM_CLASSES
from facemask.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]
Four: TypeAlias = tuple[float, float, float, float]
"""A number for each of skin, eyes, lips and inner mouth."""

UNSURE: Final = 0.6
"""Confidence below which a mask is flagged (docs/extract.md has the evidence)."""
_EDGE: Final = 0.01
"""Expected IoU below which, or above one minus which, none is told apart."""


class Confidence(NamedTuple):
    """Confidence in a mask.

    Attributes:
        mask: The mean IoU to expect of the mask, 0 to 1; 0 without a label.
        parts: The IoU to expect of skin, eyes, lips and inner mouth; NaN for what has no label.
    """

    mask: float
    parts: Four


@dataclass(frozen=True)
class ConfidenceFit:
    """Way from the IoU to expect by a network's probabilities to the IoU that comes true.

    A class's IoU is sigmoid(intercept + slope * logit(expected IoU)). A class without a label is
    either not there, and then it is not part of the mask's mean IoU, or was missed: IoU 0. Without
    a fit, probabilities are taken as they are, and only an inner mouth may be not there.

    Args:
        intercept: Of skin, eyes, lips and inner mouth.
        slope: Of the same, 0 or more.
        missed: Share of the masks without a label of the class in which it was there, 0 to 1.

    Raises:
        InputError: These are not four numbers each, or one is out of range.

    Examples:
        >>> round(ConfidenceFit()(np.array([0.9, 0.5, 0.7, np.nan])).mask, 3)
        0.7
    """

    intercept: Four = (0.0, 0.0, 0.0, 0.0)
    slope: Four = (1.0, 1.0, 1.0, 1.0)
    missed: Four = (1.0, 1.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        """Check the numbers; lists, as JSON has them, become tuples."""
        limits = {"intercept": (-np.inf, np.inf), "slope": (0, np.inf), "missed": (0, 1)}
        for field in fields(self):
            given = getattr(self, field.name)
            low, high = limits[field.name]
            try:
                values = np.array(given, np.float64)
            except (TypeError, ValueError):
                values = np.empty(0)
            right = np.isfinite(values) & (low <= values) & (values <= high)
            if values.shape != (len(FACE_CLASSES),) or not right.all():
                allowed = {"intercept": "", "slope": ", 0 or more", "missed": ", 0 to 1"}
                raise InputError(
                    f"The confidence's {field.name} is {given!r}: give a number for each of "
                    f"{', '.join(FACE_CLASSES)}{allowed[field.name]}."
                )
            object.__setattr__(self, field.name, tuple(values.tolist()))

    def __call__(self, expected: Floats) -> Confidence:
        """Return the confidence in a mask, from its `expected_ious`."""
        parts = self.parts(expected)
        skin, eyes, lips, inner_mouth = parts.tolist()
        return Confidence(float(self.mean(parts)), (skin, eyes, lips, inner_mouth))

    def parts(self, expected: Floats) -> Floats:
        """Return the IoU of each class, (..., 4), from `expected_ious`, (..., 4); NaN stays NaN."""
        return corrected(expected, np.array(self.intercept), np.array(self.slope))

    def mean(self, parts: Floats) -> Floats:
        """Return the mean IoU of masks, (...), from those of their classes, (..., 4)."""
        lacking = np.isnan(parts)
        weights = np.where(lacking, self.missed, 1.0)
        means = np.nansum(parts, axis=-1) / np.maximum(weights.sum(axis=-1), 1)
        return np.asarray(np.where(lacking.all(axis=-1), 0.0, means))


def corrected(expected: Floats, intercept: Floats | float, slope: Floats | float) -> Floats:
    """Return sigmoid(intercept + slope * logit(expected)), as of a `ConfidenceFit`'s classes."""
    inside = np.clip(expected, _EDGE, 1 - _EDGE)
    return np.asarray(1 / (1 + np.exp(-intercept - slope * np.log(inside / (1 - inside)))))


def expected_ious(labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32]) -> Floats:
    """Return the IoU to expect of skin, eyes, lips and inner mouth if the probabilities are right.

    Args:
        labels: Class ids of a mask, uint8 (H, W).
        probabilities: Of the classes, float32 (5, H, W).

    Returns:
        float64 (4,), 0 to 1; NaN for a class without a label.

    Examples:
        >>> of_skin = np.array([[1.0, 0.8, 0.4]], dtype=np.float32)
        >>> zeros = np.zeros_like(of_skin)
        >>> labels = np.array([[1, 1, 0]], dtype=np.uint8)
        >>> expected_ious(labels, np.stack([1 - of_skin, of_skin, zeros, zeros, zeros])).round(2)
        array([0.75,  nan,  nan,  nan])
    """
    ids = labels.ravel()
    area = np.bincount(ids, minlength=NUM_CLASSES)
    of_label = np.take_along_axis(probabilities, labels[None].astype(np.intp), axis=0)
    inside = np.bincount(ids, of_label.ravel(), minlength=NUM_CLASSES)
    total = probabilities.sum(axis=(1, 2), dtype=np.float64)
    ious = inside / np.maximum(area + total - inside, 1e-9)
    return np.asarray(np.where(area > 0, ious, np.nan)[1:])
