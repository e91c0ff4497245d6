"""What tests of writers share."""

import os
from pathlib import Path


def everything_in(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too."""
    return sorted(os.listdir(folder))  # noqa: PTH208


def number_of_nobody() -> int:
    """The number of a process that has ended."""
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    return process
