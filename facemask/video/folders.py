"""A folder of images as a video."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.files import read_image
from facemask.naming import distinct_names, with_digests
from facemask.suffixes import (
    IMAGE_SUFFIXES,
    is_hidden,
    is_image,
    is_unread_image,
    is_video,
    some_names,
)
from facemask.video.animated import first_of_several
from facemask.video.frames import FrameSource, VideoFrame

FOLDER_FPS: Final = 25
_MOST_TOLD: Final = 3  # files that hold several pictures


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
        (path for path in folder.iterdir() if is_image(path) and not is_hidden(path)),
        key=natural_key,
    )


def _others(folder: Path) -> list[str]:
    """What else of a folder shows faces, and what to do about it."""
    files = sorted(path for path in folder.iterdir() if not is_hidden(path))
    told = []
    if videos := [path for path in files if is_video(path)]:
        names = some_names([path.name for path in videos])
        told.append(f"for its videos, {names}, give '{folder}/*{videos[0].suffix}'")
    if unread := [path.name for path in files if is_unread_image(path)]:
        told.append(f"pictures of a format that is not read, {some_names(unread)}: convert them")
    return told


def _labels(files: Sequence[Path]) -> list[str]:
    """Names of pictures without their suffix, or with it where several have the same."""
    names = [[file.stem, file.name, *with_digests(file.stem, file.name)] for file in files]
    # of arrays `x` and `x.npy` in one file, NumPy gives the first under both names
    return distinct_names([of[1:] if of[0].endswith(".npy") else of for of in names])


class ImageFolder(FrameSource):
    """The images of a folder, or one image, as frames of one size.

    Args:
        path: The folder or the image.
        fps: Frame rate.

    Raises:
        InputError: There is no image, the first one is unreadable, or `fps` is not positive;
            while iterating: an image is unreadable or has another size than the first.
    """

    has_pictures = True

    def __init__(self, path: Path, fps: Fraction | int = FOLDER_FPS) -> None:
        if fps <= 0:
            raise InputError(f"The frame rate of a folder is {fps}, expected more than 0.")
        self.path: Path = path
        self.fps = Fraction(fps)
        self.name = path.resolve().name if path.is_dir() else path.stem
        self._files = self._list(path)
        self.frame_count = len(self._files)
        self.height, self.width = self._stored = read_image(self._files[0]).shape[:2]

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
        hint = "".join(f"; {told}" for told in _others(path))
        suffixes = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: a folder without images; expected frames as {suffixes}{hint}.")

    def _frames(self) -> Iterator[VideoFrame]:
        several: list[str] = []
        for index, (file, label) in enumerate(zip(self._files, _labels(self._files), strict=True)):
            image = read_image(file)
            height, width = image.shape[:2]
            if (height, width) != self._stored:
                first = f"{self._stored[1]}x{self._stored[0]}"
                raise InputError(
                    f"{file}: has {width}x{height} pixels, but {self._files[0].name} has {first}: "
                    "all images of a folder must have one size."
                )
            if said := first_of_several(file):
                several.append(said)
            yield VideoFrame(index, float(index / self.fps), image, file.name, label)
        told = several[:_MOST_TOLD]
        if len(several) > len(told):
            told.append(f"So do {len(several) - len(told)} more.")
        if self.path.is_dir() and (others := _others(self.path)):
            told.append(f"{self.path} holds more than these pictures: {'; '.join(others)}.")
        self.problem = " ".join(told) or None

    def close(self) -> None:
        """Nothing to let go of."""
