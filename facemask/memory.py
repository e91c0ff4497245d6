"""Memory of a process whose threads take large blocks and give them back all the time."""

import os
import sys
from collections.abc import Mapping
from typing import Final

# of glibc's malloc.h, and their values for `mallopt`
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE: Final = 32 * 1024 * 1024
_KEPT: Final = 256 * 1024 * 1024
_GIVEN: Final = (
    "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"
)  # fmt: skip
"""Variables by which users say how memory is handed out."""


def share_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let all threads of this process take memory from one place, where C's library is glibc.

    glibc gives threads places of their own, so that what one thread gave back is not there for the
    others. That is for programs with many small blocks; ours are large. Blocks of 32 MB and more go
    back to the system at once, of smaller ones what exceeds 256 MB: it clears each page that is
    asked for again. For programs, not for libraries; call it before threads begin.

    Args:
        environment: Variables of the process; a user's own choice stays.

    Returns:
        Whether it was done.
    """
    if sys.platform != "linux" or any(name in environment for name in _GIVEN):
        return False
    import ctypes  # commands begin without it

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another library, such as musl
        return False
    values = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGE, _M_TRIM_THRESHOLD: _KEPT}
    return all(mallopt(*one) for one in values.items())
