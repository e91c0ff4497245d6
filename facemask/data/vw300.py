"""Reading what a user has: frames of videos and stills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facemask.files import read_image
from facemask.suffixes import is_image
from facemask.video.decoding import VideoFile
from facemask.video.sources import first_of_several


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
        return FrameCount(1, problem=first_of_several(path))
    with VideoFile(path) as video:
        count = video.count()
        return FrameCount(count, video.hidden, video.problem, video.numbered, video.pixel_aspect)
