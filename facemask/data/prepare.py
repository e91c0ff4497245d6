"""`facemask prepare`: from annotated videos and photographs to the 300VW-Mask layout."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

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
from facemask.data.split import (
    SPLIT,
    SideOf,
    make_split,
    read_places,
    sides_of_split,
    write_missing,
)
from facemask.data.vw300_mask import (
    IMAGES,
    LABELS,
    PSEUDO,
    SPLIT_NAMES,
    sequence_id,
    split_file,
)
from facemask.errors import InputError
from facemask.files import make_folder, to_csv, write_atomic
from facemask.parallel import run_jobs
from facemask.suffixes import some_names
from facemask.terminal import console_for_words, print_table

HIDDEN: Final = "hidden_landmarks.csv"
"""Frames of the source that are left out because points are hidden."""


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    fraction: float = 0.1,
    seed: int = 0,
    subjects: str | Path | None = None,
    exclude: str | Path | None = None,
    skip_unannotated: bool = False,
    jpeg_quality: int = 95,
    resplit: bool = False,
    workers: int | None = None,
) -> None:
    """Turn annotated videos or stills into a data set to train on (300VW-Mask layout).

    Each frame drawn becomes a face crop and its mask. A second call does only what is missing or
    was made with other settings, so a killed run continues and a finished one costs seconds. Each
    subject is on one side of the split; of fewer than three, videos that are long enough are split
    by time.

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
        resplit: Draw the split anew. Otherwise what an earlier call has put on a side stays there,
            and new subjects are shared out so that the sides keep their sizes.
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
    source, out = Path(source), Path(out)
    if out.resolve() == source.resolve():
        raise InputError(f"{out}: is the source itself; choose another folder to write to.")
    found = find_annotated(source)
    videos, notes = found.videos, list(found.notes)
    excluded = read_exclusions(Path(exclude), {video.name for video in videos}) if exclude else {}
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
        subject_of = read_subjects(Path(subjects), names)

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
    numbers = {video.name: video.frames for video in used}
    places = {} if resplit else read_places(out)
    before = {video: {place.side} for video, place in places.items()}
    before |= {} if resplit else sides_of_split(out, SPLIT)
    known = {video: place.subject for video, place in places.items() if video not in numbers}
    side_of, told = make_split(numbers, known | subject_of, seed, before)
    missing = write_missing(out, places, numbers)
    table = _write_splits(out, used, side_of, subject_of)
    notes += [f"{video.name}: {note}" for video in done for note in video.notes]
    notes += [note for note in (told, missing) if note]
    notes += _pass_on_mark(source, out)
    console = console_for_words()
    print_table(table, console)
    for note in notes:
        console.print(note)


def _pass_on_mark(source: Path, out: Path) -> list[str]:
    """Copy what says that landmarks are a program's, take an earlier one away; return a note."""
    if not (source / PSEUDO).is_file():
        (out / PSEUDO).unlink(missing_ok=True)
        return []
    shutil.copyfile(source / PSEUDO, out / PSEUDO)
    return [
        f"Labels follow pseudo-landmarks, a program's: scores are agreement with it, no accuracy "
        f"({out / PSEUDO}, which also says what clip each video is)."
    ]


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
    side_of: SideOf,
    subject_of: Mapping[str, str],
) -> Table:
    """Write the three split files and subjects.csv, and return a table of what is on each side.

    Args:
        out: The data set's folder.
        videos: Those with frames.
        side_of: Side of each frame, by video and number; None leaves it out.
        subject_of: Subject of each video.
    """
    table = Table("split", "videos", "subjects", "sequences", "frames", title="prepared")
    for side in SPLIT_NAMES:
        frames = [(v.name, n) for v in videos for n in v.frames if side_of(v.name, n) == side]
        lines = [
            f"/{IMAGES}/{video}_{frame:06d}.jpg /{LABELS}/{video}_{frame:06d}.png\n"
            for video, frame in frames
        ]
        path = split_file(out, SPLIT, side)
        make_folder(path.parent)
        write_atomic(path, "".join(lines).encode())
        names = {video for video, _ in frames}
        counts = (
            len(names),
            len({subject_of[name] for name in names}),
            len({(video, sequence_id(frame)) for video, frame in frames}),
            len(lines),
        )
        table.add_row(side, *map(str, counts))
    rows = [(video.name, subject_of[video.name]) for video in videos]
    write_atomic(out / "subjects.csv", to_csv([("video", "subject"), *rows]))
    return table
