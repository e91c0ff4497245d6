from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from facemask.errors import InputError
from facemask.metrics import FrameCounts, MaskIoU, improvement_by_position, paired_significance

Array = npt.NDArray[Any]


def counts(
    intersection: list[list[int]], union: list[list[int]], position: list[int] | None = None
) -> FrameCounts:
    """Frames 1, 2, … of one video, each a sequence of its own."""
    frames = len(union)
    return FrameCounts(
        intersection=np.array(intersection, np.int64).reshape(frames, -1),
        union=np.array(union, np.int64).reshape(frames, -1),
        video=np.full(frames, "001"),
        frame=np.arange(1, frames + 1),
        sequence=np.arange(frames),
        position=np.zeros(frames, np.int64) if position is None else np.array(position),
    )


def random_run(seed: int, gain: float = 0.0, videos: int = 6, sequences: int = 4) -> FrameCounts:
    """Videos of sequences of 10 frames; class 3 occurs in some only."""
    rng = np.random.default_rng(seed)
    frames = videos * sequences * 10
    union = rng.integers(50, 900, (frames, 5))
    union[:, 3] *= rng.random(frames) < 0.3
    iou = np.clip(rng.normal(0.5 + gain, 0.15, (frames, 5)), 0, 1)
    frame = np.arange(frames) % (sequences * 10) + 1
    return FrameCounts(
        intersection=(iou * union).astype(np.int64),
        union=union.astype(np.int64),
        video=np.arange(frames) // (sequences * 10) + 3,
        frame=frame,
        sequence=(frame - 1) // 10,  # the same numbers in every video
        position=(frame - 1) % 5,
    )


def miou(run: FrameCounts, rows: Array) -> float:
    """Mean IoU of some frames together, class by class."""
    values = []
    for c in range(1, run.union.shape[1]):
        union = sum(int(u) for u in run.union[rows, c])
        if union:
            values.append(sum(int(i) for i in run.intersection[rows, c]) / union)
    return float(np.mean(values)) if values else float("nan")


def shuffled(run: FrameCounts, seed: int = 9) -> FrameCounts:
    return run.take(np.random.default_rng(seed).permutation(len(run)))


def test_paired_significance_equals_a_transcription() -> None:
    baseline, candidate = random_run(0), random_run(1, gain=0.02)
    found = paired_significance(baseline, shuffled(candidate), groups=7, resamples=300, seed=5)
    # groups: the sorted (video, sequence) pairs, shuffled
    keys = sorted(
        {(int(v), int(s)) for v, s in zip(baseline.video, baseline.sequence, strict=True)}
    )
    rng = np.random.default_rng(5)
    order = rng.permutation(len(keys))
    first, second = [], []
    sizes = []
    for members in np.array_split(order, 7):
        wanted = {keys[i] for i in members}
        sizes.append(len(wanted))
        rows = np.array(
            [
                i
                for i in range(len(baseline))
                if (int(baseline.video[i]), int(baseline.sequence[i])) in wanted
            ]
        )
        first.append(miou(baseline, rows))
        second.append(miou(candidate, rows))
    assert max(sizes) - min(sizes) == 1  # 24 sequences in 7 groups
    np.testing.assert_allclose(found.baseline_groups, first)
    np.testing.assert_allclose(found.candidate_groups, second)
    test = stats.ttest_rel(second, first)
    assert found.statistic == pytest.approx(test.statistic)
    assert found.p_value == pytest.approx(test.pvalue)
    everything = np.arange(len(baseline))
    assert found.baseline_miou == pytest.approx(miou(baseline, everything))
    assert found.candidate_miou == pytest.approx(miou(candidate, everything))
    assert found.difference == pytest.approx(found.candidate_miou - found.baseline_miou)
    assert found.difference > 0
    # the bootstrap, one resample at a time, with the same draws
    differences = []
    videos = np.unique(baseline.video)
    for draw in rng.integers(0, len(videos), (300, len(videos))):
        rows = np.concatenate([np.flatnonzero(baseline.video == videos[i]) for i in draw])
        differences.append(miou(candidate, rows) - miou(baseline, rows))
    np.testing.assert_allclose(found.interval, np.percentile(differences, [2.5, 97.5]), atol=1e-12)


def test_t_test_by_hand() -> None:
    # one frame a group, one class: differences 0.1, 0.3, 0.2 -> mean 0.2, s = 0.1, t = 2 √3
    union = [[1, 10]] * 3
    baseline = counts([[0, 2], [0, 3], [0, 1]], union)
    candidate = counts([[0, 3], [0, 6], [0, 3]], union)
    found = paired_significance(baseline, candidate, groups=3, resamples=10)
    assert sorted(found.candidate_groups - found.baseline_groups) == pytest.approx([0.1, 0.2, 0.3])
    assert found.statistic == pytest.approx(2 * 3**0.5)
    assert found.p_value == pytest.approx(2 * stats.t.sf(2 * 3**0.5, 2))
    assert not found.significant
    assert (found.baseline_miou, found.candidate_miou) == pytest.approx((0.2, 0.4))
    assert np.isnan(found.interval).all()  # one video only
    opposite = paired_significance(candidate, baseline, groups=3, resamples=10)
    assert opposite.statistic == pytest.approx(-2 * 3**0.5)
    assert opposite.difference == pytest.approx(-0.2)


def test_differences_that_do_not_vary() -> None:
    run = random_run(0)
    same = paired_significance(run, shuffled(run), resamples=50)
    assert (same.p_value, same.statistic, same.difference) == (1.0, 0.0, 0.0)
    assert same.interval == (0.0, 0.0)
    assert not same.significant
    union = [[1, 10]] * 4
    low = counts([[0, 1], [0, 2], [0, 6], [0, 3]], union)
    high = counts([[0, 3], [0, 4], [0, 8], [0, 5]], union)
    better = paired_significance(low, high, groups=4, resamples=10)
    assert (better.p_value, better.statistic) == (0.0, np.inf)
    assert better.significant
    assert paired_significance(high, low, groups=4, resamples=10).statistic == -np.inf


def test_the_seed_decides() -> None:
    baseline, candidate = random_run(0), random_run(1)
    first = paired_significance(baseline, candidate, resamples=100, seed=1)
    again = paired_significance(baseline, candidate, resamples=100, seed=1)
    other = paired_significance(baseline, candidate, resamples=100, seed=2)
    assert first.p_value == again.p_value
    assert first.interval == again.interval
    assert first.p_value != other.p_value
    assert first.interval != other.interval
    wide = paired_significance(baseline, candidate, resamples=100, seed=1, confidence=0.99)
    assert wide.interval[1] - wide.interval[0] > first.interval[1] - first.interval[0]
    assert isinstance(first.significant, bool)


def test_bad_options() -> None:
    run = random_run(0)
    for options, message in (
        ({"groups": 25}, "24 sequences for 25 groups"),
        ({"groups": 1}, "got 1 groups"),
        ({"resamples": 0}, "got 0 resamples"),
        ({"confidence": 95.0}, "confidence 95.0"),
        ({"confidence": float("nan")}, "confidence nan"),
    ):
        with pytest.raises(InputError, match=message):
            paired_significance(run, run, **options)
    empty = counts([[4, 0], [4, 1]], [[5, 0], [5, 2]])
    with pytest.raises(InputError, match="One of 2 groups holds no foreground pixel"):
        paired_significance(empty, empty, groups=2)


def test_runs_of_other_frames_are_refused() -> None:
    run = random_run(0)
    fewer = run.take(np.arange(len(run) - 1))
    for pair in ((run, fewer), (fewer, run)):
        with pytest.raises(InputError, match="1 frames, such as frame 40 of video 8"):
            paired_significance(*pair)
        with pytest.raises(InputError, match="1 frames, such as frame 40 of video 8"):
            improvement_by_position(*pair)
    with pytest.raises(InputError, match="differ in 480 frames"):
        paired_significance(run, replace(run, video=run.video.astype(str)))
    with pytest.raises(InputError, match="frame 1 of video 3 another sequence"):
        paired_significance(run, replace(run, sequence=run.sequence + 1))
    moved = run.position.copy()
    moved[2] = 0
    with pytest.raises(InputError, match="frame 3 of video 3 another position"):
        improvement_by_position(run, replace(run, position=moved))
    narrow = replace(run, intersection=run.intersection[:, :4], union=run.union[:, :4])
    with pytest.raises(InputError, match="has 5 classes and the candidate 4"):
        paired_significance(run, narrow)


def test_improvement_by_hand() -> None:
    # classes: background, a, b; positions 0, 0, 1, 3
    positions = [0, 0, 1, 3]
    baseline = counts(
        [[9, 1, 0], [9, 2, 3], [9, 4, 0], [9, 0, 0]],
        [[9, 10, 0], [9, 4, 4], [9, 8, 0], [9, 0, 0]],
        positions,
    )
    candidate = counts(
        [[9, 4, 0], [9, 1, 2], [9, 6, 0], [9, 1, 0]],
        [[9, 8, 0], [9, 4, 8], [9, 8, 2], [9, 2, 0]],
        positions,
    )
    # frame 1: 0.1 -> 0.5; frame 2: (0.5 + 0.75)/2 -> (0.25 + 0.25)/2; frame 3: 0.5 -> (0.75 + 0)/2
    gains = [(0.4 - 0.375) / 2, -0.125, np.nan, np.nan]  # the baseline has nothing in frame 4
    np.testing.assert_allclose(improvement_by_position(baseline, shuffled(candidate)), gains)
    # together: (3/14 + 3/4)/2 -> (5/12 + 2/8)/2
    pooled = improvement_by_position(baseline, candidate, pooled=True)
    expected = [(5 / 12 + 2 / 8) / 2 - (3 / 14 + 3 / 4) / 2, -0.125, np.nan, np.nan]
    np.testing.assert_allclose(pooled, expected)
    assert pooled.dtype == np.float64


def test_improvement_equals_a_transcription() -> None:
    baseline, candidate = random_run(0), random_run(1, gain=0.1)
    found = improvement_by_position(baseline, candidate)
    pooled = improvement_by_position(baseline, candidate, pooled=True)
    assert found.shape == pooled.shape == (5,)
    for t in range(5):
        rows = np.flatnonzero(baseline.position == t)
        gains = [
            miou(candidate, rows[i : i + 1]) - miou(baseline, rows[i : i + 1]) for i in range(48)
        ]
        assert len(rows) == 48
        assert found[t] == pytest.approx(np.mean(gains))
        assert pooled[t] == pytest.approx(miou(candidate, rows) - miou(baseline, rows))
    nothing = baseline.take(np.arange(0))
    assert improvement_by_position(nothing, nothing).shape == (0,)


def test_counts_from_masks() -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, targets = [], []
    for size in ((6, 5), (7, 7)):
        predictions.append(torch.randint(0, 3, size, generator=generator).byte())
        targets.append(torch.randint(0, 3, size, generator=generator).byte())
    targets[0][:2] = 255
    run = FrameCounts.from_masks(predictions, targets, ["a", "b"], [1, 1], [0, 0], [0, 4], 3)
    assert len(run) == 2
    metric = MaskIoU(["background", "a", "b"])
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        counted = target != 255
        for c in range(3):
            guess, truth = (prediction == c) & counted, target == c
            assert run.intersection[i, c] == (guess & truth).sum()
            assert run.union[i, c] == (guess | truth).sum()
        metric.update(prediction, target)
    total = run.intersection.sum(0) / run.union.sum(0)
    assert float(metric.compute()["miou"]) == pytest.approx(total[1:].mean())
    assert run.union.dtype == np.int64
    with pytest.raises(InputError, match="2 predictions and 1 targets"):
        FrameCounts.from_masks(predictions, targets[:1], ["a"], [1], [0], [0], 3)
    with pytest.raises(InputError, match=r"video has shape \(1,\): give \(2,\)"):
        FrameCounts.from_masks(predictions, targets, ["a"], [1, 1], [0, 0], [0, 4], 3)
    with pytest.raises(InputError, match="class id 2: give 0 to 1"):
        FrameCounts.from_masks(predictions, targets, ["a", "b"], [1, 1], [0, 0], [0, 4], 2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("intersection", [[1, 2]], "intersection is a list: give a NumPy array"),
        ("union", np.ones((3, 2)), "union holds float64: give pixel counts, int64"),
        ("union", np.ones((3, 2), np.int32), "union holds int32"),
        ("union", np.ones(3, np.int64), r"union has shape \(3,\): give \(F, C\)"),
        ("union", np.ones((3, 1), np.int64), r"union has shape \(3, 1\)"),
        ("union", np.ones((4, 2), np.int64), r"shape \(3, 2\) and unions of shape \(4, 2\)"),
        (
            "intersection",
            np.array([[0, 0], [0, 3], [0, 0]]),
            "intersection 3 and union 2 of class 1",
        ),
        ("intersection", np.array([[0, 0], [0, 0], [-1, 0]]), "intersection -1 .* in row 2"),
        ("video", np.array(["a", "b"]), r"video has shape \(2,\): give \(3,\)"),
        ("video", np.array([1.0, 2.0, 3.0]), "video holds float64: give integers or strings"),
        ("frame", np.array(["1", "2", "3"]), "frame holds <U1: give integers"),
        ("frame", np.array([1, 2, 1]), "frame 1 of video 001 more than once"),
        ("sequence", np.array([None, 1, 2]), "sequence holds object"),
        ("position", np.array([0, -1, 0]), "position holds -1"),
    ],
)
def test_bad_counts(field: str, value: Any, message: str) -> None:  # noqa: ANN401
    good = counts([[1, 0], [1, 1], [2, 2]], [[2, 2], [2, 2], [2, 2]])
    with pytest.raises(InputError, match=message):
        replace(good, **{field: value})
