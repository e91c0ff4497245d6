"""Prepare one video or still: draw its sequences, and write their crops and masks."""

import dataclasses
import json
import zlib
from collections.abc import Collection, Sequence, Set
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from facemask.boxes import FACE_CROP_SCALE
from facemask.data import hidden
from facemask.data.annotated import Annotated, AnnotatedFace, NoFaceError, digest
from facemask.data.landmarks import HiddenLandmarksError
from facemask.data.vw300 import FrameCount, read_frames, scan_frames
from facemask.data.vw300_mask import IMAGES, LABELS, SEQUENCE_LENGTH, parse_stem, sequence_id
from facemask.errors import InputError
from facemask.files import write_atomic, write_image
from facemask.naming import counted
from facemask.suffixes import is_hidden

RECORDS: Final = ".prepare"
_FORMAT: Final = 3
"""Raised when prepared files change, so that older ones are made anew."""


class Settings(NamedTuple):
    """Options that decide what prepared files hold.

    Attributes:
        fraction: Share of a video's sequences to draw.
        seed: Seed of the draw.
        jpeg_quality: Quality of the crops, 1 to 100.
        skip_unannotated: Leave out frames without annotation instead of raising an error.
    """

    fraction: float
    seed: int
    jpeg_quality: int
    skip_unannotated: bool


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """One video to prepare.

    Attributes:
        video: The video and its annotations.
        out: The data set's folder.
        written: Frames of this video that an earlier run left in `out`.
        excluded: Frames to leave out.
        settings: How to prepare it.
    """

    video: Annotated
    out: Path
    written: Set[int]
    excluded: Set[int]
    settings: Settings

    @property
    def record(self) -> Path:
        """File that is there once the video is finished."""
        return self.out / RECORDS / f"{self.video.name}.json"

    def files(self, frame: int) -> tuple[Path, Path]:
        """Return the crop and the mask of a frame."""
        stem = f"{self.video.name}_{frame:06d}"
        return self.out / IMAGES / f"{stem}.jpg", self.out / LABELS / f"{stem}.png"

    def fingerprint(self) -> dict[str, Any]:
        """Return all that decides what the files hold, in values of JSON.

        A finished video with the same fingerprint is not done again.
        """
        path = self.video.path
        status = path.stat()
        # of a still the content; of a video, which may be large, what changes with it
        content = [digest([path])] if self.video.is_still else [status.st_size, status.st_mtime_ns]
        return {
            "format": _FORMAT,
            "crop": FACE_CROP_SCALE,
            "hidden": [hidden.FAR, hidden.DOUBTFUL],
            "video": [path.name, *content],
            "annotations": self.video.state(),
            "excluded": sorted(self.excluded),
            **self.settings._asdict(),
        }


@dataclasses.dataclass(frozen=True)
class PreparedVideo:
    """The files written for one video.

    Attributes:
        name: The video's name.
        frames: Numbers of the frames written, ascending; none where no face can be used.
        notes: One-sentence remarks for the summary.
        hidden: Numbers of the hidden points, from 1, of each frame that is left out for them.
    """

    name: str
    frames: list[int]
    notes: list[str]
    hidden: dict[int, list[int]]


def list_written(out: Path) -> dict[str, set[int]]:
    """Return the frames of each video whose crop or mask is in `out`."""
    written: dict[str, set[int]] = {}
    for folder in (IMAGES, LABELS):
        for file in (out / folder).iterdir():
            video, frame = parse_stem(file.stem)
            if frame is not None and not is_hidden(file):
                written.setdefault(video, set()).add(frame)
    return written


def finished_video(job: VideoJob) -> PreparedVideo | None:
    """Return what an earlier run with the same settings wrote for a video, or None.

    Raises:
        InputError: An annotation cannot be read.
    """
    try:
        saved = json.loads(job.record.read_text(encoding="utf-8"))
        if saved["fingerprint"] != job.fingerprint() or not set(saved["frames"]) <= job.written:
            return None
        points = {int(frame): numbers for frame, numbers in saved["hidden"].items()}
        return PreparedVideo(job.video.name, saved["frames"], saved["notes"], points)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none was written, or by another version, or it was damaged: it is made anew


def prepare_video(job: VideoJob) -> PreparedVideo:
    """Write the crops and masks of one video.

    Raises:
        InputError: The video or an annotation is unusable.
    """
    video = job.video
    job.record.unlink(missing_ok=True)  # until all its files are there
    fingerprint = job.fingerprint()
    faces: dict[int, AnnotatedFace] = {}
    hidden_in: dict[int, list[int]] = {}
    left_out: list[str] = []
    for frame in video.frames:
        if frame not in job.excluded:
            try:
                faces[frame] = video.read(frame)
            except HiddenLandmarksError as error:
                hidden_in[frame] = error.points
            except NoFaceError as error:
                left_out.append(f"Not used: {error}")
    scan = scan_frames(video.path)
    usable, notes = _usable_frames(job, scan, faces, bool(hidden_in or left_out))
    notes += left_out
    seed = (job.settings.seed, zlib.crc32(video.name.encode()))
    frames = draw_sequences(usable, job.settings.fraction, seed=seed)
    for frame in job.written - set(frames):
        for file in job.files(frame):
            file.unlink(missing_ok=True)
    done = 0
    for frame, image in read_frames(video.path, frames) if frames else ():
        crop, mask = faces[frame].cut(image, scan.pixel_aspect)
        image_file, label_file = job.files(frame)
        write_image(image_file, crop, jpeg_quality=job.settings.jpeg_quality)
        write_image(label_file, mask)
        done += 1
    if done < len(frames):
        raise InputError(f"{video.path}: the video could not be decoded to its end twice.")
    prepared = PreparedVideo(video.name, frames, notes, hidden_in)
    record = {"fingerprint": fingerprint, "kind": video.kind, "labelled": video.labelled}
    text = json.dumps(record | dataclasses.asdict(prepared))
    write_atomic(job.record, text.encode())
    return prepared


def _usable_frames(
    job: VideoJob, scan: FrameCount, visible: Collection[int], any_left_out: bool
) -> tuple[list[int], list[str]]:
    """Return the frames that are decoded, annotated in full and not excluded; and remarks."""
    annotated = set(job.video.frames)
    count, last = scan.frames, max(annotated)
    notes = [] if scan.problem is None else [scan.problem]
    if scan.numbered is not None and last != scan.frames:  # else they count what decodes
        count = scan.numbered
        notes.append(f"Frames after {count} are not used: which annotation is theirs is unknown.")
    elif last > count:
        late = sum(frame > count for frame in annotated)
        notes.append(f"{counted(late, 'annotation')} beyond the last of {count} frames left out.")
    if scan.hidden and last == count + scan.hidden:
        notes.append(
            f"Its edit list hides just as many frames ({scan.hidden}) as there are annotations too "
            "many: if they count these, all masks are off; make the video anew without the list."
        )
    if last < scan.frames:
        notes.append(
            f"{counted(scan.frames - last, 'frame')} after the last annotation ({last}) left out."
        )
    holes = sorted(set(range(1, min(last, count) + 1)) - annotated - job.excluded)
    if holes and not job.settings.skip_unannotated:
        raise InputError(
            f"{job.video.path}: frame {holes[0]} has no annotation ({len(holes)} such frames); "
            "add them to the exclusion list or pass --skip_unannotated true."
        )
    if holes:
        notes.append(f"{counted(len(holes), 'frame')} without annotation left out.")
    usable = sorted(frame for frame in visible if frame <= count)
    if not usable and not any_left_out:
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
