"""Offsets for which the mean IoU is highest."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from facemask.errors import InputError
from facemask.metrics.operating_point import (
    ScoredPixels,
    fit_offsets,
    ious_of,
    miou_of,
    operating_point,
)


def made_up(
    count: int, shares: list[float], seed: int = 0, videos: int = 1, sure: float = 2.0
) -> ScoredPixels:
    """Pixels whose scores are those of the best classifier: logarithms of posteriors."""
    random = np.random.default_rng(seed)
    target = random.choice(len(shares), count, p=shares)
    scores = random.normal(0, 1.5, (count, len(shares)))
    scores[np.arange(count), target] += sure
    scores = scores * sure / 1.5**2 + np.log(shares)
    return ScoredPixels(
        scores.astype(np.float32),
        target,
        random.uniform(0.5, 2, count),
        random.integers(0, videos, count),
    )


def miou(pixels: ScoredPixels, offsets: npt.ArrayLike) -> float:
    """Counted the slow way, over all foreground classes."""
    predicted = (pixels.scores + np.asarray(offsets, np.float32)).argmax(1)
    ious = []
    for c in range(1, pixels.scores.shape[1]):
        one, other = pixels.target == c, predicted == c
        ious.append(pixels.weight[one & other].sum() / pixels.weight[one | other].sum())
    return float(np.mean(ious))


def test_two_classes_by_hand() -> None:
    # gaps of class 1 to class 0, ascending: 0.5 (1), 1 (0), 2 (1), 4 (0), 8 (0); one is wrong
    gap = np.array([4, 0.5, 2, 8, 1])
    scores = np.stack([gap, np.zeros(5)], axis=1).astype(np.float32)
    pixels = ScoredPixels(
        scores, np.array([0, 1, 1, 0, 0]), np.array([1.0, 1, 1, 1, 1]), np.zeros(5, np.int64)
    )
    # taken: the first 1/2, the second 1/3, the third 2/3 (between 2 and 4), 2/4, 2/5
    assert fit_offsets(pixels).tolist() == [0, 3]
    heavy = ScoredPixels(scores, pixels.target, np.array([1.0, 1, 1, 1, 9]), pixels.video)
    assert fit_offsets(heavy).tolist() == [0, 0.75]  # 1/2, against 2/11


def test_as_good_as_a_search_of_the_whole_grid() -> None:
    pixels = made_up(400, [0.5, 0.42, 0.08])
    offsets = fit_offsets(pixels)
    steps = np.arange(-3, 3.01, 0.1)
    best = max(miou(pixels, [0, a, b]) for a, b in product(steps, steps))
    assert miou(pixels, offsets) >= best - 0.003
    assert miou(pixels, offsets) > miou(pixels, [0, 0, 0]) + 0.03


def test_the_threshold_of_theory() -> None:
    # with posterior p, pixels of p > IoU / (1 + IoU) are to be taken (docs/calibration.md)
    pixels = made_up(200_000, [0.95, 0.05], sure=1.5)
    offset = fit_offsets(pixels)[1]
    reached = miou(pixels, [0, offset])
    assert 1 / (1 + np.exp(offset)) == pytest.approx(reached / (1 + reached), abs=0.01)
    assert offset > 0.5


def test_gaps_that_are_equal_are_not_parted() -> None:
    scores = np.zeros((6, 2), np.float32)
    scores[:, 0] = [1, 1, 1, 1, 3, 3]
    target = np.array([1, 1, 1, 0, 0, 0])
    pixels = ScoredPixels(scores, target, np.ones(6), np.zeros(6, np.int64))
    assert fit_offsets(pixels).tolist() == [0, 2]
    alike = ScoredPixels(scores[:4], target[:4], np.ones(4), np.zeros(4, np.int64))
    assert fit_offsets(alike).tolist() == [0, 0]


def test_a_class_that_does_not_occur_keeps_zero() -> None:
    pixels = made_up(3000, [0.6, 0.3, 0.1])
    extra = np.full((3000, 1), -1, np.float32)
    wider = ScoredPixels(
        np.hstack([pixels.scores, extra]), pixels.target, pixels.weight, pixels.video
    )
    offsets = fit_offsets(wider)
    assert offsets[3] == offsets[0] == 0
    assert offsets[2] > 0
    nothing = ScoredPixels(pixels.scores, np.zeros(3000, np.int64), pixels.weight, pixels.video)
    with pytest.raises(InputError, match="No pixel of a foreground class was given"):
        operating_point(nothing)


def test_what_is_fitted_to_noise_gains_nothing_on_other_videos() -> None:
    pixels = made_up(40_000, [0.6, 0.35, 0.05], videos=8)
    point = operating_point(pixels)
    assert miou_of(point.before) == pytest.approx(miou(pixels, [0, 0, 0]))
    assert miou_of(point.after) == pytest.approx(miou(pixels, point.offsets), abs=1e-4)
    assert point.gain == pytest.approx(miou_of(point.after) - miou_of(point.before), abs=0.01)
    assert 0 < point.interval[0] < point.gain < point.interval[1]

    # each video wants the other way
    random = np.random.default_rng(1)
    moved = pixels.scores.copy()
    moved[:, 1:] += random.choice([-1.5, 1.5], 8)[pixels.video][:, None].astype(np.float32)
    noise = operating_point(
        ScoredPixels(moved, pixels.target, pixels.weight, pixels.video), folds=8
    )
    assert miou_of(noise.after) > miou_of(noise.before)
    assert noise.gain < miou_of(noise.after) - miou_of(noise.before)
    assert noise.held_out is not None
    assert noise.held_out.sum() == pytest.approx(pixels.weight.sum())


def test_a_single_video_says_nothing_of_others() -> None:
    point = operating_point(made_up(500, [0.7, 0.3]))
    assert point.held_out is None
    assert np.isnan([point.gain, *point.interval]).all()


def test_ious_of_a_confusion_matrix() -> None:
    confusion = np.array([[5.0, 1, 0], [2, 4, 0], [0, 0, 0]])
    np.testing.assert_allclose(ious_of(confusion), [5 / 8, 4 / 7, np.nan])
    assert miou_of(confusion) == pytest.approx(4 / 7)
