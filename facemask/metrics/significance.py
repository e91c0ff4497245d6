"""Comparison of two runs: the P value of section 4.2, and the improvement of Table 4."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.metrics.confusion import mean_iou
from facemask.metrics.frame_counts import FrameCounts, match_frames

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Significance:
    """Result of `paired_significance`; every mIoU in [0, 1].

    Attributes:
        p_value: Two-sided P value of the paired t-test over the groups.
        statistic: Its t; positive where the candidate is better.
        baseline_miou: The baseline's mIoU over all frames.
        candidate_miou: The candidate's.
        difference: Candidate minus baseline.
        interval: Low and high end of the bootstrap interval of the difference, over videos;
            (nan, nan) for a single video.
        baseline_groups: The baseline's mIoU of each group, float64 (groups,).
        candidate_groups: The candidate's.
    """

    p_value: float
    statistic: float
    baseline_miou: float
    candidate_miou: float
    difference: float
    interval: tuple[float, float]
    baseline_groups: Floats
    candidate_groups: Floats

    @property
    def significant(self) -> bool:
        """True if the P value is below 0.05, the paper's rule (section 4.2)."""
        return self.p_value < 0.05


def paired_significance(
    baseline: FrameCounts,
    candidate: FrameCounts,
    groups: int = 10,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Significance:
    """Run the paper's paired test (section 4.2), and beside it a bootstrap over videos.

    Whole sequences are shuffled into groups of as equal size as possible; each group gives one
    mIoU a run, from its summed counts; a paired t-test compares the two rows of mIoUs. The paper
    names neither the test nor how its 80 sequences were grouped: both are choices made here.

    The P value answers "would other sequences of these videos give this difference?". It does not
    speak of other people: the sequences of one video show one person in one light, fall into
    several groups and make them look more alike than new faces would be, so that P comes out too
    small. It also depends on the seed. The interval resamples whole videos, the unit that is
    independent (where no two show one subject), and is the honest one: a difference whose
    interval holds 0 may be a matter of who happened to be in the test set.

    Args:
        baseline: Counts of the run to compare with.
        candidate: Counts of the other run, of the same frames in any order.
        groups: Number of groups, at least 2.
        resamples: Number of bootstrap resamples.
        confidence: Share of the resamples inside the interval (percentiles), in (0, 1).
        seed: Decides groups and resamples.

    Returns:
        See `Significance`. Runs of equal group mIoUs have P = 1 and t = 0; a difference that is
        the same in every group, and not 0, has P = 0 and t = ±inf.

    Raises:
        InputError: The runs do not hold the same frames and classes, an option is out of range,
            there are fewer sequences than groups, or a group holds no foreground pixel.
    """
    _check_options(groups, resamples, confidence)
    candidate = match_frames(baseline, candidate)
    runs = baseline, candidate
    random = np.random.default_rng(seed)
    group = _groups(baseline, groups, random)
    baseline_groups, candidate_groups = (mean_iou(*_sums(run, group, groups)) for run in runs)
    if np.isnan(baseline_groups + candidate_groups).any():
        raise InputError(
            f"One of {groups} groups holds no foreground pixel: give fewer groups or more frames."
        )
    statistic, p_value = _t_test(baseline_groups, candidate_groups)
    everything = np.zeros_like(group)
    first, second = (float(mean_iou(*_sums(run, everything, 1))[0]) for run in runs)
    return Significance(
        p_value=p_value,
        statistic=statistic,
        baseline_miou=first,
        candidate_miou=second,
        difference=second - first,
        interval=_bootstrap_videos(baseline, candidate, resamples, confidence, random),
        baseline_groups=baseline_groups,
        candidate_groups=candidate_groups,
    )


def improvement_by_position(
    baseline: FrameCounts, candidate: FrameCounts, pooled: bool = False
) -> Floats:
    """Return the mean improvement at each position of the clip (Table 4).

    Args:
        baseline: Counts of the run to compare with.
        candidate: Counts of the other run, of the same frames in any order.
        pooled: False: the mean over frames of the difference between the two runs' mIoUs of the
            frame, over the foreground classes that the run's mask or the truth holds; a frame
            without any in one of the runs is left out. True: the difference between the mIoUs of
            all frames at the position together.

    Returns:
        float64 (T,), T - 1 the largest position; candidate minus baseline in units of mIoU in
        [0, 1], where Table 4 shows percentage points (100 times as much). NaN for a position
        without a frame that counts.

    Raises:
        InputError: The runs do not hold the same frames and classes.
    """
    candidate = match_frames(baseline, candidate)
    position = baseline.position.astype(np.int64)
    length = int(position.max(initial=-1)) + 1
    if pooled:
        first, second = (mean_iou(*_sums(run, position, length)) for run in (baseline, candidate))
        return second - first
    gain = mean_iou(candidate.intersection, candidate.union)
    gain = gain - mean_iou(baseline.intersection, baseline.union)
    counted = ~np.isnan(gain)
    total = np.bincount(position[counted], weights=gain[counted], minlength=length)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(total / np.bincount(position[counted], minlength=length), np.float64)


def _check_options(groups: int, resamples: int, confidence: float) -> None:
    if groups < 2:
        raise InputError(f"paired_significance got {groups} groups: give 2 or more.")
    if resamples < 1:
        raise InputError(f"paired_significance got {resamples} resamples: give 1 or more.")
    if not 0 < confidence < 1:
        raise InputError(
            f"paired_significance got confidence {confidence}: give a share between 0 and 1, "
            "such as 0.95."
        )


def _sums(run: FrameCounts, part: Integers, parts: int) -> tuple[Integers, Integers]:
    """Sum intersection and union, (parts, C), over the frames of each part; part is (F,)."""
    sums = []
    for counts in (run.intersection, run.union):
        total = np.zeros((parts, counts.shape[1]), np.int64)
        np.add.at(total, part, counts)
        sums.append(total)
    return sums[0], sums[1]


def _groups(run: FrameCounts, groups: int, random: np.random.Generator) -> Integers:
    """Return the group of each frame, (F,): whole sequences, shuffled."""
    _, video = np.unique(run.video, return_inverse=True)
    _, name = np.unique(run.sequence, return_inverse=True)
    keys, sequence = np.unique(np.stack([video, name]), axis=1, return_inverse=True)
    count = keys.shape[1]
    if count < groups:
        raise InputError(
            f"paired_significance got {count} sequences for {groups} groups: give more sequences "
            "or fewer groups."
        )
    of_sequence = np.empty(count, np.int64)
    for i, members in enumerate(np.array_split(random.permutation(count), groups)):
        of_sequence[members] = i
    return np.asarray(of_sequence[sequence.ravel()])


def _t_test(baseline: Floats, candidate: Floats) -> tuple[float, float]:
    """Return the paired t and P, also where the differences do not vary and t is 0/0 or x/0."""
    from scipy.stats import ttest_rel

    difference = candidate - baseline
    if np.ptp(difference) <= 1e-12:  # rounding
        if abs(difference[0]) <= 1e-12:
            return 0.0, 1.0
        return float(np.copysign(np.inf, difference[0])), 0.0
    result = ttest_rel(candidate, baseline)
    return float(result.statistic), float(result.pvalue)


def _bootstrap_videos(
    baseline: FrameCounts,
    candidate: FrameCounts,
    resamples: int,
    confidence: float,
    random: np.random.Generator,
) -> tuple[float, float]:
    """Return the percentile interval of the difference, over videos drawn with replacement."""
    from scipy.stats import bootstrap

    names, video = np.unique(baseline.video, return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    sums = [_sums(run, video, len(names)) for run in (baseline, candidate)]

    def difference(drawn: Integers, axis: int = -1) -> Floats:
        drawn = np.moveaxis(drawn, axis, -1)
        first, second = (
            mean_iou(intersection[drawn].sum(axis=-2), union[drawn].sum(axis=-2))
            for intersection, union in sums
        )
        return second - first

    result = bootstrap(
        (np.arange(len(names)),),
        difference,
        n_resamples=resamples,
        batch=1000,  # keeps the drawn counts small
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        random_state=random,
    )
    low, high = result.confidence_interval
    return float(low), float(high)
