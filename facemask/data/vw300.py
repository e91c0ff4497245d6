"""The data that a user has: the 300VW layout, or a folder of annotated stills (300-W)."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_NAMES
from facemask.data.annotated import FaceOfLandmarks, digest
from facemask.data.templates import read_landmarks
from facemask.errors import InputError
from facemask.files import read_image
from facemask.suffixes import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_hidden,
    is_image,
    is_landmarks,
    is_unread_image,
    is_video,
    some_names,
)
from facemask.video.decoding import VideoFile
from facemask.video.sources import first_of_several

ANNOTATIONS: Final = "annot"
_VIDEO: Final = "vid"


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

    labelled = CLASS_NAMES

    @property
    def is_still(self) -> bool:
        """Return whether `path` is an image."""
        return is_image(self.path)

    @property
    def kind(self) -> str:
        """Name of the kind of annotation, for the record."""
        return " and ".join(sorted({file.suffix.lower() for file in self.annotations.values()}))

    @property
    def frames(self) -> Collection[int]:
        """Numbers of the annotated frames."""
        return self.annotations.keys()

    def state(self) -> list[Any]:
        """Return what decides the masks, in values of JSON."""
        used = sorted(self.annotations.items())
        return [[frame for frame, _ in used], digest(file for _, file in used)]

    def read(self, frame: int) -> FaceOfLandmarks:
        """Read the landmarks of a frame.

        Raises:
            HiddenLandmarksError: Some are marked as hidden.
            InputError: The file is unusable.
        """
        file = self.annotations[frame]
        return FaceOfLandmarks(file, read_landmarks(file))


def find_videos(source: Path) -> tuple[list[AnnotatedVideo], list[str]]:
    """List the annotated videos or stills below `source`, and what is not used there.

    `source` holds either folders `NNN/vid.avi` (or another container) with
    `NNN/annot/000001.pts` … (300VW), or images with a `.pts` (300-W) or a `.tem` (Psychomorph) of
    the same name beside each, in any folders. Suffixes may be in capitals; hidden files do not
    count.

    Returns:
        The videos or stills, sorted by name, and a sentence for each reason not to use a file.

    Raises:
        InputError: The folder is missing or holds neither; a video has no annotations, an
            annotation's name is not a frame number, or two files claim to be the same one.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; expected the root of 300VW or of stills.")
    entries = sorted(path for path in source.iterdir() if not is_hidden(path))
    second: list[Path] = []
    of_folder = {path: _read_folder(path, second) for path in entries if path.is_dir()}
    videos = [video for video in of_folder.values() if video is not None]
    left_out = {
        "beside the folders with a video and annotations": [
            path
            for path in entries
            if of_folder.get(path) is None
            and (path.is_dir() or is_image(path) or is_video(path) or is_landmarks(path))
        ],
        "a second video of one folder": second,
    }
    if not videos:
        videos, left_out = _find_stills(source)
    notes = [
        f"Not used: {reason}: {some_names([str(path.relative_to(source)) for path in paths])}."
        for reason, paths in left_out.items()
        if paths
    ]
    if not videos:
        raise InputError(
            f"{source}: no data found; expected folders NNN with vid.avi (or .mp4) and "
            "annot/000001.pts …, or images with a .pts or .tem file beside each."
            + "".join(f" {note}" for note in notes)
        )
    return videos, notes


def _read_folder(path: Path, second: list[Path]) -> AnnotatedVideo | None:
    """Return the video of a folder of the 300VW layout, or None where it holds none of its files.

    Further videos of the folder are added to `second`.
    """
    files = sorted(file for file in path.iterdir() if not is_hidden(file))
    folders = [f for f in files if f.name.lower() == ANNOTATIONS and f.is_dir()]
    named = [f for f in files if f.stem.lower() == _VIDEO and f.is_file()]
    if not folders and not named:
        return None
    videos = [f for f in named if is_video(f)]
    if not videos:
        other = next((f", found {f.name}" for f in files if f not in folders), "")
        raise InputError(
            f"{path}: annotations but no video; expected vid.avi, vid.mp4 or the like{other}."
        )
    if len(folders) > 1:
        raise InputError(f"{path}: holds {len(folders)} folders annot; keep one.")
    videos.sort(key=lambda file: VIDEO_SUFFIXES.index(file.suffix.lower()))  # stable
    second += videos[1:]
    annotations: dict[int, Path] = {}
    for file in sorted(folders[0].iterdir()) if folders else ():
        if not is_landmarks(file) or is_hidden(file):
            continue
        if not file.stem.isdecimal() or int(file.stem) < 1:
            raise InputError(f"{file}: not a frame number; expected 000001.pts, counted from 1.")
        first = annotations.setdefault(int(file.stem), file)
        if first != file:
            raise InputError(
                f"{file}: annotates frame {int(file.stem)} as {first.name} does; remove one."
            )
    if not annotations:
        raise InputError(
            f"{path / ANNOTATIONS}: no annotations; expected 000001.pts …, one file a frame."
        )
    return AnnotatedVideo(path.name, videos[0], annotations)


def _find_stills(source: Path) -> tuple[list[AnnotatedVideo], dict[str, list[Path]]]:
    """Return the annotated stills below a folder, by name, and what is left out, by the reason."""
    stills: list[AnnotatedVideo] = []
    left_out: dict[str, list[Path]] = {
        "pictures without a landmark file": [],
        "landmark files without a picture": [],
        "second pictures of one landmark file": [],
        "pictures of a format that is not read": [],
        "videos without landmarks (`facemask landmarks` makes some)": [],
    }
    lonely, unpaired, second, unread, videos = left_out.values()
    seen: set[str] = set()  # a link may lead back to a folder above it
    for folder, subfolders, names in os.walk(source, onerror=_unreadable, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        unread += filter(is_unread_image, files)
        videos += filter(is_video, files)
        points: dict[str, Path] = {}
        for file in filter(is_landmarks, files):
            if (first := points.setdefault(file.stem, file)) != file:
                raise InputError(f"{file}: annotates the same picture as {first.name}; remove one.")
        images: dict[str, list[Path]] = {}
        for file in filter(is_image, files):
            images.setdefault(file.stem, []).append(file)
        for stem, alike in images.items():
            alike.sort(key=lambda file: IMAGE_SUFFIXES.index(file.suffix.lower()))
            if stem in points:
                name = "-".join(Path(folder, stem).relative_to(source).parts)
                stills.append(AnnotatedVideo(name, alike[0], {1: points[stem]}))
                second += alike[1:]
            else:
                lonely += alike
        unpaired += [file for stem, file in points.items() if stem not in images]
    stills.sort(key=lambda still: still.name)
    for still, other in pairwise(stills):
        if still.name == other.name:
            raise InputError(
                f"{source}: {still.path.relative_to(source)} and {other.path.relative_to(source)} "
                f"would both be named {still.name!r}; rename one."
            )
    return stills, left_out


def _unreadable(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot read the folder: {error.strerror}.") from error


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
    """Facts of a video that are known once it is decoded from end to end.

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


def scan_frames(path: Path) -> FrameCount:
    """Decode a video, or an image, from end to end, and count its frames (headers are often wrong).

    Raises:
        InputError: The file cannot be opened or holds no frame.
    """
    if is_image(path):
        return FrameCount(1, problem=first_of_several(path))
    with VideoFile(path) as video:
        count = video.count()
        return FrameCount(count, video.hidden, video.problem, video.numbered, video.pixel_aspect)
