"""`facemask prepare`: from the 300VW layout to the 300VW-Mask layout."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from facemask.data.find import find_videos
from facemask.data.hidden import say_points
from facemask.data.lists import read_exclusions, read_subjects
from facemask.data.prepare_video import (
    RECORDS,
    PreparedVideo,
    VideoJob,
    finished_video,
    list_written,
    prepare_video,
)
from facemask.data.splits import SPLIT_NAMES, split_by_subject
from facemask.data.vw300_mask import IMAGES, LABELS, sequence_id, split_file
from facemask.errors import InputError
from facemask.files import make_folder, to_csv, write_atomic
from facemask.parallel import run_jobs
from facemask.suffixes import some_names

HIDDEN: Final = "hidden_landmarks.csv"
"""Frames of the source that are left out because points are hidden."""


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
        source: Root of 300VW (NNN/vid.avi + NNN/annot/000001.pts …), or a folder of stills with
            a .pts file beside each (300-W), which become one-frame videos.
        out: Folder to write images_orig, labels_orig, data_splits and subjects.csv to.
        fraction: Share of each video's one-second sequences to keep, 0 < fraction <= 1. At least
            one sequence is kept of every video, however short; whole seconds are drawn first.
        seed: Seed of the draw of sequences and of the split.
        subjects: CSV file with the columns video, subject. Default: subjects.csv in the source
            if there is one, else every video shows a subject of its own.
        exclude: Text file of frames to leave out; lines 'VIDEO', 'VIDEO FRAME' or
            'VIDEO FIRST-LAST'.
        skip_unannotated: Leave out frames without annotation instead of stopping.
        jpeg_quality: Quality of the crops, 1 to 100.
        workers: Processes, one video each; default one a CPU.

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
    found = find_videos(source)
    videos = found.videos
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
    subject_of = read_subjects(subjects, names) if subjects else {name: name for name in names}

    jobs = [
        VideoJob(
            video,
            frozenset(excluded.get(video.name) or ()),
            fraction,
            seed,
            jpeg_quality,
            skip_unannotated,
        )
        for video in videos
    ]
    for folder in (IMAGES, LABELS, RECORDS):
        make_folder(out / folder)
    written = list_written(out)
    done = [finished_video(job, out, written.get(job.video.name, ())) for job in jobs]
    results = run_jobs(
        functools.partial(prepare_video, out=out),
        [
            (job, written.get(job.video.name, ()))
            for job, video in zip(jobs, done, strict=True)
            if video is None
        ],
        workers=workers,
        description="prepare",
    )
    errors = [result for result in results if isinstance(result, InputError)]
    if errors:
        raise InputError(
            f"{errors[0]} ({len(errors)} of {len(jobs)} videos failed; the others are done. "
            "Mend or exclude and run again.)"
        )
    prepared = [video for video in (*done, *results) if isinstance(video, PreparedVideo)]
    prepared.sort(key=lambda video: video.name)
    _write_hidden(out, prepared)
    used = [video for video in prepared if video.frames]
    if not used:
        raise InputError(
            f"{source}: every face has hidden landmarks, so there is nothing to prepare; see "
            f"{out / HIDDEN}."
        )
    splits = split_by_subject({video.name: subject_of[video.name] for video in used}, seed=seed)
    _write_splits(out, used, splits, subject_of)
    _print_summary(prepared, splits, subject_of, found.notes())


def _write_splits(
    out: Path,
    videos: Sequence[PreparedVideo],
    splits: dict[str, str],
    subject_of: dict[str, str],
) -> None:
    """Write the three split files and subjects.csv; `splits` maps a subject to its side."""
    for side in SPLIT_NAMES:
        lines = [
            f"/{IMAGES}/{video.name}_{frame:06d}.jpg /{LABELS}/{video.name}_{frame:06d}.png\n"
            for video in videos
            if splits[subject_of[video.name]] == side
            for frame in video.frames
        ]
        path = split_file(out, "split_1", side)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(lines).encode())
    rows = [[video.name, subject_of[video.name]] for video in videos]
    write_atomic(out / "subjects.csv", to_csv([["video", "subject"], *rows]))


def _write_hidden(out: Path, videos: Sequence[PreparedVideo]) -> None:
    """Write the list of all frames with hidden landmarks, or none where there are none."""
    rows = [
        [video.name, frame, " ".join(map(str, points))]
        for video in videos
        for frame, points in sorted(video.hidden.items())
    ]
    (out / HIDDEN).unlink(missing_ok=True)
    if rows:
        write_atomic(out / HIDDEN, to_csv([["video", "frame", "points"], *rows]))


def _hidden_note(videos: Sequence[PreparedVideo]) -> list[str]:
    found = [
        f"{video.name} frame {frame}: {say_points(points)}"
        for video in videos
        for frame, points in sorted(video.hidden.items())
    ]
    return [f"Not used: faces with hidden landmarks: {some_names(found, 10)}."] if found else []


def _print_summary(
    videos: Sequence[PreparedVideo],
    splits: dict[str, str],
    subject_of: dict[str, str],
    notes: Sequence[str],
) -> None:
    console = Console()
    table = Table("split", "videos", "subjects", "sequences", "frames", title="prepared")
    for side in SPLIT_NAMES:
        chosen = [v for v in videos if v.frames and splits[subject_of[v.name]] == side]
        table.add_row(
            side,
            str(len(chosen)),
            str(len({subject_of[video.name] for video in chosen})),
            str(sum(len({sequence_id(f) for f in video.frames}) for video in chosen)),
            str(sum(len(video.frames) for video in chosen)),
        )
    console.print(table)
    notes = [*notes, *_hidden_note(videos)]
    notes += [f"{video.name}: {note}" for video in videos for note in video.notes]
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    missing = [side for side in SPLIT_NAMES if side not in splits.values()]
    if missing:
        console.print(f"No subject left for {' and '.join(missing)}: at least 3 are needed.")
