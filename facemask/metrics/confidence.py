"""Fit of a cascade's confidence to true IoU, and how well confidence and truth agree."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.classes import FACE_CLASSES
from facemask.confidence import ConfidenceFit, Four, corrected
from facemask.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]

_FEWEST: Final = 20
"""Masks with a class below which it is not fitted."""
_STEEPEST: Final = 5.0
_BINS: Final = 10


class Agreement(NamedTuple):
    """Agreement of confidence and truth over some masks.

    Attributes:
        rank: Spearman's rank correlation, -1 to 1: 1 where the surer of two masks is the better
            one; NaN where all are equally sure.
        error: Mean absolute difference, 0 to 1.
        bias: Mean difference, above 0 where masks are not as good as was expected.
        calibration_error: Expected calibration error, 0 to 1: the masks are shared out to ten
            parts by their confidence; the mean absolute difference of the parts' means.
    """

    rank: float
    error: float
    bias: float
    calibration_error: float


def agreement(confidence: Floats, truth: Floats) -> Agreement:
    """Compare the confidence in some masks with what is true of them.

    Args:
        confidence: (N,), 0 to 1.
        truth: (N,), 0 to 1.

    Raises:
        InputError: There are fewer than two masks.
    """
    from scipy.stats import spearmanr  # takes long to import

    if len(confidence) < 2:
        raise InputError(f"The confidence of {len(confidence)} masks was given: give two or more.")
    off = confidence - truth
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(off[order], _BINS) if len(part)]
    calibration_error = sum(abs(float(part.sum())) for part in bins) / len(off)
    varies = np.ptp(confidence) > 0 and np.ptp(truth) > 0
    rank = float(spearmanr(confidence, truth).statistic) if varies else float("nan")
    return Agreement(rank, float(np.abs(off).mean()), float(off.mean()), calibration_error)


def fit_confidence(
    expected: Floats, ious: Floats, known: npt.NDArray[np.bool_] | None = None
) -> ConfidenceFit:
    """Fit the confidence of each class to its true IoU, by least squares.

    A class with fewer than 20 masks keeps what a `ConfidenceFit` has by default, and so does, all
    but, the share in which it was missed where few masks lack it.

    Args:
        expected: `expected_ious` of N masks, (N, 4).
        ious: The true IoU of their classes, (N, 4); NaN where truth and mask lack the class.
        known: Whether the truth tells a class, (N, 4); None if all of them.

    Examples:
        >>> expected = np.tile(np.linspace(0.2, 0.9, 30)[:, None], 4)
        >>> odds = 0.5 * expected / (1 - expected)
        >>> fit = fit_confidence(expected, odds / (1 + odds))
        >>> [round(intercept, 2) for intercept in fit.intercept]  # the logarithm of a half
        [-0.69, -0.69, -0.69, -0.69]
    """
    plain = ConfidenceFit()
    intercept, slope, missed = map(np.array, (plain.intercept, plain.slope, plain.missed))
    known = np.ones(expected.shape, np.bool_) if known is None else known
    lacking, there = np.isnan(expected) & known, ~np.isnan(ious) & known
    missed = ((lacking & there).sum(axis=0) + missed) / (lacking.sum(axis=0) + 1)
    for c in range(len(FACE_CLASSES)):
        chosen = there[:, c] & ~lacking[:, c]
        if chosen.sum() >= _FEWEST:
            intercept[c], slope[c] = _fit_class(expected[chosen, c], ious[chosen, c])
    return ConfidenceFit(_four(intercept), _four(slope), _four(missed))


def _fit_class(expected: Floats, ious: Floats) -> Floats:
    """Return intercept and slope, (2,)."""
    from scipy.optimize import least_squares

    def off(numbers: Floats) -> Floats:
        return corrected(expected, numbers[0], numbers[1]) - ious

    bounds = ((-np.inf, 0.0), (np.inf, _STEEPEST))
    return np.asarray(least_squares(off, (0.0, 1.0), bounds=bounds).x)


def _four(numbers: Floats) -> Four:
    skin, eyes, lips, inner_mouth = numbers.tolist()
    return skin, eyes, lips, inner_mouth
