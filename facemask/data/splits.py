"""Dividing videos into train, val and test by subject."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np

Split = Literal["train", "val", "test"]
SPLIT_NAMES: Final[tuple[Split, ...]] = ("train", "val", "test")
PAPER_VIDEOS: Final = {"train": 93, "val": 9, "test": 12}
"""Videos on each side in the paper (section 4.1)."""


def split_by_subject(subject_of: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Divide subjects so that the **videos** come as near 93 : 9 : 12 as the subjects allow.

    A subject is never on two sides. With at least three subjects no side is empty; one subject
    goes to train, a second to test.

    Args:
        subject_of: Subject of each video.
        seed: Seed of the shuffle.

    Returns:
        The side ("train", "val" or "test") of each subject.

    Examples:
        >>> sides = split_by_subject({f"{n:03d}": f"person {n}" for n in range(114)})
        >>> [list(sides.values()).count(side) for side in ("train", "val", "test")]
        [93, 9, 12]
    """
    videos = Counter(subject_of.values())
    subjects = np.random.default_rng(seed).permutation(sorted(videos)).tolist()
    sides: dict[str, str] = dict.fromkeys(sorted(videos), "train")
    total = sum(videos.values())
    for side in ("test", "val"):
        wanted = max(1, round(total * PAPER_VIDEOS[side] / sum(PAPER_VIDEOS.values())))
        free = [subject for subject in subjects if sides[subject] == "train"]
        for subject in _nearest_sum(free[1:], videos, wanted):  # one stays to train on
            sides[subject] = side
    return sides


def _nearest_sum(subjects: Sequence[str], videos: Mapping[str, int], wanted: int) -> list[str]:
    """Subjects, at least one if there is any, whose videos add up as near to `wanted` as can be."""
    if not subjects:
        return []
    counts = [videos[subject] for subject in subjects]
    # sums are multiples of what all counts have in common: nothing comes nearer than this one
    step = math.gcd(*counts)
    best = max(step, -(-(2 * wanted - step) // (2 * step)) * step)
    added = np.full(wanted + max(counts) + 1, -1)  # for each sum, who made it reachable first
    added[0] = len(counts)
    for index, count in enumerate(counts):
        sums = np.flatnonzero(added[:wanted] >= 0) + count
        added[sums[added[sums] < 0]] = index
        if added[best] >= 0:
            break
    reached = np.flatnonzero(added[1:] >= 0) + 1
    total = int(min(reached.tolist(), key=lambda reached: (abs(reached - wanted), reached)))
    chosen = []
    while total:
        chosen.append(subjects[added[total]])
        total -= counts[added[total]]
    return chosen[::-1]
