"""Lock files, which let one process at a time do a thing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold a lock file, which a process lets go of however it ends; yield False if another has it.

    Where there are no locks (Windows, some network file systems), nobody is kept out.

    Args:
        path: The lock file, in a folder that is there; removed afterwards.
    """
    file, is_mine = _claim(path)
    try:
        yield is_mine
    finally:
        if file is not None:
            if is_mine:
                with suppress(OSError):
                    path.unlink()
            os.close(file)


def _claim(path: Path) -> tuple[int | None, bool]:
    """Return the open lock file, or None where it cannot be, and whether nobody else has it."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # who writes there next will say why
            return None, True
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return file, False
        except (ImportError, OSError):
            pass
        with suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(file)):
                return file, True
        os.close(file)  # the one before removed it between the two calls
