"""Finding what a user has: the 300VW layout, or a folder of annotated stills."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from facemask.errors import InputError
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

    @property
    def is_still(self) -> bool:
        """Whether `path` is an image."""
        return is_image(self.path)


@dataclass(frozen=True)
class FoundVideos:
    """What a source holds.

    Attributes:
        videos: The annotated videos or stills, sorted by name.
        left_out: Files that are not used, below the source: their names by the reason.
    """

    videos: list[AnnotatedVideo]
    left_out: dict[str, list[str]]

    def notes(self) -> list[str]:
        """A sentence for each reason."""
        return [f"Not used: {what}: {some_names(names)}." for what, names in self.left_out.items()]


def find_videos(source: Path) -> FoundVideos:
    """List the annotated videos or stills below `source`.

    `source` holds either folders `NNN/vid.avi` (or another container) with
    `NNN/annot/000001.pts` … (300VW), or images with a `.pts` of the same name beside each, in
    any folders (300-W). Suffixes may be in capitals; hidden files do not count.

    Raises:
        InputError: The folder is missing or holds neither; a video has no annotations, an
            annotation's name is not a frame number, or two files claim to be the same one.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; expected the root of 300VW or of stills.")
    entries = sorted(path for path in source.iterdir() if not is_hidden(path))
    folders = {path: _Folder(path) for path in entries if path.is_dir()}
    found = FoundVideos([], {})
    if any(folder.is_annotated for folder in folders.values()):
        found.videos.extend(folder.read() for folder in folders.values() if folder.is_annotated)
        others = [path for path in entries if path not in folders or not folders[path].is_annotated]
        media = [p for p in others if p.is_dir() or is_image(p) or is_video(p) or is_landmarks(p)]
        _leave_out(found, "beside the folders with a video and annotations", source, media)
        unused = [file for folder in folders.values() for file in folder.unused]
        _leave_out(found, "a second video of one folder", source, unused)
    else:
        _find_stills(source, found)
    if not found.videos:
        raise InputError(
            f"{source}: no data found; expected folders NNN with vid.avi (or .mp4) and "
            "annot/000001.pts …, or images with a .pts file beside each."
            + "".join(f" {note}" for note in found.notes())
        )
    for video in found.videos:
        _check_name(video, source)
    return found


def _check_name(video: AnnotatedVideo, source: Path) -> None:
    """Split files have a line a frame, in UTF-8."""
    try:
        video.name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{source}: {video.name!r} is not named in UTF-8; rename it.") from error
    if "\n" in video.name or "\r" in video.name:
        raise InputError(f"{source}: {video.name!r} has a line break in its name; rename it.")


def _leave_out(found: FoundVideos, reason: str, source: Path, paths: Iterable[Path]) -> None:
    names = [str(path.relative_to(source)) for path in paths]
    if names:
        found.left_out[reason] = names


class _Folder:
    """One folder of the 300VW layout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        files = sorted(file for file in path.iterdir() if not is_hidden(file))
        self.annotations = [f for f in files if f.name.lower() == ANNOTATIONS and f.is_dir()]
        videos = [f for f in files if f.stem.lower() == _VIDEO and f.is_file()]
        known = [f for f in videos if is_video(f)]
        known.sort(key=lambda file: VIDEO_SUFFIXES.index(file.suffix.lower()))  # stable
        self.video = known[0] if known else None
        self.unused = known[1:]
        self.is_annotated = bool(self.annotations or videos)
        self._other = next((f for f in files if f not in self.annotations), None)

    def read(self) -> AnnotatedVideo:
        if self.video is None:
            raise InputError(
                f"{self.path}: annotations but no video; expected vid.avi, vid.mp4 or the like"
                + (f", found {self._other.name}." if self._other else ".")
            )
        if len(self.annotations) > 1:
            raise InputError(f"{self.path}: holds {len(self.annotations)} folders annot; keep one.")
        folder = self.annotations[0] if self.annotations else self.path / ANNOTATIONS
        return AnnotatedVideo(self.path.name, self.video, _annotations(folder))


def _annotations(folder: Path) -> dict[int, Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    found: dict[int, Path] = {}
    for file in files:
        if not is_landmarks(file) or is_hidden(file):
            continue
        if not file.stem.isdecimal() or int(file.stem) < 1:
            raise InputError(f"{file}: not a frame number; expected 000001.pts, counted from 1.")
        number = int(file.stem)
        if number in found:
            raise InputError(
                f"{file}: annotates frame {number} as {found[number].name} does; remove one."
            )
        found[number] = file
    if not found:
        raise InputError(f"{folder}: no annotations; expected 000001.pts …, one file a frame.")
    return found


def _find_stills(source: Path, found: FoundVideos) -> None:
    lonely: dict[str, list[Path]] = {
        "pictures without a .pts file": [],
        ".pts files without a picture": [],
        "second pictures of one .pts file": [],
        "pictures of a format that is not read": [],
        "videos among stills": [],
    }
    pictures, landmarks, second, unread, videos = lonely.values()
    seen: set[str] = set()  # a link may lead back to a folder above it
    for folder, subfolders, names in os.walk(source, onerror=_unreadable, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        images: dict[str, list[Path]] = {}
        points: dict[str, Path] = {}
        for file in sorted(Path(folder, name) for name in names):
            if is_hidden(file):
                continue
            if is_landmarks(file):
                if file.stem in points:
                    raise InputError(
                        f"{file}: annotates the same picture as {points[file.stem].name}; "
                        "remove one."
                    )
                points[file.stem] = file
            elif is_image(file):
                images.setdefault(file.stem, []).append(file)
            elif is_unread_image(file):
                unread.append(file)
            elif is_video(file):
                videos.append(file)
        for stem, files in images.items():
            files.sort(key=lambda file: IMAGE_SUFFIXES.index(file.suffix.lower()))
            if stem in points:
                name = "-".join(Path(folder, stem).relative_to(source).parts)
                found.videos.append(AnnotatedVideo(name, files[0], {1: points[stem]}))
                second += files[1:]
            else:
                pictures += files
        landmarks += [file for stem, file in points.items() if stem not in images]
    for reason, files in lonely.items():
        _leave_out(found, reason, source, files)
    found.videos.sort(key=lambda still: still.name)
    for still, other in zip(found.videos, found.videos[1:], strict=False):
        if still.name == other.name:
            raise InputError(
                f"{source}: {still.path.relative_to(source)} and {other.path.relative_to(source)} "
                f"would both be named {still.name!r}; rename one."
            )


def _unreadable(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot read the folder: {error.strerror}.") from error
