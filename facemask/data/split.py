"""Sides of a data set: each subject on one, or few subjects' videos by time."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from facemask.data.vw300_mask import SPLIT_NAMES, parse_stem, sequence_id, split_file, split_line
from facemask.errors import InputError
from facemask.files import read_lines, to_csv, write_atomic
from facemask.suffixes import some_names

SPLIT: Final = "split_1"
"""The split that `facemask prepare` writes."""
MISSING: Final = ".prepare/missing.csv"
"""Places of videos that an earlier call had, by subject and side."""
PAPER_VIDEOS: Final = {"train": 93, "val": 9, "test": 12}
"""Videos on each side in the paper (section 4.1)."""
_LEAST_SUBJECTS: Final = 3
_SHARE: Final = 0.15
"""Share of a video's sequences to validate and to test on each, when it is split by time."""
_LEAST_SEQUENCES: Final = 5
"""Least of a video to be split by time: one for each side, and a gap before each but the first."""
_LEAST_FRAMES: Final = 75
"""Least of a video to be split within its seconds, where none has as many seconds as that."""
_GAP_FRAMES: Final = 15
"""Frames left out between two sides then."""

SideOf: TypeAlias = Callable[[str, int], str | None]
"""Side of a frame, by video and number; None leaves it out."""


def make_split(
    frames: Mapping[str, Sequence[int]],
    subject_of: Mapping[str, str],
    seed: int,
    before: Mapping[str, set[str]],
) -> tuple[SideOf, str | None]:
    """Divide the frames of a data set.

    Args:
        frames: Numbers of each video's frames.
        subject_of: Subject of each video, those that are left out now among them.
        seed: Seed of the draw of subjects.
        before: Sides of each video in an earlier split, which stay; empty to draw anew.

    Returns:
        Where frames go, and a sentence to tell, if any.

    Raises:
        InputError: A subject would be on two sides.
    """
    subjects = {video: subject_of[video] for video in frames}
    by_time = any(len(sides) > 1 for sides in before.values())
    people = {*subjects.values(), *(subject_of[video] for video in before if video in subject_of)}
    if by_time or len(people) < _LEAST_SUBJECTS:
        return _by_time(frames, len(set(subjects.values())), by_time)
    kept: dict[str, str] = {}
    where: dict[str, str] = {}
    for video, [side] in sorted(before.items(), key=lambda place: place[0] not in frames):
        subject = subject_of.get(video)
        if subject is None:
            continue
        if kept.setdefault(subject, side) != side and video in frames:
            raise InputError(
                f"{video}: its subject {subject!r} is on two sides of the split now, {side} and "
                f"{kept[subject]} with {where[subject]}: mend subjects.csv, or draw the split anew "
                "with --resplit."
            )
        where.setdefault(subject, video)
    sides = split_by_subject(subjects, seed, kept)
    missing = [side for side in SPLIT_NAMES if side not in sides.values()]
    told = None
    if missing:
        told = f"No subject is left for {' and '.join(missing)}: --resplit draws the split anew."
    elif kept and (new := sorted(set(subjects.values()) - set(kept))):
        told = f"The split is kept; new in it: {', '.join(f'{s} ({sides[s]})' for s in new)}."
    return lambda video, _: sides[subjects[video]], told


def sides_of_split(root: Path, split: str) -> dict[str, set[str]]:
    """Return the sides on which each video of a split has frames; empty where there is no split.

    Raises:
        InputError: A file cannot be read, or a line has another form.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for side in SPLIT_NAMES:
        path = split_file(root, split, side)
        for number, line in enumerate(read_lines(path, "the split") if path.is_file() else [], 1):
            if line.strip():
                image, _ = split_line(line, f"{path}, line {number}")
                found[parse_stem(Path(image).stem)[0]].add(side)
    return dict(found)


class Place(NamedTuple):
    """Place of a video in a split by subject."""

    subject: str
    side: str


def read_places(root: Path) -> dict[str, Place]:
    """Return the place of each video that an earlier call put on one side, missing ones included.

    Args:
        root: The data set's folder.

    Raises:
        InputError: A file cannot be read.
    """
    subjects = {row["video"]: row["subject"] for row in _rows(root / "subjects.csv")}
    places = {row["video"]: Place(row["subject"], row["side"]) for row in _rows(root / MISSING)}
    for video, sides in sides_of_split(root, SPLIT).items():
        if len(sides) == 1:  # of videos that are split by time each has all
            places[video] = Place(subjects.get(video, video), *sides)
    return places


def write_missing(root: Path, places: Mapping[str, Place], videos: Container[str]) -> str | None:
    """Remember the places of videos that are not there; return a sentence to tell, if any.

    Args:
        root: The data set's folder.
        places: Those of `read_places`.
        videos: Names of the videos that are there.
    """
    missing = {video: place for video, place in sorted(places.items()) if video not in videos}
    if not missing:
        (root / MISSING).unlink(missing_ok=True)
        return None
    rows = [(video, *place) for video, place in missing.items()]
    write_atomic(root / MISSING, to_csv([("video", "subject", "side"), *rows]))
    names = some_names([f"{video}: {place.side}" for video, place in missing.items()])
    return f"Videos that are missing now keep their side for when they come back: {names}."


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the videos' subjects: {error}.") from error


def _by_time(
    frames: Mapping[str, Sequence[int]], subjects: int, before: bool
) -> tuple[SideOf, str | None]:
    """Divide each video by time: train, a gap, val, a gap, test."""
    sides = {video: _by_seconds(sorted(numbers)) for video, numbers in frames.items()}
    short = not _has_test(sides)
    if short:
        sides = {video: _by_frames(sorted(numbers)) for video, numbers in frames.items()}
    if not _has_test(sides):
        told = (
            "The sides val and test are empty, so that `fit` cannot run on this data set alone: "
            f"there are fewer than {_LEAST_SUBJECTS} subjects, and no video has {_LEAST_FRAMES} "
            "frames in use that could be split by time. Take all seconds with --fraction 1, add "
            f"videos of other people ({_LEAST_SUBJECTS} in all), or longer ones."
        )
    elif short and not (before and subjects >= _LEAST_SUBJECTS):
        told = (
            f"Fewer than {_LEAST_SUBJECTS} subjects, and no video has {_LEAST_SEQUENCES} seconds "
            f"in use: those of {_LEAST_FRAMES} frames and more are split by time, with half a "
            "second left out between the sides. So few frames of the same people tell next to "
            "nothing of others; longer videos are split by whole seconds."
        )
    elif before and subjects >= _LEAST_SUBJECTS:
        told = (
            "Each video is split by time, as before; --resplit puts each subject on one side, and "
            "then scores are about people that training has not seen."
        )
    else:
        told = (
            f"Fewer than {_LEAST_SUBJECTS} subjects: each video of {_LEAST_SEQUENCES} seconds and "
            "more is split by time, with a second left out between the sides; shorter ones are "
            "trained on. Scores are about later seconds of the same people, not about others."
        )
    return lambda video, number: sides[video][number], told


def _has_test(sides: Mapping[str, Mapping[int, str | None]]) -> bool:
    return any("test" in of_video.values() for of_video in sides.values())


def _by_seconds(numbers: Sequence[int]) -> dict[int, str | None]:
    """Return the side of each frame of a video that is divided at its seconds."""
    sequences = sorted({sequence_id(number) for number in numbers})
    if len(sequences) < _LEAST_SEQUENCES:
        return dict.fromkeys(numbers, "train")
    place_of = {sequence: place for place, sequence in enumerate(sequences)}
    each = max(1, round(_SHARE * len(sequences)))
    sides = _in_order(len(sequences), each, 1)
    return {number: sides[place_of[sequence_id(number)]] for number in numbers}


def _by_frames(numbers: Sequence[int]) -> dict[int, str | None]:
    """Return the side of each frame of a video that is divided within its seconds."""
    if len(numbers) < _LEAST_FRAMES:
        return dict.fromkeys(numbers, "train")
    sides = _in_order(len(numbers), max(1, round(_SHARE * len(numbers))), _GAP_FRAMES)
    return dict(zip(numbers, sides, strict=True))


def _in_order(count: int, each: int, gap: int) -> list[str | None]:
    """Return the sides of places in a row: train, then `each` to validate and test, after gaps."""
    nobody: list[str | None] = [None] * gap
    train = count - 2 * (each + gap)
    return ["train"] * train + nobody + ["val"] * each + nobody + ["test"] * each


def split_by_subject(
    subject_of: Mapping[str, str], seed: int = 0, kept: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Divide subjects so that the **videos** come as near 93 : 9 : 12 as the subjects allow.

    A subject is never on two sides. With at least three subjects no side is empty; one subject
    goes to train, a second to test.

    Args:
        subject_of: Subject of each video.
        seed: Seed of the shuffle.
        kept: Subjects that have a side already, and that side.

    Returns:
        The side ("train", "val" or "test") of each subject.

    Examples:
        >>> sides = split_by_subject({f"{n:03d}": f"person {n}" for n in range(114)})
        >>> [list(sides.values()).count(side) for side in ("train", "val", "test")]
        [93, 9, 12]
    """
    videos = Counter(subject_of.values())
    subjects = np.random.default_rng(seed).permutation(sorted(videos)).tolist()
    kept = {subject: side for subject, side in (kept or {}).items() if subject in videos}
    sides: dict[str, str] = dict.fromkeys(sorted(videos), "train") | kept
    total = sum(videos.values())
    for side in ("test", "val"):
        wanted = max(1, round(total * PAPER_VIDEOS[side] / sum(PAPER_VIDEOS.values())))
        wanted -= sum(videos[subject] for subject, place in kept.items() if place == side)
        free = [s for s in subjects if s not in kept and sides[s] == "train"]
        if "train" not in kept.values():
            free = free[1:]  # one stays to train on
        for subject in _nearest_sum(free, videos, wanted) if wanted > 0 else []:
            sides[subject] = side
    return sides


def _nearest_sum(subjects: Sequence[str], videos: Mapping[str, int], wanted: int) -> list[str]:
    """Choose subjects, at least one of any, whose videos add up as near to `wanted` as can be."""
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
