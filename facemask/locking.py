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
    file = _open(path)
    is_mine = file is None or _lock(file)
    while file is not None and is_mine and not _is_at(path, file):
        os.close(file)  # the one before removed it between the two calls
        file = _open(path)
        is_mine = file is None or _lock(file)
    try:
        yield is_mine
    finally:
        if file is not None:
            if is_mine:
                with suppress(OSError):
                    path.unlink()
            os.close(file)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # who writes there next will say why
        return None


def _lock(file: int) -> bool:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except OSError:
        return False
