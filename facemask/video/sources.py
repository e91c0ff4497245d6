"""Sources of frames that are no video files: folders of images, animated pictures and cameras."""

import itertools
import math
import re
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

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
from facemask.video.frames import FrameSource, VideoFrame

FOLDER_FPS: Final = 25
_MOST_TOLD: Final = 3  # files that hold several pictures
_USUAL_FPS: Final = 30  # of cameras that do not tell theirs

_FORMATS: Final = ("PNG", "WEBP", "AVIF", "TIFF")
_PAGED: Final = (".tif", ".tiff")  # pages have no times
_ANIMATED: Final = (".png", ".apng", ".webp", ".avif")
_SHORTEST: Final = 0.1  # seconds of a frame that gives none, as browsers show it
_DAMAGE: Final = (OSError, ValueError, SyntaxError, EOFError)  # what Pillow raises


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that puts `frame2` before `frame10`.

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
    """List the images of a folder in natural order, hidden files left out.

    Raises:
        InputError: The folder cannot be read.
    """
    return sorted(filter(is_image, _shown_in(folder)), key=natural_key)


def others_in(folder: Path) -> list[str]:
    """Say what else of a folder shows faces, and what to do about it."""
    files = sorted(_shown_in(folder))
    told = []
    if videos := [path for path in files if is_video(path)]:
        names = some_names([path.name for path in videos])
        told.append(f"for its videos, {names}, give '{folder}/*{videos[0].suffix}'")
    if unread := [path.name for path in files if is_unread_image(path)]:
        told.append(f"pictures of a format that is not read, {some_names(unread)}: convert them")
    return told


def _shown_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not is_hidden(path)]
    except OSError as error:
        raise InputError(f"{folder}: cannot read the folder: {error.strerror}.") from error


def _labels(files: Sequence[Path]) -> list[str]:
    """Name pictures without their suffix, or with it where several have the same."""
    names = [[file.stem, file.name, *with_digests(file.stem, file.name)] for file in files]
    # of arrays `x` and `x.npy` in one file, NumPy gives the first under both names
    return distinct_names([of[1:] if of[0].endswith(".npy") else of for of in names])


def _files(path: Path) -> list[Path]:
    """Return the images of a folder, or the one image itself."""
    if not path.is_dir():
        return [path]
    files = list_images(path)
    if not files:
        hint = "".join(f"; {told}" for told in others_in(path))
        suffixes = ", ".join(IMAGE_SUFFIXES)
        raise InputError(f"{path}: a folder without images; expected frames as {suffixes}{hint}.")
    return files


class ImageFolder(FrameSource):
    """Images of a folder, or one image, as frames of one size.

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
        self._files = _files(path)
        self.frame_count = len(self._files)
        self.height, self.width = self._stored = read_image(self._files[0]).shape[:2]

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
        if more := len(several) - len(told):
            told.append(f"So do {more} more.")
        if self.path.is_dir() and (others := others_in(self.path)):
            told.append(f"{self.path} holds more than these pictures: {'; '.join(others)}.")
        self.problem = " ".join(told) or None

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _pictures_in(path: Path) -> int:
    """Count the pictures of an image file: frames of an animation or pages of a TIFF.

    1 for other formats, and for what Pillow cannot open.
    """
    if path.suffix.lower() not in (*_ANIMATED, *_PAGED):
        return 1
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except (UnidentifiedImageError, *_DAMAGE):
        return 1


def first_of_several(path: Path) -> str | None:
    """Say that only the first of an image file's pictures is used as a still; None of one."""
    count = _pictures_in(path)
    return f"{path.name} holds {count} pictures, of which the first is used." if count > 1 else None


def is_animated(path: Path) -> bool:
    """Tell whether a picture moves: an animated WebP, APNG or AVIF."""
    return path.suffix.lower() in _ANIMATED and _pictures_in(path) > 1


class AnimatedPicture(FrameSource):
    """Frames of an animated picture, each shown as long as the file says, once.

    Transparent pixels are white, as FFmpeg shows those of GIFs.

    Args:
        path: The file: WebP, APNG or AVIF.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.name = path.stem
        try:
            self._image = Image.open(path, formats=_FORMATS)
            self.frame_count = self._count = int(getattr(self._image, "n_frames", 1))
            self.width, self.height = self._image.size
            self._seconds = self._durations()
        except _DAMAGE as error:
            raise InputError(f"{path}: cannot read the animated picture: {error}.") from error
        mean = sum(self._seconds) / len(self._seconds)
        self.fps = (1 / Fraction(mean)).limit_denominator(1001)
        self._closed = False

    def _durations(self) -> list[float]:
        """Return the seconds of each frame that can be decoded."""
        seconds: list[float] = []
        for number in range(self._count):
            try:
                self._image.seek(number)
                self._image.load()
            except _DAMAGE:
                if not seconds:
                    raise
                break
            seconds.append(float(self._image.info.get("duration", 0)) / 1000 or _SHORTEST)
        return seconds

    def _frames(self) -> Iterator[VideoFrame]:
        time = 0.0
        for index, seconds in enumerate(self._seconds):
            if self._closed:
                return
            self._image.seek(index)
            shown = self._image.convert("RGBA")
            over = Image.new("RGBA", shown.size, (255, 255, 255, 255))
            rgb = Image.alpha_composite(over, shown).convert("RGB")
            yield VideoFrame(index, time, np.asarray(rgb, dtype=np.uint8))
            time += seconds
        self.last_duration = self._seconds[-1]
        if len(self._seconds) < self._count:
            self.problem = (
                f"{self.path.name} is damaged after frame {len(self._seconds)}: it should hold "
                f"{self._count}."
            )

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._image.close()


class Camera(FrameSource):
    """Frames of a camera of this machine, which end when it stops or the source is closed.

    A frame's time is when it arrived.

    Args:
        index: Number of the camera, from 0.

    Raises:
        InputError: There is no such camera, or it gives no picture.
    """

    def __init__(self, index: int) -> None:
        self.name, self.path, self.frame_count = f"camera{index}", None, None
        log = getattr(cv2.utils, "logging", cv2)  # its place before OpenCV 5
        level = log.getLogLevel()
        log.setLogLevel(0)  # else OpenCV's own lines about a missing camera are on the terminal
        try:
            self._capture = cv2.VideoCapture(index)
            working, image = self._capture.read() if self._capture.isOpened() else (False, None)
        finally:
            log.setLogLevel(level)
        if image is None or not working:
            self._capture.release()
            raise InputError(
                f"camera {index}: no such camera, or it gives no picture; cameras count from 0, "
                "and one that another program uses cannot be opened."
            )
        self.height, self.width = image.shape[:2]
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        usable = 0 < rate < 1000  # NaN is not
        self.fps = Fraction(rate if usable else _USUAL_FPS).limit_denominator(1001)

    def _frames(self) -> Iterator[VideoFrame]:
        began, latest = math.nan, -math.inf
        for index in itertools.count():
            working, image = self._capture.read()  # a closed camera gives nothing either
            if not working:
                return
            arrived = time.monotonic()
            began = arrived if index == 0 else began
            latest = max(arrived - began, latest + 0.001)
            rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield VideoFrame(index, latest, rgb)

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
