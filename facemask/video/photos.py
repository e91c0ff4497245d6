"""Photographs among the inputs of a command: pictures that have nothing to do with each other."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from PIL import Image, UnidentifiedImageError

from facemask.errors import InputError
from facemask.suffixes import is_image, is_unread_image
from facemask.video.sources import is_animated, list_images, others_in

Kind = Literal["auto", "video", "photos"]
"""What pictures are taken for: frames of a video, photographs, or what their names suggest."""
_NUMBERED: Final = re.compile(r"(.*?)(\d+)(\D*)")
_ORIENTATION: Final = 0x0112
_LYING: Final = 5
"""Least EXIF orientation that exchanges height and width."""


class Split(NamedTuple):
    """Inputs of a command by what they are.

    Attributes:
        videos: Videos, cameras, and folders whose pictures are frames.
        photos: Photographs, each by itself.
        notes: Sentences on folders: what they were taken for, and what else they hold.
    """

    videos: list[str | int]
    photos: list[str]
    notes: list[str]


def split_photos(sources: Sequence[str | int], kind: Kind = "auto") -> Split:
    """Tell photographs from videos.

    A still picture is a photograph. Pictures of a folder are frames of a video if they are
    numbered, with the same words around the number, and of one size; else photographs.

    Args:
        sources: Paths, and numbers of cameras, as `expand_inputs` returns them.
        kind: "video" or "photos" decides for all pictures, stills and folders.

    Raises:
        InputError: Photographs are asked for, and a source is no picture.
    """
    split = Split([], [], [])
    for source in sources:
        path = None if isinstance(source, int) else Path(source)
        if path is not None and path.is_dir():
            files = list_images(path)
            if kind == "photos" or (kind == "auto" and files and not is_sequence(files)):
                split.photos.extend(map(str, files))
                if files:
                    if others := others_in(path):
                        held = "; ".join(others)
                        split.notes.append(f"{path} holds more than these photos: {held}.")
                    continue
            elif kind == "auto" and files:
                split.notes.append(
                    f"{path}: frames of a video, as its pictures are numbered (or --as photos)."
                )
        elif path is not None and kind != "video" and _is_still(path):
            split.photos.append(str(source))
            continue
        if kind == "photos":
            what = f"camera {source}" if isinstance(source, int) else f"{source}"
            raise InputError(f"{what}: is no photograph or folder of them: leave out --as photos.")
        split.videos.append(source)
    return split


def _is_still(path: Path) -> bool:
    """Return whether a file is a photograph, of a format such as HEIC, which is not read, too.

    FFmpeg would take that for a video, and HEIC for one that is cut off.
    """
    return is_unread_image(path) or (is_image(path) and not is_animated(path))


def is_sequence(files: Sequence[Path]) -> bool:
    """Return whether pictures look like a video's frames.

    Args:
        files: Pictures of one folder.

    Returns:
        True for two or more that are numbered, differ in nothing else by name, and have one size.

    Examples:
        >>> is_sequence([Path("anna.jpg"), Path("ben.jpg")])
        False
    """
    names = [_NUMBERED.fullmatch(file.stem) for file in files]
    around = {(name[1], name[3]) if name else None for name in names}
    if len(files) < 2 or None in around or len(around) > 1:
        return False
    sizes = (_size(file) for file in files)
    first = next(sizes)
    return all(size in (first, None) for size in sizes)


def _size(file: Path) -> tuple[int, int] | None:
    """Return width and height as shown, from the file's header; None where it cannot be read."""
    try:
        with Image.open(file) as image:
            lies = image.getexif().get(_ORIENTATION, 1) >= _LYING
            return image.size[::-1] if lies else image.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        return None
