"""`facemask prepare`: from annotated videos and photographs to the 300VW-Mask layout."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.data.hidden import say_points
from facemask.data.lists import read_exclusions, read_subjects
from facemask.data.prepare_video import (
    RECORDS,
    PreparedVideo,
    Settings,
    VideoJob,
    finished_video,
    list_written,
    prepare_video,
)
from facemask.data.sources import find_annotated
from facemask.data.vw300_mask import IMAGES, LABELS, SPLIT_NAMES, sequence_id, split_file
from facemask.errors import InputError
from facemask.files import make_folder, to_csv, write_atomic
from facemask.parallel import run_jobs
from facemask.suffixes import some_names

HIDDEN: Final = "hidden_landmarks.csv"
"""Frames of the source that are left out because points are hidden."""
PAPER_VIDEOS: Final = {"train": 93, "val": 9, "test": 12}
"""Videos on each side in the paper (section 4.1)."""


def prepare(
    source: Path,
    out: Path,
    *,
    fraction: float = 0.1,
    seed: int = 0,
    subjects: Path | None = None,
    exclude: Path | None = None,
    skip_unannotated: bool = False,
    jpeg_quality: int = 95,
    workers: int | None = None,
) -> None:
    """Turn annotated videos or stills into a data set to train on (300VW-Mask layout).

    Each frame drawn becomes a face crop and its mask. A second call does only what is missing or
    was made with other settings, so a killed run continues and a finished one costs seconds.

    Args:
        source: Folder of the data; the kind is known by what is in it. Root of 300VW (NNN/vid.avi
            + NNN/annot/000001.pts …); stills with a .pts file (300-W) or a .tem template of 189
            points (Psychomorph) beside each; or photographs with pixel labels: CelebAMask-HQ
            (CelebA-HQ-img + CelebAMask-HQ-mask-anno) or its ids in one image (images + labels), of
            which eyes, lips and inner mouth are used. Stills become one-frame videos.
        out: Folder to write images_orig, labels_orig, data_splits and subjects.csv to.
        fraction: Share of each video's one-second sequences to keep, 0 < fraction <= 1. At least
            one sequence is kept of every video, however short; whole seconds are drawn first.
        seed: Seed of the draw of sequences and of the split.
        subjects: CSV file with the columns video, subject. Default: subjects.csv in the source
            if there is one, or what CelebA's identities say, else every video shows a subject of
            its own.
        exclude: Text file of frames to leave out; lines 'VIDEO', 'VIDEO FRAME' or
            'VIDEO FIRST-LAST'.
        skip_unannotated: Leave out frames without annotation instead of stopping.
        jpeg_quality: Quality of the crops, 1 to 100.
        workers: Processes, one video each; default one a free core.

    Raises:
        InputError: Wrong options or input. Other videos are finished first, and what was
            written stays.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"--fraction is {fraction}, expected more than 0 and at most 1.")
    if not 1 <= jpeg_quality <= 100:
        raise InputError(f"--jpeg_quality is {jpeg_quality}, expected 1 to 100.")
    if seed < 0:
        raise InputError(f"--seed is {seed}, expected 0 or more.")
    if out.resolve() == source.resolve():
        raise InputError(f"{out}: is the source itself; choose another folder to write to.")
    found = find_annotated(source)
    videos, notes = found.videos, list(found.notes)
    excluded = read_exclusions(exclude, {video.name for video in videos}) if exclude else {}
    unknown = set(excluded) - {video.name for video in videos}
    if unknown:
        raise InputError(f"{exclude}: video {min(unknown)!r} is not in {source}.")
    videos = [video for video in videos if excluded.get(video.name, set()) is not None]
    if not videos:
        raise InputError(f"{exclude}: leaves out every video of {source}.")
    names = [video.name for video in videos]
    if subjects is None and (source / "subjects.csv").is_file():
        subjects = source / "subjects.csv"
    subject_of = {name: found.subjects.get(name, name) for name in names}
    if subjects is not None:
        subject_of = read_subjects(subjects, names)

    for folder in (IMAGES, LABELS, RECORDS):
        make_folder(out / folder)
    written = list_written(out)
    settings = Settings(fraction, seed, jpeg_quality, skip_unannotated)
    jobs = [
        VideoJob(v, out, written.get(v.name, set()), excluded.get(v.name) or set(), settings)
        for v in videos
    ]
    finished = [finished_video(job) for job in jobs]
    left = [job for job, video in zip(jobs, finished, strict=True) if video is None]
    results = run_jobs(prepare_video, left, workers=workers, description="prepare")
    errors = [result for result in results if isinstance(result, InputError)]
    if errors:
        raise InputError(
            f"{errors[0]} ({len(errors)} of {len(jobs)} videos failed; the others are done. "
            "Mend or exclude and run again.)"
        )
    done = [video for video in (*finished, *results) if isinstance(video, PreparedVideo)]
    done.sort(key=lambda video: video.name)
    notes += _write_hidden(out, done)
    used = [video for video in done if video.frames]
    if not used:
        raise InputError(
            f"{source}: every face has hidden landmarks (see {out / HIDDEN}) or too few labelled "
            "parts, so there is nothing to prepare."
        )
    sides = split_by_subject({video.name: subject_of[video.name] for video in used}, seed=seed)
    table = _write_splits(out, used, sides, subject_of)
    notes += [f"{video.name}: {note}" for video in done for note in video.notes]
    missing = [side for side in SPLIT_NAMES if side not in sides.values()]
    if missing:
        notes.append(f"No subject left for {' and '.join(missing)}: at least 3 are needed.")
    console = Console()
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _write_hidden(out: Path, videos: Sequence[PreparedVideo]) -> list[str]:
    """List the frames with hidden landmarks in a file, if there are any, and return a note."""
    found = [(video.name, n, video.hidden[n]) for video in videos for n in sorted(video.hidden)]
    (out / HIDDEN).unlink(missing_ok=True)
    if not found:
        return []
    rows = [(name, frame, " ".join(map(str, points))) for name, frame, points in found]
    write_atomic(out / HIDDEN, to_csv([("video", "frame", "points"), *rows]))
    told = [f"{name} frame {frame}: {say_points(points)}" for name, frame, points in found]
    return [f"Not used: faces with hidden landmarks: {some_names(told, 10)}."]


def _write_splits(
    out: Path,
    videos: Sequence[PreparedVideo],
    sides: Mapping[str, str],
    subject_of: Mapping[str, str],
) -> Table:
    """Write the three split files and subjects.csv, and return a table of what is on each side.

    Args:
        out: The data set's folder.
        videos: Those with frames.
        sides: Side of each subject.
        subject_of: Subject of each video.
    """
    table = Table("split", "videos", "subjects", "sequences", "frames", title="prepared")
    for side in SPLIT_NAMES:
        chosen = [video for video in videos if sides[subject_of[video.name]] == side]
        lines = [
            f"/{IMAGES}/{video.name}_{frame:06d}.jpg /{LABELS}/{video.name}_{frame:06d}.png\n"
            for video in chosen
            for frame in video.frames
        ]
        path = split_file(out, "split_1", side)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(lines).encode())
        counts = (
            len(chosen),
            len({subject_of[video.name] for video in chosen}),
            sum(len({sequence_id(frame) for frame in video.frames}) for video in chosen),
            len(lines),
        )
        table.add_row(side, *map(str, counts))
    rows = [(video.name, subject_of[video.name]) for video in videos]
    write_atomic(out / "subjects.csv", to_csv([("video", "subject"), *rows]))
    return table


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
