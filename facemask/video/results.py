"""Base of all writers of results, and the writers of label images, arrays and tables."""

import csv
import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from PIL import Image

from facemask.classes import COLORS, PALETTE
from facemask.errors import InputError
from facemask.files import make_folder, remove, remove_left_over, temporary_name
from facemask.video.frames import VideoFrame

Item = TypeVar("Item", contravariant=True)
Writer = TypeVar("Writer", bound="FrameWriter[Any]")

_FLUSH_EVERY: Final = 100  # frames
_FASTEST: Final = 1  # level of zlib: masks shrink to a few per cent at any
_PALETTE_AT: Final = 41  # where its colours begin in a PNG: after signature, header and two words


class FrameWriter(ABC, Generic[Item]):
    """Base of writers of one item a frame, whose file appears under its name only when complete.

    A context manager: it finishes at the end of the block, and aborts when an exception leaves it.

    Args:
        path: File to write; its folder is made.

    Raises:
        InputError: It cannot be written there; from `write` and `finish` too, when the disk is
            full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        make_folder(path.parent)
        if obstacle := self._obstacle():
            raise InputError(f"{path}: cannot write: {obstacle}.")
        remove_left_over(path)
        self._temporary = temporary_name(path)
        self._open = True
        try:
            with self._failures_told():
                self._create()
        except InputError:
            remove(self._temporary)
            raise

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, FFmpegError) as error:
            raise InputError(f"{self.path}: cannot write: {error.strerror}.") from error

    def _obstacle(self) -> str | None:
        """Name what lies under the path and must not be replaced, if anything does."""
        return "it is a folder" if self.path.is_dir() else None

    def _create(self) -> None:
        """Make the temporary file, so that what forbids it is known at once."""
        self._temporary.touch()

    @abstractmethod
    def _write(self, frame: VideoFrame, item: Item) -> None:
        """Write one item, or raise OSError or FFmpegError."""

    def _complete(self) -> None:
        """Write what is still held back, and close."""
        self._close()

    def _close(self) -> None:
        """Close the file, whatever may be missing."""

    def _replace(self) -> None:
        """Give the temporary file its name."""
        self._temporary.replace(self.path)

    def write(self, frame: VideoFrame, item: Item) -> None:
        """Write the item that belongs to `frame`.

        Args:
            frame: Gives number and time; its image is not looked at.
            item: Item to write.
        """
        if not self._open:
            raise RuntimeError(f"{self.path}: is finished, nothing more can be written to it.")
        with self._failures_told():
            self._write(frame, item)

    def finish(self) -> None:
        """Complete the file and give it its name. May be called twice."""
        if not self._open:
            return
        try:
            with self._failures_told():
                self._complete()
                self._replace()
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Leave nothing, and an older file of that name as it was. May be called twice."""
        if not self._open:
            return
        self._open = False
        with suppress(OSError, FFmpegError):  # of what is thrown away
            self._close()
        remove(self._temporary)

    def __enter__(self: Writer) -> Writer:
        """Return the writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish, or abort when an exception leaves the block."""
        if kind is None:
            self.finish()
        else:
            self.abort()


def _entry_name(frame: VideoFrame) -> str:
    """Name a frame's entry: by its picture, or by its number, counted from 1: `000001`."""
    return f"{frame.index + 1:06d}" if frame.label is None else frame.label


def label_png(labels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG file whose pixels are class ids, with the palette, so that viewers show colours.

    Args:
        labels: uint8 (H, W).
    """
    image, file = Image.fromarray(labels), io.BytesIO()
    # all 256 entries: with fewer, Pillow packs several pixels into a byte and drops large values
    image.putpalette(COLORS.tobytes())
    image.save(file, "PNG", compress_level=_FASTEST)
    return file.getvalue()


class LabelFolderWriter(FrameWriter[npt.NDArray[np.uint8]]):
    """Writes label images as a folder of PNGs, whose pixels are class ids.

    The files are called `000001.png` …, or as the pictures where frames are some. They carry the
    palette, so that viewers show colours. An older folder of that name is replaced when the new
    one is complete.

    Args:
        path: Folder to write.

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
        self._temporary.mkdir()

    def _write(self, frame: VideoFrame, item: npt.NDArray[np.uint8]) -> None:
        if item.dtype != np.uint8 or item.ndim != 2:
            raise InputError(
                f"{self.path}: labels are {item.dtype} {item.shape}, expected uint8 (H, W)."
            )
        (self._temporary / f"{_entry_name(frame)}.png").write_bytes(label_png(item))

    def _replace(self) -> None:
        older = temporary_name(self.path)
        if self.path.is_dir():
            self.path.rename(older)
        self._temporary.rename(self.path)
        remove(older)


def _is_frame(file: Path) -> bool:
    """Tell whether a file was written here: by its number, or by our palette."""
    if file.suffix != ".png" or not file.is_file():
        return False
    if file.stem.isdecimal() and len(file.stem) >= 6:
        return True
    with file.open("rb") as png:
        start = png.read(_PALETTE_AT + PALETTE.size)
    return start[_PALETTE_AT - 4 :] == b"PLTE" + PALETTE.tobytes()


class ArrayWriter(FrameWriter[npt.NDArray[Any]]):
    """Writes one array a frame into an `.npz` file, compressed, one in memory at a time.

    `np.load(path)["000001"]` reads the first frame's and no other; those of pictures have their
    names. Arrays may differ in shape and type; objects are refused.

    Args:
        path: File to write, .npz.

    Raises:
        InputError: It cannot be written there.
    """

    def __init__(self, path: str | Path) -> None:
        if Path(path).suffix != ".npz":
            raise InputError(f"{path}: the name must end in .npz.")
        super().__init__(path)

    def _create(self) -> None:
        self._file = zipfile.ZipFile(
            self._temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_FASTEST
        )

    def _write(self, frame: VideoFrame, item: npt.NDArray[Any]) -> None:
        if item.dtype.hasobject:
            raise InputError(f"{self.path}: an array holds Python objects; expected numbers.")
        with self._file.open(f"{_entry_name(frame)}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, item, allow_pickle=False)

    def _close(self) -> None:
        self._file.close()


class TableWriter(FrameWriter[Sequence[Mapping[str, object]]]):
    """Writes a CSV file, any number of rows a frame, as the frames come.

    Args:
        path: File to write.
        columns: Names of the columns, in order.

    Raises:
        InputError: It cannot be written there.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
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

    def _close(self) -> None:
        self._file.close()
