"""`facemask prepare`: from the 300VW layout to the 300VW-Mask layout."""

import dataclasses
import functools
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.data.crops import face_crop_box
from facemask.data.find import AnnotatedVideo, find_videos
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.splits import SPLIT_NAMES, split_by_subject
from facemask.data.vw300 import (
    FrameCount,
    read_exclusions,
    read_frames,
    read_subjects,
    scan_frames,
)
from facemask.data.vw300_mask import IMAGES, LABELS, SEQUENCE_LENGTH, sequence_id, split_file
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic, write_image
from facemask.parallel import run_jobs
from facemask.video.squares import SquarePixels

_FORMAT: Final = 2
"""Raised when prepared files change, so that older ones are made anew."""


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """Everything that decides what one video's prepared files hold."""

    video: AnnotatedVideo
    excluded: frozenset[int]
    fraction: float
    seed: int
    jpeg_quality: int
    skip_unannotated: bool

    def fingerprint(self) -> dict[str, Any]:
        """The settings as JSON; a finished video with the same ones is not done again."""
        status = self.video.path.stat()
        return {
            "format": _FORMAT,
            "video": [self.video.path.name, status.st_size, status.st_mtime_ns],
            "annotations": len(self.video.annotations),
            "excluded": sorted(self.excluded),
            "fraction": self.fraction,
            "seed": self.seed,
            "jpeg_quality": self.jpeg_quality,
            "skip_unannotated": self.skip_unannotated,
        }


@dataclasses.dataclass(frozen=True)
class PreparedVideo:
    """What was written for one video.

    Attributes:
        name: The video's name.
        frames: Numbers of the frames written, ascending.
        notes: One-sentence remarks for the summary.
    """

    name: str
    frames: list[int]
    notes: list[str]


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
    excluded = read_exclusions(exclude) if exclude else {}
    found = find_videos(source)
    videos = found.videos
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
    for folder in (IMAGES, LABELS, ".prepare"):
        make_folder(out / folder)
    done = [finished_video(job, out) for job in jobs]
    results = run_jobs(
        functools.partial(prepare_video, out=out),
        [job for job, video in zip(jobs, done, strict=True) if video is None],
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
    splits = split_by_subject(subject_of, seed=seed)
    _write_splits(out, prepared, splits, subject_of)
    _print_summary(prepared, splits, subject_of, found.notes())


def _record(job: VideoJob, out: Path) -> Path:
    return out / ".prepare" / f"{job.video.name}.json"


def finished_video(job: VideoJob, out: Path) -> PreparedVideo | None:
    """What an earlier run with the same settings wrote for this video, or None."""
    record = _record(job, out)
    if not record.is_file():
        return None
    saved = json.loads(record.read_text(encoding="utf-8"))
    if saved["fingerprint"] != job.fingerprint():
        return None
    return PreparedVideo(job.video.name, saved["frames"], saved["notes"])


def prepare_video(job: VideoJob, out: Path) -> PreparedVideo:
    """Write the crops and masks of one video.

    Raises:
        InputError: The video or an annotation is unusable.
    """
    name = job.video.name
    _record(job, out).unlink(missing_ok=True)  # until all its files are there
    scan = scan_frames(job.video.path)
    usable, notes = _usable_frames(job, scan)
    frames = draw_sequences(usable, job.fraction, seed=(job.seed, zlib.crc32(name.encode())))
    _remove_stale(out, name, set(frames))
    written = 0
    for frame, image in read_frames(job.video.path, frames):
        annotation = job.video.annotations[frame]
        squares = SquarePixels.of(image.shape[0], image.shape[1], scan.pixel_aspect)
        points = squares.points(read_pts(annotation))
        try:
            box = face_crop_box(points, squares.height, squares.width)
        except InputError as error:
            raise InputError(f"{annotation}: {error}") from error
        mask = landmarks_to_mask(points - (box.left, box.top), box.height, box.width)
        crop = squares.image(image)[box.top : box.bottom, box.left : box.right]
        file_name = f"{name}_{frame:06d}"
        write_image(out / IMAGES / f"{file_name}.jpg", crop, jpeg_quality=job.jpeg_quality)
        write_image(out / LABELS / f"{file_name}.png", mask)
        written += 1
    if written < len(frames):
        raise InputError(f"{job.video.path}: the video could not be decoded to its end twice.")
    text = json.dumps({"fingerprint": job.fingerprint(), "frames": frames, "notes": notes})
    write_atomic(_record(job, out), text.encode())
    return PreparedVideo(name, frames, notes)


def _usable_frames(job: VideoJob, scan: FrameCount) -> tuple[list[int], list[str]]:
    """Frames that are decoded, annotated and not excluded; and what is worth a remark."""
    annotated = set(job.video.annotations)
    count, last = scan.frames, max(annotated)
    notes = [] if scan.problem is None else [scan.problem]
    if scan.numbered is not None and last != scan.frames:  # else they count what decodes
        count = scan.numbered
        notes.append(f"Frames after {count} are not used: which annotation is theirs is unknown.")
    elif last > count:
        late = sum(frame > count for frame in annotated)
        notes.append(f"{late} annotations beyond the last of {count} frames are not used.")
    if scan.hidden and last == count + scan.hidden:
        notes.append(
            f"Its edit list hides just as many frames ({scan.hidden}) as there are annotations too "
            "many: if they count these, all masks are off; make the video anew without the list."
        )
    if last < scan.frames:
        notes.append(
            f"{scan.frames - last} frames after the last annotation ({last}) are not used."
        )
    holes = sorted(set(range(1, min(last, count) + 1)) - annotated - job.excluded)
    if holes and not job.skip_unannotated:
        raise InputError(
            f"{job.video.path}: frame {holes[0]} has no annotation ({len(holes)} such frames); "
            "add them to the exclusion list or pass --skip_unannotated true."
        )
    if holes:
        notes.append(f"{len(holes)} frames without annotation are not used.")
    usable = sorted(frame for frame in annotated - job.excluded if frame <= count)
    if not usable:
        raise InputError(
            f"{job.video.path}: no frame to use: {count} frames, {len(annotated)} annotations, "
            f"{len(job.excluded)} excluded."
        )
    return usable, notes


def draw_sequences(frames: Sequence[int], fraction: float, seed: int | Sequence[int]) -> list[int]:
    """Draw a share of a video's one-second sequences.

    Args:
        frames: The usable frames of a video, counted from 1.
        fraction: Share of the sequences to keep; at least one is kept.
        seed: Seed of the draw.

    Returns:
        The frames of the drawn sequences, ascending. Sequences with all 30 frames come first.

    Examples:
        >>> draw_sequences(range(1, 33), fraction=0.1, seed=0) == list(range(1, 31))
        True
    """
    sequences: dict[int, list[int]] = {}
    for frame in frames:
        sequences.setdefault(sequence_id(frame), []).append(frame)
    order = np.random.default_rng(seed).permutation(list(sequences)).tolist()
    order.sort(key=lambda sequence: len(sequences[sequence]) < SEQUENCE_LENGTH)  # stable
    kept = order[: max(1, round(fraction * len(sequences)))]
    return sorted(frame for sequence in kept for frame in sequences[sequence])


def _remove_stale(out: Path, name: str, frames: set[int]) -> None:
    """Remove files of this video that an earlier run with other settings left."""
    for folder in (IMAGES, LABELS):
        for file in (out / folder).iterdir():
            video, _, frame = file.stem.rpartition("_")
            if video == name and frame.isdecimal() and int(frame) not in frames:
                file.unlink(missing_ok=True)


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
    rows = [f"{video.name},{subject_of[video.name]}\n" for video in videos]
    write_atomic(out / "subjects.csv", "".join(["video,subject\n", *rows]).encode())


def _print_summary(
    videos: Sequence[PreparedVideo],
    splits: dict[str, str],
    subject_of: dict[str, str],
    notes: Sequence[str],
) -> None:
    console = Console()
    table = Table("split", "videos", "subjects", "sequences", "frames", title="prepared")
    for side in SPLIT_NAMES:
        chosen = [video for video in videos if splits[subject_of[video.name]] == side]
        table.add_row(
            side,
            str(len(chosen)),
            str(len({subject_of[video.name] for video in chosen})),
            str(sum(len({sequence_id(f) for f in video.frames}) for video in chosen)),
            str(sum(len(video.frames) for video in chosen)),
        )
    console.print(table)
    notes = [*notes, *(f"{video.name}: {note}" for video in videos for note in video.notes)]
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    missing = [side for side in SPLIT_NAMES if side not in splits.values()]
    if missing:
        console.print(f"No subject left for {' and '.join(missing)}: at least 3 are needed.")
