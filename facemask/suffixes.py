"""Kinds of files, pictures, videos and landmarks, by their suffix in whatever case.

One list of each for the whole package, so that no command passes over what another one takes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

IMAGE_SUFFIXES: Final = (
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jfif", ".jpe", ".dib",
    ".jp2", ".pbm", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
"""Pictures that OpenCV reads."""
UNREAD_IMAGE_SUFFIXES: Final = (
    ".heic", ".heif", ".jxl", ".psd", ".svg", ".exr", ".hdr", ".dng", ".raw", ".cr2", ".cr3",
    ".nef", ".arw", ".raf", ".orf", ".rw2",
)  # fmt: skip
"""Pictures that nothing here reads: where they are left out, that is said."""
VIDEO_SUFFIXES: Final = (
    ".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".m2v", ".vob", ".ts",
    ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".dv",
    ".y4m", ".h264", ".264", ".h265", ".265", ".hevc", ".gif", ".apng",
)  # fmt: skip
"""Videos that a folder or a pattern is searched for; a file given by name may have any suffix."""
LANDMARK_SUFFIX: Final = ".pts"
TEMPLATE_SUFFIX: Final = ".tem"
"""Templates of Psychomorph, which hold landmarks, too."""


def is_image(path: Path) -> bool:
    """Return whether a file is a picture that is read here.

    Examples:
        >>> is_image(Path("a/IMG_1.JPG")), is_image(Path("a.heic"))
        (True, False)
    """
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_unread_image(path: Path) -> bool:
    """Return whether a file is a picture of a format that is not read here."""
    return path.suffix.lower() in UNREAD_IMAGE_SUFFIXES


def is_video(path: Path) -> bool:
    """Return whether a file is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_landmarks(path: Path) -> bool:
    """Return whether a file holds landmarks.

    Examples:
        >>> is_landmarks(Path("a.PTS")), is_landmarks(Path("a.tem")), is_landmarks(Path("a.txt"))
        (True, True, False)
    """
    return path.suffix.lower() in (LANDMARK_SUFFIX, TEMPLATE_SUFFIX)


def is_hidden(path: Path) -> bool:
    """Return whether a file is the system's or a program's own, such as macOS's `._a.jpg`."""
    return path.name.startswith(".")


def some_names(names: Sequence[str], most: int = 3) -> str:
    """Say how many names there are, and the first of them.

    Examples:
        >>> some_names(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
        '4 (a.jpg, b.jpg, c.jpg, …)'
    """
    return f"{len(names)} ({', '.join([*names[:most], *(['…'] if len(names) > most else [])])})"
