"""Operating point of a network: offsets of its classes for which the mean IoU is highest.

A network trained with cross-entropy tells probabilities, and its arg-max is right most often; the
mean IoU of the classes is highest elsewhere, with rare classes taken more easily. One number a
class, added to its score, moves the line between it and the others.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_SETS, IGNORE, OPEN
from facemask.errors import InputError
from facemask.metrics.confusion import iou_from_counts, mean_iou

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ids: TypeAlias = npt.NDArray[np.int64]

_LEAST_GAIN: Final = 1e-5
"""Gain of mean IoU below which a search has ended: a thousandth of a percentage point."""
_ROUNDS: Final = 50
"""Rounds after which a search ends anyway."""


@dataclass(frozen=True, eq=False)
class ScoredPixels:
    """Pixels with a network's scores and the truth; a pixel may stand for several.

    Attributes:
        scores: float32 (N, C), background first.
        target: True class ids 0 to C - 1, or sets of them (`facemask.classes.OPEN`), counted as
            `MaskIoU` counts them; int64 (N,).
        weight: How many pixels each stands for, float64 (N,).
        video: Number of the video that each is of, from 0, int64 (N,).
    """

    scores: npt.NDArray[np.float32]
    target: Ids
    weight: Floats
    video: Ids

    def of(self, chosen: Bools) -> "ScoredPixels":
        """Return some of the pixels; chosen is (N,)."""
        return ScoredPixels(
            self.scores[chosen], self.target[chosen], self.weight[chosen], self.video[chosen]
        )


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """Result of `operating_point`.

    Attributes:
        offsets: What to add to each class's scores, float64 (C,); the background's is 0, and that
            of a class that does not occur.
        before: Confusion matrix [truth, prediction] without offsets, in pixels, float64 (C, C).
        after: With them, on the pixels that they were fitted on.
        held_out: On pixels of videos that they were not fitted on; None for a single video.
        interval: Low and high end of the 95 % interval of `gain`, over videos; (nan, nan) for a
            single one.
        unsettled: Classes of which no label says for certain where they are, bool (C,): they have
            no IoU, and their pixels are counted as the background's.
    """

    offsets: Floats
    before: Floats
    after: Floats
    held_out: Floats | None
    interval: tuple[float, float]
    unsettled: Bools

    @property
    def gain(self) -> float:
        """Mean IoU that is gained on videos that were not fitted on; NaN for a single video."""
        if self.held_out is None:
            return float("nan")
        return float(miou_of(self.held_out) - miou_of(self.before))


def operating_point(pixels: ScoredPixels, folds: int = 5, seed: int = 0) -> OperatingPoint:
    """Fit offsets, and find out what such offsets gain on videos that they were not fitted on.

    The videos are shared out to `folds` parts; each part is scored with offsets fitted on all
    others, and the parts' counts are added up. The offsets are the mean of these fits, which
    depends less on single videos than one fit to all.

    Args:
        pixels: Of several videos, or `held_out` stays unknown.
        folds: Number of parts, at least 2; fewer if there are fewer videos.
        seed: Decides the parts, and the resamples of the interval.

    Raises:
        InputError: There are no pixels, or none of a foreground class.
    """
    if not ((pixels.target > 0) & (pixels.target < pixels.scores.shape[1])).any():
        raise InputError(
            "No pixel of a foreground class was given: there is nothing to fit offsets to."
        )
    classes = pixels.scores.shape[1]
    unsettled = _never_settled(pixels.target, classes)

    def count(some: ScoredPixels, offsets: Floats) -> Floats:
        return _without(_by_video(some, offsets), unsettled)

    before = count(pixels, np.zeros(classes))
    videos = len(before)
    if videos < 2:
        offsets, unknown = fit_offsets(pixels), float("nan")
        after = count(pixels, offsets).sum(0)
        return OperatingPoint(offsets, before.sum(0), after, None, (unknown, unknown), unsettled)
    random = np.random.default_rng(seed)
    part = random.permutation(videos) % min(folds, videos)
    held_out, fits = np.zeros_like(before), []
    for fold in range(part.max() + 1):
        fits.append(fit_offsets(pixels.of(part[pixels.video] != fold)))
        held_out[part == fold] = count(pixels, fits[-1])[part == fold]
    offsets = np.mean(fits, axis=0)
    after = count(pixels, offsets).sum(0)
    drawn = random.multinomial(videos, np.full(videos, 1 / videos), size=2000)  # (R, V)
    gains = miou_of(np.tensordot(drawn, held_out, 1)) - miou_of(np.tensordot(drawn, before, 1))
    low, high = np.nanpercentile(gains, (2.5, 97.5))
    interval = (float(low), float(high))
    return OperatingPoint(offsets, before.sum(0), after, held_out.sum(0), interval, unsettled)


def fit_offsets(pixels: ScoredPixels) -> Floats:
    """Return offsets of the classes, float64 (C,), for which the mean IoU is highest.

    Coordinate ascent by exact searches: a class's pixels come to it one after the other as its
    offset rises, in the order of the gap between the best other score and its own, so that sums
    along that order give the mean IoU at every offset. Class after class is searched, and all
    foreground classes together, until nothing improves. The mean is over the foreground classes
    that are labelled for certain; the background, and a class that is not, keep 0.

    Args:
        pixels: Of any classes.
    """
    classes = pixels.scores.shape[1]
    occurs = np.bincount(pixels.target, minlength=classes)[:classes] > 0
    occurs[0] = False
    groups = [np.arange(classes) == c for c in np.flatnonzero(occurs)]
    if len(groups) > 1:
        groups.append(occurs)  # as if the background's were moved
    offsets = np.zeros(classes)
    best = float(ious_of(_by_video(pixels, offsets).sum(0))[occurs].mean()) if groups else 1.0
    for _ in range(_ROUNDS):
        start = best
        for group in groups:
            reached, shift = _search(pixels, offsets, group, occurs)
            if reached > best:
                best = reached
                offsets[group] += shift
        if best - start < _LEAST_GAIN:
            break
    return offsets


def _search(
    pixels: ScoredPixels, offsets: Floats, group: Bools, occurs: Bools
) -> tuple[float, float]:
    """Return the highest mean IoU that one shift of a group's offsets reaches, and the shift."""
    scores = pixels.scores + offsets.astype(np.float32)
    inside, outside = (np.where(chosen, scores, -np.inf) for chosen in (group, ~group))
    own, rival = inside.argmax(1), outside.argmax(1)
    gap = outside.max(1) - inside.max(1)
    order = gap.argsort()
    gap, own, rival = gap[order], own[order], rival[order]
    target = pixels.target[order]
    truth, weight = _truth(target, len(offsets)), pixels.weight[order]
    before, after = (weight * _counts(target, guess, len(offsets)) for guess in (rival, own))
    total = np.zeros(len(gap) - 1)
    for c in np.flatnonzero(occurs):
        # union and hits where no pixel has come to the group, and what each pixel changes
        true, was, comes = truth == c, rival == c, own == c
        change = after * (true | comes) - before * (true | was)
        union = before[true | was].sum() + np.cumsum(change)
        change = after * (true & comes) - before * (true & was)
        hit = before[true & was].sum() + np.cumsum(change)
        total += hit[:-1] / union[:-1]  # each pixel but the last
    total[gap[:-1] == gap[1:]] = -np.inf  # no offset parts them
    if not len(total) or (place := int(total.argmax())) < 0 or total[place] == -np.inf:
        return -np.inf, 0.0
    reached = float(total[place] / occurs.sum())
    return reached, float(gap[place] + gap[place + 1]) / 2


def _by_video(pixels: ScoredPixels, offsets: Floats) -> Floats:
    """Return each video's confusion matrix [truth, prediction], float64 (V, C, C)."""
    classes = len(offsets)
    predicted = (pixels.scores + offsets.astype(np.float32)).argmax(1)
    videos = int(pixels.video.max(initial=-1)) + 1
    place = (pixels.video * classes + _truth(pixels.target, classes)) * classes + predicted
    weight = pixels.weight * _counts(pixels.target, predicted, classes)
    counts = np.bincount(place, weight, minlength=videos * classes**2)
    return np.asarray(counts, np.float64).reshape(videos, classes, classes)


def _members(classes: int) -> Bools:
    """Return which classes each label leaves open, (L, C); none of a class's own label."""
    table = np.zeros((max(classes, IGNORE), classes), np.bool_)
    for label, members in CLASS_SETS.items():
        if members[-1] < classes <= OPEN:
            table[label, list(members)] = True
    return table


def _truth(target: Ids, classes: int) -> Ids:
    """Return the class that each pixel counts as, the lowest of a set, (N,)."""
    table = _members(classes)
    lowest = np.where(table.any(1), table.argmax(1), np.arange(len(table)))
    return np.asarray(lowest[target], np.int64)


def _counts(target: Ids, guess: Ids, classes: int) -> Bools:
    """Return whether each pixel counts with a prediction: one within a set does not, (N,)."""
    return np.asarray(~_members(classes)[target, guess], np.bool_)


def _never_settled(target: Ids, classes: int) -> Bools:
    """Return which classes are in sets only, (C,)."""
    labels = np.unique(target)
    possible = _members(classes)[labels].any(0)
    return np.asarray(possible & ~np.isin(np.arange(classes), labels), np.bool_)


def _without(confusion: Floats, unsettled: Bools) -> Floats:
    """Return confusion matrices in which pixels of foreground classes are the background's."""
    confusion = confusion.copy()
    for c in np.flatnonzero(unsettled[1:]) + 1:
        confusion[..., 0] += confusion[..., c]
        confusion[..., 0, :] += confusion[..., c, :]
        confusion[..., c] = confusion[..., c, :] = 0
    return confusion


def ious_of(confusion: Floats) -> Floats:
    """Return the IoU of each class, (..., C), from confusion matrices (..., C, C)."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    return iou_from_counts(hit, confusion.sum(-1) + confusion.sum(-2) - hit)


def miou_of(confusion: Floats) -> Floats:
    """Return the mean IoU over the foreground classes that are there, as `mean_iou` does."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    return mean_iou(hit, confusion.sum(-1) + confusion.sum(-2) - hit)
