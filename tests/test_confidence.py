"""Confidence of masks, worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest

from facemask.confidence import Confidence, ConfidenceFit, expected_ious
from facemask.errors import InputError


def test_expected_ious_by_hand() -> None:
    labels = np.array([[1, 1, 2, 0], [1, 3, 2, 0]], dtype=np.uint8)
    probabilities = np.zeros((5, 2, 4), np.float32)
    probabilities[1] = [[0.9, 0.8, 0.1, 0.5], [0.7, 0.2, 0.0, 0.0]]
    probabilities[2] = [[0.1, 0.2, 0.9, 0.0], [0.0, 0.0, 0.6, 0.0]]
    probabilities[3] = [[0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.4, 0.0]]
    probabilities[4] = [[0.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.0, 0.0]]
    probabilities[0] = 1 - probabilities.sum(axis=0)
    skin = (0.9 + 0.8 + 0.7) / (3 + 0.1 + 0.5 + 0.2)
    eyes = (0.9 + 0.6) / (2 + 0.1 + 0.2)
    lips = 0.5 / (1 + 0.4)
    expected = expected_ious(labels, probabilities)
    np.testing.assert_allclose(expected, [skin, eyes, lips, math.nan], rtol=1e-6)


def test_certain_masks_are_expected_to_be_right() -> None:
    labels = np.arange(5, dtype=np.uint8).repeat(3)[None]
    certain = (labels == np.arange(5)[:, None, None]).astype(np.float32)
    assert expected_ious(labels, certain).tolist() == [1, 1, 1, 1]
    nothing = np.zeros((2, 3), np.uint8)
    assert np.isnan(expected_ious(nothing, np.zeros((5, 2, 3), np.float32))).all()


def test_a_fit_by_hand() -> None:
    # of odds 4, 1, 3 and 1: times e**intercept, to the power of the slope
    fit = ConfidenceFit(
        intercept=(0.0, math.log(3), 0.0, math.log(0.25)),
        slope=(0.5, 1.0, 2.0, 1.0),
        missed=(1.0, 0.9, 0.8, 0.25),
    )
    mask, parts = fit(np.array([0.8, 0.5, 0.75, 0.5]))
    assert parts == pytest.approx((2 / 3, 3 / 4, 9 / 10, 1 / 5))
    assert mask == pytest.approx((2 / 3 + 3 / 4 + 9 / 10 + 1 / 5) / 4)
    mask, parts = fit(np.array([0.8, 0.5, 0.75, math.nan]))  # a quarter of a class, of IoU 0
    assert mask == pytest.approx((2 / 3 + 3 / 4 + 9 / 10) / 3.25)
    assert math.isnan(parts[3])
    mask, _ = fit(np.array([0.8, math.nan, 0.75, math.nan]))
    assert mask == pytest.approx((2 / 3 + 9 / 10) / (2 + 0.9 + 0.25))
    assert fit(np.full(4, math.nan)).mask == 0


def test_without_a_fit_probabilities_are_taken_as_they_are() -> None:
    confidence = ConfidenceFit()(np.array([0.9, math.nan, 0.6, math.nan]))
    assert confidence.mask == pytest.approx(1.5 / 3)  # eyes are always there
    assert confidence.parts[::2] == pytest.approx((0.9, 0.6))
    assert isinstance(confidence, Confidence)


def test_many_masks_at_once_as_each_alone() -> None:
    fit = ConfidenceFit((0.1, -0.2, 0.3, -1.0), (0.9, 1.1, 1.0, 1.5), (1.0, 1.0, 0.9, 0.2))
    expected = np.random.default_rng(0).uniform(0, 1, (3, 2, 4))
    expected[0, 1, 3] = expected[2, 0] = math.nan
    masks = fit.mean(fit.parts(expected))
    assert masks.shape == (3, 2)
    for place in np.ndindex(3, 2):
        assert masks[place] == pytest.approx(fit(expected[place]).mask)


def test_numbers_of_json_and_wrong_ones() -> None:
    lists: Any = [0, 1, 2, 3]
    assert ConfidenceFit(lists, lists).slope == (0.0, 1.0, 2.0, 3.0)
    for wrong, said in (
        ({"intercept": (0.0, 1.0)}, r"intercept is \(0.0, 1.0\): give a number for each of skin"),
        ({"intercept": "abcd"}, "intercept is 'abcd'"),
        ({"intercept": (0.0, math.nan, 0.0, 0.0)}, "intercept"),
        ({"slope": (1.0, 1.0, -0.1, 1.0)}, "slope is .*, 0 or more"),
        ({"missed": (1.0, 1.0, 1.0, 1.1)}, "missed is .*, 0 to 1"),
        ({"missed": None}, "missed is None"),
    ):
        options: dict[str, Any] = wrong
        with pytest.raises(InputError, match=said):
            ConfidenceFit(**options)
