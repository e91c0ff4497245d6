"""Folders that a command has made, which go again where nothing comes to lie in them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_MADE: Final[list[Path]] = []
"""Folders made by this process, the outer before the inner."""


def note_made(folders: Iterable[Path]) -> None:
    """Remember folders that were made just now, the outer before the inner."""
    _MADE.extend(folder.absolute() for folder in folders)


@contextmanager
def empty_folders_removed() -> Iterator[None]:
    """Remove the noted folders that are empty where an exception ends the block."""
    before = len(_MADE)
    try:
        yield
    except BaseException:
        for folder in reversed(_MADE[before:]):
            with suppress(OSError):  # something is in it
                folder.rmdir()
        raise
    finally:
        del _MADE[before:]
