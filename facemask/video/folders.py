"""A folder of images as a video."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.files import read_image
from facemask.video.frames import FrameSource, VideoFrame

IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES: Final = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".gif",
)  # fmt: skip
FOLDER_FPS: Final = 25


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts `frame2` before `frame10`.

    Examples:
        >>> sorted(map(Path, ["f10.png", "f2.png", "f1.png"]), key=natural_key)
        [PosixPath('f1.png'), PosixPath('f2.png'), PosixPath('f10.png')]
    """
    key = []
    for part in path.parts:
        words = re.split(r"(\d+)", part)  # text and digits by turns
        key += [(0, int(w), w) if n % 2 else (1, 0, w.casefold()) for n, w in enumerate(words) if w]
        key.append((-1, 0, ""))  # a folder's end comes before any longer name
    return key


def list_images(folder: Path) -> list[Path]:
    """The images of a folder in natural order, hidden files left out."""
    return sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ),
        key=natural_key,
    )


class ImageFolder(FrameSource):
    """The images of a folder, or one image, as frames of one size.

    Args:
        path: The folder or the image.
        fps: Frame rate.

    Raises:
        InputError: There is no image, the first one is unreadable, or `fps` is not positive;
            while iterating: an image is unreadable or has another size than the first.
    """

    def __init__(self, path: Path, fps: Fraction | int = FOLDER_FPS) -> None:
        """See the class."""
        if fps <= 0:
            raise InputError(f"The frame rate of a folder is {fps}, expected more than 0.")
        self.path, self.fps = path, Fraction(fps)
        self.name = path.resolve().name if path.is_dir() else path.stem
        self._files = self._list(path)
        self.frame_count = len(self._files)
        self.height, self.width = read_image(self._files[0]).shape[:2]

    @staticmethod
    def _list(path: Path) -> list[Path]:
        if not path.is_dir():
            return [path]
        try:
            files = list_images(path)
        except OSError as error:
            raise InputError(f"{path}: cannot read the folder: {error.strerror}.") from error
        if files:
            return files
        videos = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        hint = f"; for its videos give '{path}/*{videos[0].suffix}'" if videos else ""
        suffixes = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: a folder without images; expected frames as {suffixes}{hint}.")

    def _frames(self) -> Iterator[VideoFrame]:
        for index, file in enumerate(self._files):
            image = read_image(file)
            height, width = image.shape[:2]
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{file}: has {width}x{height} pixels, but {self._files[0].name} has "
                    f"{self.width}x{self.height}: all images of a folder must have one size."
                )
            yield VideoFrame(index, float(index / self.fps), image)

    def close(self) -> None:
        """Nothing to let go of."""
