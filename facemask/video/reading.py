"""Opening whatever shows faces, and the list of inputs that a command was given."""

import glob
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from facemask.errors import InputError, Notice
from facemask.suffixes import is_image, is_unread_image, is_video, some_names
from facemask.video import sources
from facemask.video.decoding import VideoFile
from facemask.video.frames import FrameSource, VideoFrame

__all__ = ["FrameSource", "VideoFrame", "expand_inputs", "open_source"]

_LIST_SUFFIX: Final = ".txt"


def open_source(
    source: str | Path | int, fps: Fraction | int | None = None, rotate: int = 0
) -> FrameSource:
    """Open a video file, a folder of images, one image or a camera.

    Animated WebP, APNG and AVIF are videos; so are GIFs.

    Args:
        source: Path of the file or folder; a number, or a string of digits that names no file,
            is a camera.
        fps: Frame rate of what stores no times: a folder of images (25 unless given) and a raw
            stream such as `.h264` (what its header says unless given). Other videos keep theirs.
        rotate: Degrees by which to turn each frame clockwise, after what its metadata says: 0, 90,
            180 or 270.

    Raises:
        InputError: There is nothing of that name, or it holds no picture that can be decoded.

    Examples:
        >>> open_source("none.mp4")
        Traceback (most recent call last):
        facemask.errors.InputError: none.mp4: no such file or folder.
    """
    opened = _open(source, fps)
    try:
        opened.turn(rotate)
    except InputError:
        opened.close()
        raise
    return opened


def _open(source: str | Path | int, fps: Fraction | int | None) -> FrameSource:
    if isinstance(source, str) and source.isdecimal() and not Path(source).exists():
        source = int(source)
    if isinstance(source, int):
        return sources.Camera(source)
    path = Path(source)
    if path.is_file() and sources.is_animated(path):
        return sources.AnimatedPicture(path)
    if path.is_dir() or (path.is_file() and is_image(path)):
        return sources.ImageFolder(path, sources.FOLDER_FPS if fps is None else fps)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    return VideoFile(path, fps)


def expand_inputs(inputs: Sequence[str]) -> list[str | int]:
    """Turn a command's inputs into single sources.

    Args:
        inputs: Each a file, a folder of frames, a pattern (`clips/*.mp4`, `data/**/vid.avi`), a
            list file (`.txt`, one input a line, relative to the list's folder, `#` starts a
            comment) or the number of a camera. A pattern takes videos (by suffix) and folders
            with images; one that ends in a suffix of its own takes every file that matches.

    Returns:
        Paths and camera numbers in the order given, each once.

    Raises:
        InputError: A file is missing, or a pattern or list holds nothing.
    """
    found: dict[str | int, str | int] = {}
    for text in inputs:
        for source in _expand(text):
            same = source if isinstance(source, int) else str(Path(source).resolve())
            found.setdefault(same, source)
    return list(found.values())


def _expand(text: str) -> Iterator[str | int]:
    path = Path(text)
    if path.suffix.lower() == _LIST_SUFFIX and path.is_file():
        yield from _read_list(path)
    elif path.exists():
        yield text
    elif text.isdecimal():
        yield int(text)
    elif glob.has_magic(text):
        yield from _match(text)
    else:
        raise InputError(f"{text}: no such file or folder.")


def _match(pattern: str) -> list[str]:
    suffix = Path(pattern).suffix
    any_file = bool(suffix) and not glob.has_magic(suffix)
    matches, pictures = [], []
    for match in glob.glob(pattern, recursive=True):  # noqa: PTH207  # Path's takes no absolute ones
        path = Path(match)
        if sources.list_images(path) if path.is_dir() else any_file or is_video(path):
            matches.append(match)
        elif is_image(path) or is_unread_image(path):
            pictures.append(path)
    # of `data/**`, the folder itself
    taken = {Path(match) for match in matches}
    names = sorted(path.name for path in pictures if path.parent not in taken)
    hint = ": give their folder, or a pattern that ends in their suffix"
    left_out = f"pictures, {some_names(names)}{hint}" if names else ""
    if not matches:
        why = f"; for its {left_out}" if names else ""
        raise InputError(f"{pattern}: no video or folder with images matches this pattern{why}.")
    if names:
        warnings.warn(f"{pattern}: leaves out {left_out}.", Notice, stacklevel=5)
    return sorted(matches, key=lambda match: sources.natural_key(Path(match)))


def _read_list(path: Path) -> Iterator[str | int]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read the list of inputs: {error}.") from error
    entries = [(n, line.strip()) for n, line in enumerate(lines, start=1)]
    entries = [(n, line) for n, line in entries if line and not line.startswith("#")]
    if not entries:
        raise InputError(f"{path}: the list names no input; expected one a line.")
    for number, line in entries:
        where = path.parent / Path(line).expanduser()
        try:
            if where.suffix.lower() == _LIST_SUFFIX and where.is_file():
                raise InputError(f"{where}: a list inside a list; name its videos themselves.")
            yield from _expand(line if line.isdecimal() and not where.exists() else str(where))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
