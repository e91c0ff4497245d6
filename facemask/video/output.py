"""What all writers of results share: a temporary name, renamed when complete."""

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from av.error import FFmpegError

from facemask.errors import InputError
from facemask.files import make_folder, remove, remove_left_over, temporary_name
from facemask.video.frames import VideoFrame

Item = TypeVar("Item", contravariant=True)
Writer = TypeVar("Writer", bound="FrameWriter[Any]")


class FrameWriter(ABC, Generic[Item]):
    """Writes one item a frame; the file appears under its name when complete, or not at all.

    A context manager: it finishes at the end of the block, and aborts when an exception leaves it.

    Args:
        path: What to write; its folder is made.

    Raises:
        InputError: It cannot be written there; from `write` and `finish` too, when the disk is
            full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path.parent)
        if obstacle := self._obstacle():
            raise InputError(f"{path}: cannot write: {obstacle}.")
        remove_left_over(path)
        self._temporary = temporary_name(path)
        self._open = True
        try:
            self._create()
        except OSError as error:
            remove(self._temporary)
            raise InputError(f"{path}: cannot write: {error.strerror}.") from error

    def _obstacle(self) -> str | None:
        """What lies under that name and must not be replaced."""
        return "it is a folder" if self.path.is_dir() else None

    def _create(self) -> None:
        """Make the temporary file, so that what forbids it is known at once."""
        self._temporary.touch()

    @abstractmethod
    def _write(self, frame: VideoFrame, item: Item) -> None:
        """Write one item, or raise OSError or FFmpegError."""

    @abstractmethod
    def _complete(self) -> None:
        """Write what is still held back, and close."""

    @abstractmethod
    def _discard(self) -> None:
        """Close, whatever may be missing."""

    def write(self, frame: VideoFrame, item: Item) -> None:
        """Write what belongs to `frame`.

        Args:
            frame: Gives number and time; its image is not looked at.
            item: What to write.
        """
        if not self._open:
            raise RuntimeError(f"{self.path}: is finished, nothing more can be written to it.")
        try:
            self._write(frame, item)
        except (OSError, FFmpegError) as error:
            raise InputError(f"{self.path}: cannot write: {error.strerror}.") from error

    def finish(self) -> None:
        """Complete the file and give it its name. May be called twice."""
        if not self._open:
            return
        try:
            self._complete()
            self._replace()
        except (OSError, FFmpegError) as error:
            self.abort()
            raise InputError(f"{self.path}: cannot write: {error.strerror}.") from error
        except BaseException:
            self.abort()
            raise
        self._open = False

    def _replace(self) -> None:
        self._temporary.replace(self.path)

    def abort(self) -> None:
        """Leave nothing, and an older file of that name as it was. May be called twice."""
        if not self._open:
            return
        self._open = False
        with suppress(OSError, FFmpegError):  # of what is thrown away
            self._discard()
        remove(self._temporary)

    def __enter__(self: Writer) -> Writer:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish, or abort when an exception leaves the block."""
        if error is None:
            self.finish()
        else:
            self.abort()
