"""Animated pictures (WebP, APNG, AVIF) as videos, read with Pillow."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from facemask.errors import InputError
from facemask.video.frames import FrameSource, VideoFrame

_FORMATS: Final = ("PNG", "WEBP", "AVIF", "TIFF")
_PAGED: Final = (".tif", ".tiff")  # pages have no times
_SUFFIXES: Final = (".png", ".apng", ".webp", ".avif", *_PAGED)
_SHORTEST: Final = 0.1  # seconds of a frame that gives none, as browsers show it
_DAMAGE: Final = (OSError, ValueError, SyntaxError, EOFError)  # what Pillow raises


def pictures_in(path: Path) -> int:
    """Number of pictures that an image file holds: frames of an animation or pages of a TIFF.

    1 for other formats, and for what Pillow cannot open.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return 1
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except (UnidentifiedImageError, *_DAMAGE):
        return 1


def first_of_several(path: Path) -> str | None:
    """A sentence where only the first of an image file's pictures is used as a still."""
    count = pictures_in(path)
    if count == 1:
        return None
    return f"{path.name} holds {count} pictures, of which the first is used."


def is_animated(path: Path) -> bool:
    """Whether a picture moves: an animated WebP, APNG or AVIF."""
    return path.suffix.lower() not in _PAGED and pictures_in(path) > 1


class AnimatedPicture(FrameSource):
    """An animated picture's frames, each shown as long as the file says, once.

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
        """Seconds of each frame that can be decoded."""
        seconds = []
        for number in range(self._count):
            try:
                self._image.seek(number)
                self._image.load()
            except _DAMAGE:
                if number == 0:
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
