"""Further data sets that are trained on beside a data module's own, by shares."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from facemask.data.samplers import Shares
from facemask.data.vw300_mask import Frame, read_split
from facemask.errors import InputError
from facemask.regions import Region


def check_shares(folders: Mapping[str, float]) -> None:
    """Raise an `InputError` unless every share is a number above 0."""
    for folder, share in folders.items():
        if not 0 < share < math.inf:
            raise InputError(
                f"data.more_training: the share of {folder} is {share}, expected a number above 0."
            )


def read_more(folder: str, split: str, number: int) -> list[Frame]:
    """Training frames of a further data set, apart from all other sets' videos by name.

    Args:
        folder: The data set's.
        split: A folder below its data_splits.
        number: 1 for the first such set, 2 for the second.

    Raises:
        InputError: The data set is missing or wrong.
    """
    try:
        frames = read_split(Path(folder), split, "train")
    except InputError as error:
        raise InputError(f"data.more_training: {error}") from error
    # a number, not the folder: caches of features stay valid where the data moves
    return [replace(frame, video=f"{number}/{frame.video}") for frame in frames]


def count_shares(
    clips: Sequence[Sequence[Frame]], folders: Mapping[str, float], region: Region, seed: int
) -> Shares:
    """What an epoch takes of each data set.

    Args:
        clips: Of all data sets, one after the other, as `read_more` names them.
        folders: The further sets, and how often an epoch sees each of their clips.
        region: What the clips show, for the error message.
        seed: Of the draw.

    Raises:
        InputError: A further set has no clip.
    """
    found = Counter(clip[0].video.rpartition("/")[0] for clip in clips)
    counts = [found[str(number)] for number in range(1, 1 + len(folders))]
    for folder, count in zip(folders, counts, strict=True):
        if not count:
            raise InputError(
                f"data.more_training: no label of the training side of {folder} shows {region}: "
                "leave it out or choose another region."
            )
    return Shares([len(clips) - sum(counts), *counts], [1.0, *folders.values()], seed)
