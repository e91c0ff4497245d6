"""Contact sheets: what a run has found, on one picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.sheet import draw_text, stack
from facemask.files import read_image, write_image

Image = npt.NDArray[np.uint8]

_COLUMNS: Final = 4
_TILE: Final = (320, 320)
"""Most columns and rows of a picture on the sheet."""
_FRAMES: Final = 12
"""Frames of a video on its sheet."""
_PHOTOS: Final = 60
"""Most photographs on one."""


def sheet_of_video(overlay: Path, sheet: Path) -> None:
    """Draw frames of an overlay video, evenly spread over it, with their times.

    Args:
        overlay: The video.
        sheet: The JPEG file to write.

    Raises:
        InputError: It cannot be written.
    """
    video = cv2.VideoCapture(str(overlay))
    count, rate = video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS) or 25
    tiles = []
    for number in np.unique(np.linspace(0, max(count - 1, 0), _FRAMES).round().astype(int)):
        video.set(cv2.CAP_PROP_POS_FRAMES, float(number))
        is_there, frame = video.read()
        if is_there:
            rgb = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            tiles.append(_tile(rgb, f"{number / rate:.1f} s"))
    video.release()
    _write(tiles, sheet)


def sheet_of_photos(overlays: Sequence[Path], names: Sequence[str], sheet: Path) -> int:
    """Draw overlays of photographs with their names; of more than 60, as many evenly spread.

    Args:
        overlays: The pictures; those that are not there are left out.
        names: Their names.
        sheet: The JPEG file to write, unless there is no picture.

    Returns:
        Number of pictures on it.

    Raises:
        InputError: A picture cannot be read, or the sheet not be written.
    """
    there = [(path, name) for path, name in zip(overlays, names, strict=True) if path.exists()]
    places = np.unique(np.linspace(0, len(there) - 1, min(len(there), _PHOTOS)).round().astype(int))
    chosen = [there[place] for place in places]
    _write([_tile(read_image(path), name) for path, name in chosen], sheet)
    return len(chosen)


def _tile(picture: Image, text: str) -> Image:
    height, width = picture.shape[:2]
    scale = min(_TILE[0] / width, _TILE[1] / height, 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return stack([small, draw_text(text, _TILE[0])])


def _write(tiles: list[Image], sheet: Path) -> None:
    if tiles:
        rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
        write_image(sheet, stack([stack(row, axis=1) for row in rows]))
