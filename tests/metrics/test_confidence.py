"""The fit of confidence, and its agreement with the truth."""

import math

import numpy as np
import pytest

from facemask.confidence import ConfidenceFit
from facemask.errors import InputError
from facemask.metrics.confidence import agreement, fit_confidence

TRUE = ConfidenceFit((-0.4, -0.8, 0.5, -1.7), (1.0, 0.9, 0.7, 1.5), (1.0, 0.9, 1.0, 0.25))


def test_the_true_fit_is_found_again() -> None:
    random = np.random.default_rng(0)
    expected = random.uniform(0.1, 0.95, (400, 4))
    ious = TRUE.parts(expected) + random.normal(0, 0.02, expected.shape)
    expected[:100, 3] = math.nan  # of 100 masks without inner mouth 25 should have one
    ious[:100, 3] = math.nan
    ious[:25, 3] = 0
    expected[:19, 1], ious[:19, 1] = math.nan, 0  # eyes are missed
    fit = fit_confidence(expected, ious)
    assert fit.intercept == pytest.approx(TRUE.intercept, abs=0.03)
    assert fit.slope == pytest.approx(TRUE.slope, abs=0.03)
    assert fit.missed == pytest.approx((1, (19 + 1) / 20, 1, 25 / 101))


def test_what_the_truth_does_not_tell_is_left_out() -> None:
    expected = np.tile(np.linspace(0.2, 0.9, 60)[:, None], 4)
    ious = TRUE.parts(expected)
    known = np.ones((60, 4), np.bool_)
    known[:30, 2] = known[30:, 3] = False
    ious[~known] = 0.123
    expected[30:, 3] = math.nan
    fit = fit_confidence(expected, ious, known)
    assert fit.intercept == pytest.approx(TRUE.intercept, abs=1e-3)
    assert fit.missed[3] == 0
    known[:, 0] = False
    plain = fit_confidence(expected, ious, known)
    assert (plain.intercept[0], plain.slope[0]) == (0, 1)


def test_few_masks_and_a_class_that_gets_worse_the_surer_it_is() -> None:
    expected = np.tile(np.linspace(0.2, 0.9, 19)[:, None], 4)
    assert fit_confidence(expected, TRUE.parts(expected)) == ConfidenceFit()
    expected = np.tile(np.linspace(0.2, 0.9, 40)[:, None], 4)
    assert fit_confidence(expected, 1 - expected).slope == pytest.approx((0, 0, 0, 0), abs=1e-3)
    same = np.full((30, 4), 0.5)
    assert fit_confidence(same, same * 1.5).parts(same)[0] == pytest.approx(0.75, abs=1e-6)


def test_agreement_by_hand() -> None:
    confidence = np.array([0.9, 0.5, 0.7, 0.6])
    truth = np.array([0.8, 0.6, 0.4, 0.5])
    # ranks 4 1 3 2 and 4 3 1 2: 1 - 6 * (0 + 4 + 4 + 0) / (4 * 15)
    rank, error, bias, calibration_error = agreement(confidence, truth)
    assert rank == pytest.approx(0.2)
    assert error == pytest.approx((0.1 + 0.1 + 0.3 + 0.1) / 4)
    assert bias == pytest.approx((0.1 - 0.1 + 0.3 + 0.1) / 4)
    assert calibration_error == pytest.approx(error)  # a tenth each
    twenty = np.repeat(confidence, 5)
    flat = np.repeat(truth, 5) + np.tile([0.1, -0.1, 0.05, -0.05, 0], 4)
    # tenths of two, in the order of 0.5 0.6 0.7 0.9
    off = np.repeat(confidence, 5) - flat
    ordered = off.reshape(4, 5)[[1, 3, 2, 0]].reshape(10, 2)
    assert agreement(twenty, flat).calibration_error == pytest.approx(
        np.abs(ordered.mean(axis=1)).mean()
    )


def test_agreement_of_equals_and_of_one() -> None:
    assert math.isnan(agreement(np.full(3, 0.5), np.array([0.1, 0.2, 0.3])).rank)
    with pytest.raises(InputError, match="of 1 masks was given"):
        agreement(np.array([0.5]), np.array([0.5]))
