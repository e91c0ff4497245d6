"""One video or still of `facemask prepare`: what decides its files, and writing them."""

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facemask.boxes import FACE_CROP_SCALE, face_crop_box
from facemask.data import hidden
from facemask.data.find import AnnotatedVideo
from facemask.data.landmarks import HiddenLandmarksError, read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300 import FrameCount, read_frames, scan_frames
from facemask.data.vw300_mask import IMAGES, LABELS, SEQUENCE_LENGTH, parse_name, sequence_id
from facemask.errors import InputError
from facemask.files import sha256_of, write_atomic, write_image
from facemask.video.frames import SquarePixels

RECORDS: Final = ".prepare"
_FORMAT: Final = 3
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
        path = self.video.path
        status = path.stat()
        # of a still the content; of a video, which may be large, what changes with it
        content = [_digest([path])] if self.video.is_still else [status.st_size, status.st_mtime_ns]
        used = sorted(self.video.annotations.items())
        return {
            "format": _FORMAT,
            "crop": FACE_CROP_SCALE,
            "hidden": [hidden.FAR, hidden.DOUBTFUL],
            "video": [path.name, *content],
            "annotations": [[frame for frame, _ in used], _digest(file for _, file in used)],
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
        frames: Numbers of the frames written, ascending; none where all landmarks are hidden.
        notes: One-sentence remarks for the summary.
        hidden: Numbers of the hidden points, from 1, of each frame that is left out for them.
    """

    name: str
    frames: list[int]
    notes: list[str]
    hidden: dict[int, list[int]]


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 of the files' contents, in hexadecimal.

    Raises:
        InputError: One cannot be read.
    """
    total = hashlib.sha256()
    for file in files:
        total.update(bytes.fromhex(sha256_of(file)))
    return total.hexdigest()


def list_written(out: Path) -> dict[str, set[int]]:
    """Frames of each video whose crop and mask, or one of them, are in `out`."""
    written: dict[str, set[int]] = {}
    for folder in (IMAGES, LABELS):
        for file in (out / folder).iterdir():
            video, frame = parse_name(file)
            if frame is not None and not file.name.startswith("."):
                written.setdefault(video, set()).add(frame)
    return written


def _record(job: VideoJob, out: Path) -> Path:
    return out / RECORDS / f"{job.video.name}.json"


def finished_video(job: VideoJob, out: Path, written: Collection[int]) -> PreparedVideo | None:
    """What an earlier run with the same settings wrote for this video, or None.

    Args:
        job: The video.
        out: The data set's folder.
        written: Frames of this video that are there.

    Raises:
        InputError: An annotation cannot be read.
    """
    try:
        saved = json.loads(_record(job, out).read_text(encoding="utf-8"))
        if saved["fingerprint"] != job.fingerprint() or not set(saved["frames"]) <= {*written}:
            return None
        points = {int(frame): numbers for frame, numbers in saved["hidden"].items()}
        return PreparedVideo(job.video.name, saved["frames"], saved["notes"], points)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        return None  # none was written, or by another version, or it was damaged: it is made anew


def prepare_video(work: tuple[VideoJob, Collection[int]], out: Path) -> PreparedVideo:
    """Write the crops and masks of one video.

    Args:
        work: The video, and its frames that an earlier run left in `out`.
        out: The data set's folder.

    Raises:
        InputError: The video or an annotation is unusable.
    """
    job, written = work
    name = job.video.name
    _record(job, out).unlink(missing_ok=True)  # until all its files are there
    fingerprint = job.fingerprint()
    points, hidden_in = _read_points(job)
    scan = scan_frames(job.video.path)
    usable, notes = _usable_frames(job, scan, points, hidden_in)
    frames = draw_sequences(usable, job.fraction, seed=(job.seed, zlib.crc32(name.encode())))
    for frame in set(written) - set(frames):
        for file in _files(out, name, frame):
            file.unlink(missing_ok=True)
    done = 0
    for frame, image in read_frames(job.video.path, frames) if frames else ():
        squares = SquarePixels.of(image.shape[0], image.shape[1], scan.pixel_aspect)
        face = squares.points(points[frame])
        try:
            box = face_crop_box(face, squares.height, squares.width)
        except InputError as error:
            raise InputError(f"{job.video.annotations[frame]}: {error}") from error
        mask = landmarks_to_mask(face - (box.left, box.top), box.height, box.width)
        crop = squares.image(image)[box.pixels]
        image_file, label_file = _files(out, name, frame)
        write_image(image_file, crop, jpeg_quality=job.jpeg_quality)
        write_image(label_file, mask)
        done += 1
    if done < len(frames):
        raise InputError(f"{job.video.path}: the video could not be decoded to its end twice.")
    prepared = PreparedVideo(name, frames, notes, hidden_in)
    text = json.dumps({"fingerprint": fingerprint} | dataclasses.asdict(prepared))
    write_atomic(_record(job, out), text.encode())
    return prepared


def _files(out: Path, name: str, frame: int) -> tuple[Path, Path]:
    """Crop and mask of a frame."""
    return out / IMAGES / f"{name}_{frame:06d}.jpg", out / LABELS / f"{name}_{frame:06d}.png"


def _read_points(
    job: VideoJob,
) -> tuple[dict[int, npt.NDArray[np.float64]], dict[int, list[int]]]:
    """Landmarks of the annotated frames, and the hidden points of those that have some."""
    points: dict[int, npt.NDArray[np.float64]] = {}
    hidden_in: dict[int, list[int]] = {}
    for frame, file in job.video.annotations.items():
        if frame not in job.excluded:
            try:
                points[frame] = read_pts(file)
            except HiddenLandmarksError as error:
                hidden_in[frame] = error.points
    return points, hidden_in


def _usable_frames(
    job: VideoJob, scan: FrameCount, visible: Collection[int], hidden_in: Collection[int]
) -> tuple[list[int], list[str]]:
    """Frames that are decoded, annotated in full and not excluded; and what is worth a remark."""
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
    usable = sorted(frame for frame in visible if frame <= count)
    if not usable and not hidden_in:
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
