"""Dividing videos into train, val and test by subject."""

from collections import Counter
from collections.abc import Mapping
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

    Example:
        >>> sides = split_by_subject({f"{n:03d}": f"person {n}" for n in range(114)})
        >>> [list(sides.values()).count(side) for side in ("train", "val", "test")]
        [93, 9, 12]
    """
    videos = Counter(subject_of.values())
    subjects = np.random.default_rng(seed).permutation(sorted(videos)).tolist()
    sides = dict.fromkeys(subjects, "train")
    total = sum(videos.values())
    for side in ("test", "val"):
        wanted = max(1, round(total * PAPER_VIDEOS[side] / sum(PAPER_VIDEOS.values())))
        taken = 0
        for subject in subjects:
            free = sides[subject] == "train"
            others = sum(s == "train" for s in sides.values()) > 1  # someone must be left to train on
            if free and others and taken + videos[subject] <= wanted:
                sides[subject] = side
                taken += videos[subject]
        if taken == 0:  # every subject has more videos than wanted: take the smallest one
            free_subjects = [s for s in subjects if sides[s] == "train"]
            if len(free_subjects) > 1:
                sides[min(free_subjects, key=lambda s: videos[s])] = side
    return {subject: sides[subject] for subject in sorted(sides)}
