"""Writing label images, arrays and tables, one entry a frame."""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from facemask.classes import PALETTE
from facemask.errors import InputError
from facemask.files import remove, temporary_name
from facemask.video.frames import VideoFrame
from facemask.video.output import FrameWriter

_FLUSH_EVERY: Final = 100  # frames
_FASTEST: Final = 1  # level of zlib: masks shrink to a few per cent at any
# all 256 entries: with fewer, Pillow packs several pixels into a byte and drops large values
_COLORS: Final = PALETTE.tobytes().ljust(3 * 256, b"\x80")
_PALETTE_AT: Final = 41  # where its colours begin in a PNG: after signature, header and two words


def frame_name(frame: VideoFrame) -> str:
    """Name of a frame's entry: the picture's, or its number, counted from 1: `000001`."""
    return f"{frame.index + 1:06d}" if frame.label is None else frame.label


class LabelFolderWriter(FrameWriter[npt.NDArray[np.uint8]]):
    """Writes label images as a folder of PNGs, whose pixels are class ids.

    They are called `000001.png` …, or as the pictures where frames are some.

    They carry the palette, so that viewers show colours. An older folder of that name is replaced
    when the new one is complete.

    Args:
        path: The folder.

    Raises:
        InputError: It cannot be written there, or the folder holds other files; `write` raises it
            too, for labels that are not uint8 (H, W).
    """

    def _obstacle(self) -> str | None:
        if self.path.is_file():
            return "it is a file"
        if self.path.is_dir():
            others = [file.name for file in self.path.iterdir() if not _is_frame(file)]
            if others:
                return f"the folder holds other files, such as {others[0]}"
        return None

    def _create(self) -> None:
        remove(self._temporary)
        self._temporary.mkdir()

    def _write(self, frame: VideoFrame, item: npt.NDArray[np.uint8]) -> None:
        if item.dtype != np.uint8 or item.ndim != 2:
            raise InputError(
                f"{self.path}: labels are {item.dtype} {item.shape}, expected uint8 (H, W)."
            )
        image = Image.fromarray(item)
        image.putpalette(_COLORS)
        image.save(self._temporary / f"{frame_name(frame)}.png", compress_level=_FASTEST)

    def _complete(self) -> None:
        pass

    def _discard(self) -> None:
        pass

    def _replace(self) -> None:
        older = temporary_name(self.path)
        if self.path.is_dir():
            self.path.rename(older)
        self._temporary.rename(self.path)
        remove(older)


def _is_frame(file: Path) -> bool:
    """Whether a file was written here: by its number, or by our palette."""
    if file.suffix != ".png" or not file.is_file():
        return False
    if file.stem.isdecimal() and len(file.stem) >= 6:
        return True
    with file.open("rb") as png:
        start = png.read(_PALETTE_AT + len(_COLORS))
    return start[_PALETTE_AT - 4 :] == b"PLTE" + _COLORS


class ArrayWriter(FrameWriter[npt.NDArray[Any]]):
    """Writes one array a frame into an `.npz` file, compressed, one in memory at a time.

    `np.load(path)["000001"]` reads the first frame's and no other; those of pictures have their
    names. Arrays may differ in shape and
    type; objects are refused.

    Args:
        path: The file, .npz.

    Raises:
        InputError: It cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".npz":
            raise InputError(f"{path}: the name must end in .npz.")
        super().__init__(path)

    def _create(self) -> None:
        self._file = zipfile.ZipFile(
            self._temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_FASTEST
        )

    def _write(self, frame: VideoFrame, item: npt.NDArray[Any]) -> None:
        if item.dtype.hasobject:
            raise InputError(f"{self.path}: an array holds Python objects; expected numbers.")
        with self._file.open(f"{frame_name(frame)}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, item, allow_pickle=False)

    def _complete(self) -> None:
        self._file.close()

    def _discard(self) -> None:
        self._file.close()


class TableWriter(FrameWriter[Sequence[Mapping[str, object]]]):
    """Writes a CSV file, any number of rows a frame, as the frames come.

    Args:
        path: The file.
        columns: Names of the columns, in order.

    Raises:
        InputError: It cannot be written there.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        super().__init__(path)

    def _create(self) -> None:
        self._file = self._temporary.open("w", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, self.columns)
        self._rows.writeheader()

    def _write(self, frame: VideoFrame, item: Sequence[Mapping[str, object]]) -> None:
        self._rows.writerows(item)
        if frame.index % _FLUSH_EVERY == 0:
            self._file.flush()

    def _complete(self) -> None:
        self._file.close()

    def _discard(self) -> None:
        self._file.close()
