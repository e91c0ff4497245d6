"""Writing files so that a killed run never leaves a half-written one, and reading them whole."""

import csv
import functools
import hashlib
import io
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import cv2
import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.folders import note_made

_JPEG_START: Final = b"\xff\xd8"
_JPEG_END: Final = 0xD9
# but for stuffed zeros, restarts and TEM, none of which begins a segment or ends the image
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)


def make_folder(path: Path) -> None:
    """Make a folder to write to, and those above it, unless it is there.

    Raises:
        InputError: It cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        note_made(reversed(missing))
    except (FileExistsError, NotADirectoryError) as error:
        file = next(
            (p for p in (path, *path.parents) if os.path.lexists(p) and not p.is_dir()), path
        )
        raise InputError(f"{path}: cannot write there: {file} is a file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror}.") from error


_LONGEST: Final = 190  # bytes of a name that a temporary name repeats; file systems allow 255
_ABANDONED: Final = 7 * 24 * 3600  # seconds without a write, after which no writer is alive


def temporary_name(path: Path) -> Path:
    """Return a hidden name beside `path` that no other writer has, on whatever machine it runs.

    It ends in `.tmp`; `remove_left_over` finds it should this process be killed.
    """
    owner = f"{_place()}-{os.getpid()}"
    return path.with_name(f"{_start(path)}{secrets.token_hex(8)}.{owner}.tmp")


def remove_left_over(path: Path) -> None:
    """Remove what killed processes have left of `path`; what may still be written stays.

    A process of this machine is known to be dead, one elsewhere is taken for dead a week after it
    wrote last.
    """
    form = re.compile(re.escape(_start(path)) + r"[0-9a-f]{16}\.([0-9a-f]{8})-(\d+)\.tmp")
    for left in path.parent.iterdir():
        if owner := form.fullmatch(left.name):
            here = owner[1] == _place()
            if not _is_running(int(owner[2])) if here else _age(left) > _ABANDONED:
                remove(left)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _start(path: Path) -> str:
    return f".{os.fsencode(path.name)[:_LONGEST].decode(errors='ignore')}."


@functools.cache
def _place() -> str:
    """Return a digest of what numbers processes: this machine since its start, or a container."""
    known = [socket.gethostname()]
    with suppress(OSError):  # Linux has both
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("".join(known).encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    if os.name != "posix":  # where signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:  # gone
        return 0.0


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name beside `path`, then rename it into place.

    Raises:
        InputError: The folder is missing, unwritable or full.
    """
    temporary = temporary_name(path)
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot write: {error.strerror}.") from error
        raise


def say_replaced(path: Path) -> str:
    """Return the end of a line on a file that is about to be written: whether one is replaced."""
    return ", in place of the file that was there" if path.exists() else ""


def to_csv(rows: Iterable[Iterable[object]]) -> bytes:
    r"""Return the content of a CSV file, UTF-8, with line feeds at the ends of its lines.

    Examples:
        >>> to_csv([["video", "frame"], ["a, b", 1]])
        b'video,frame\n"a, b",1\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def write_image(path: Path, image: npt.NDArray[np.uint8], *, jpeg_quality: int = 95) -> None:
    """Write an image by the suffix of `path` (.png, .jpg), whole or not at all.

    Args:
        path: The file to write.
        image: uint8 (H, W) grey values or labels, or (H, W, 3) RGB.
        jpeg_quality: 1 to 100, for JPEG only.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if path.suffix.lower() in (".jpg", ".jpeg") else []
    )
    _, encoded = cv2.imencode(path.suffix, pixels, options)
    write_atomic(path, encoded.tobytes())


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        InputError: The file cannot be read.
    """
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                total.update(piece)
    except OSError as error:
        reason = "no such file" if not path.exists() else error.strerror
        raise InputError(f"{path}: cannot read it: {reason}.") from error
    return total.hexdigest()


def read_lines(path: Path, what: str) -> list[str]:
    """Return the lines of a text file, UTF-8 with or without a byte order mark.

    Lines end with a line feed only: other characters at which `str.splitlines` would split may
    stand in the names of files.

    Args:
        path: The file.
        what: Name of what it holds, for the error message.

    Raises:
        InputError: The file cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read {what}: {error}.") from error
    return text.replace("\r\n", "\n").split("\n")


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image as uint8 (H, W, 3) RGB, upright by its EXIF orientation.

    Raises:
        InputError: The file is missing, not a readable image, or cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "no such file" if not path.exists() else error.strerror
        raise InputError(f"{path}: cannot read the image: {reason}.") from error
    if data.startswith(_JPEG_START) and not is_whole_jpeg(data):
        raise InputError(
            f"{path}: cannot read the image: it is cut short (a JPEG without its end-of-image "
            "marker); copy it again."
        )
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        reason = "not a readable image, or damaged" if data else "the file is empty (0 bytes)"
        raise InputError(f"{path}: cannot read the image: {reason}.")
    return cast("npt.NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def is_whole_jpeg(data: bytes) -> bool:
    """Return whether a JPEG goes on to its end-of-image marker; what is missing is painted grey.

    Segments are stepped over by their lengths, so that the end of a thumbnail in one of them does
    not count; what comes after the end does not matter.

    Args:
        data: The file; it begins with FF D8.

    Examples:
        >>> is_whole_jpeg(bytes.fromhex("ffd8 ffe0 0004 ffd9 1234"))
        False
        >>> is_whole_jpeg(bytes.fromhex("ffd8 ffe0 0004 ffd9 1234 ffd9 00"))
        True
    """
    place = len(_JPEG_START)
    while marker := _JPEG_MARKER.search(data, place):
        if marker[0][-1] == _JPEG_END:
            return True
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False
