"""Reading what a user has: frames of videos and stills, exclusion lists and subjects."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.files import read_image
from facemask.suffixes import is_image
from facemask.video.decoding import VideoFile


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
    if is_image(path):
        if 1 in wanted:
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
        pixel_aspect: Width of a pixel over its height.
    """

    frames: int
    hidden: int = 0
    problem: str | None = None
    numbered: int | None = None
    pixel_aspect: Fraction = Fraction(1)


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
    if is_image(path):
        return FrameCount(1)
    with VideoFile(path) as video:
        count = video.count()
        return FrameCount(count, video.hidden, video.problem, video.numbered, video.pixel_aspect)


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
