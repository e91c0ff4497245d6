"""Reading what a user has: the 300VW layout, and folders of annotated stills."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.files import read_image
from facemask.video.decoding import VideoFile

VIDEO_SUFFIXES: Final = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v")
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class AnnotatedVideo:
    """One video with the landmark files of its frames, or one still as a one-frame video.

    Attributes:
        name: Its folder's name (`001`), or the still's path below the source without suffix,
            `/` replaced by `-`.
        path: The video file, or the image of a still.
        annotations: Landmark file of each annotated frame; frames count from 1.
    """

    name: str
    path: Path
    annotations: dict[int, Path]

    @property
    def is_still(self) -> bool:
        """Whether `path` is an image."""
        return self.path.suffix.lower() in IMAGE_SUFFIXES


def find_videos(source: Path) -> list[AnnotatedVideo]:
    """List the annotated videos below `source`, sorted by name.

    `source` holds either folders `NNN/vid.avi` (or another container) with
    `NNN/annot/000001.pts` … (300VW), or images with a `.pts` of the same name beside each, in
    any folders (300-W).

    Raises:
        InputError: The folder is missing or holds neither; a video has no annotation folder, or
            an annotation's name is not a frame number.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; expected the root of 300VW or of stills.")
    videos = [
        AnnotatedVideo(folder.name, _video_file(folder), _annotations(folder / "annot"))
        for folder in sorted(source.iterdir())
        if (folder / "annot").is_dir() or any(folder.glob("vid.*"))
    ]
    videos = videos or _stills(source)
    if not videos:
        raise InputError(
            f"{source}: no data found; expected folders NNN with vid.avi (or .mp4) and "
            "annot/000001.pts …, or images with a .pts file beside each."
        )
    return videos


def _video_file(folder: Path) -> Path:
    for suffix in VIDEO_SUFFIXES:
        if (file := folder / f"vid{suffix}").is_file():
            return file
    raise InputError(f"{folder}: annotations but no video; expected vid.avi, vid.mp4 or the like.")


def _annotations(folder: Path) -> dict[int, Path]:
    files = sorted(folder.glob("*.pts"))
    if not files:
        raise InputError(f"{folder}: no annotations; expected 000001.pts …, one file a frame.")
    for file in files:
        if not file.stem.isdecimal() or int(file.stem) < 1:
            raise InputError(f"{file}: not a frame number; expected 000001.pts, counted from 1.")
    return {int(file.stem): file for file in files}


def _stills(source: Path) -> list[AnnotatedVideo]:
    stills = []
    for folder, subfolders, names in os.walk(source):
        subfolders.sort()
        present = set(names)
        for name in sorted(present):
            stem = name.removesuffix(".pts")
            image = next((stem + s for s in IMAGE_SUFFIXES if stem + s in present), None)
            if stem == name or image is None:
                continue
            relative = Path(folder, stem).relative_to(source)
            annotation = {1: Path(folder, name)}
            stills.append(AnnotatedVideo("-".join(relative.parts), Path(folder, image), annotation))
    names_seen = [still.name for still in stills]
    if len(set(names_seen)) < len(names_seen):
        twice = next(name for name in names_seen if names_seen.count(name) > 1)
        raise InputError(f"{source}: two stills would both be named {twice!r}; rename one.")
    return sorted(stills, key=lambda still: still.name)


def read_frames(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Decode single frames of a video, frame-exactly, as `facemask.video` reads them.

    Frame k is the k-th that a player shows (what an edit list hides does not count) and the one
    that `facemask extract` numbers k - 1.

    Args:
        path: The video, or an image (then frame 1).
        wanted: Frame numbers, counted from 1, ascending.

    Yields:
        Each wanted frame's number and picture, uint8 (H, W, 3) RGB, upright. The iteration ends
        early where the video does.

    Raises:
        InputError: The file cannot be opened or holds no frame.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        yield 1, read_image(path)
        return
    with VideoFile(path) as video:
        for frame in video.select(number - 1 for number in wanted):
            yield frame.index + 1, frame.image


@dataclass(frozen=True)
class FrameCount:
    """What decoding a video from end to end tells.

    Attributes:
        frames: Number of frames that decode.
        hidden: Number of frames that the file holds beside these and that its edit list hides.
        problem: A sentence where the file is damaged.
        numbered: Number of frames before a place where frames are missing, behind which frame k
            need not be the k-th; None where none is known to be missing.
    """

    frames: int
    hidden: int = 0
    problem: str | None = None
    numbered: int | None = None


def count_frames(path: Path) -> int:
    """Number of frames that decode, found by decoding (headers are often wrong).

    Raises:
        InputError: The file cannot be opened or holds no frame.
    """
    return scan_frames(path).frames


def scan_frames(path: Path) -> FrameCount:
    """Decode a video, or an image, from end to end.

    Raises:
        InputError: The file cannot be opened or holds no frame.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return FrameCount(1)
    with VideoFile(path) as video:
        return FrameCount(video.count(), video.hidden, video.problem, video.numbered)


def read_exclusions(path: Path) -> dict[str, set[int] | None]:
    """Read a list of frames to leave out.

    One entry a line, `#` starts a comment: `VIDEO` leaves out the whole video, `VIDEO FRAME` one
    frame, `VIDEO FIRST-LAST` a range, both ends included. Frames count from 1.

    Returns:
        The frames to leave out of each video; None means all.

    Raises:
        InputError: The file is missing or a line has another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the exclusion list: {error}.") from error
    excluded: dict[str, set[int] | None] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        if len(words) == 1:
            excluded[words[0]] = None
            continue
        first, dash, last = words[1].partition("-")
        if len(words) > 2 or not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(
                f"{path}, line {number}: {line.strip()!r} is not 'VIDEO', 'VIDEO FRAME' or "
                "'VIDEO FIRST-LAST'."
            )
        frames = excluded.setdefault(words[0], set())
        if frames is not None:
            frames.update(range(int(first), int(last or first) + 1))
    return excluded


def read_subjects(path: Path, videos: Sequence[str]) -> dict[str, str]:
    """Read which subject each video shows from a CSV file with the columns video, subject.

    Raises:
        InputError: The file or a column is missing, or it does not name every video.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot read the subjects: {error.strerror}.") from error
    if not rows or not {"video", "subject"} <= rows[0].keys():
        raise InputError(f"{path}: expected a CSV file with the columns 'video' and 'subject'.")
    subjects = {row["video"]: row["subject"] for row in rows}
    missing = [video for video in videos if not subjects.get(video)]
    if missing:
        raise InputError(f"{path}: no subject for video {missing[0]!r} ({len(missing)} in all).")
    return {video: subjects[video] for video in videos}
