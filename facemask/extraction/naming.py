"""What the results of each source are called."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from facemask.naming import LONGEST, distinct_names, with_digests

_GENERIC: Final = "vid"  # of all videos of the 300VW layout: their folders have the names


def source_names(sources: Sequence[str | int]) -> list[str]:
    """What the results of sources are called: alike in no two, whatever the order of the list.

    A file gives its name without the suffix, `vid.*` and a folder of pictures the folder's name, a
    camera its number. Where several have one name, each gets the shortest end of its path that
    tells it from the others: with the suffix, or with the folders above it.

    Args:
        sources: Paths and numbers of cameras, none of them twice.

    Examples:
        >>> source_names(["x/a.mp4", "y/a.mp4", "z/a_2.mp4", 0])
        ['x-a', 'y-a', 'a_2', 'camera0']
        >>> source_names(["a.avi", "a.mp4"])
        ['a.avi', 'a.mp4']
    """
    return distinct_names([list(_candidates(source)) for source in sources])


def _candidates(source: str | int) -> Iterator[str]:
    if isinstance(source, int):
        yield f"camera{source}"
        yield from with_digests(f"camera{source}", f"camera {source}")
        return
    # of two paths to one file either may be given
    path = Path(source).resolve()
    folders, stem, suffix = list(path.parts[1:-1]), path.stem, path.suffix
    if path.is_dir():
        stem, suffix = path.name, ""
    elif stem == _GENERIC and folders:
        stem, suffix = folders.pop(), f"-{stem}{suffix}"
    stem = stem or "root"
    yield stem
    for depth in range(len(folders) + 1):
        name = "-".join([*folders[len(folders) - depth :], stem])
        if len(os.fsencode(name + suffix)) > LONGEST:
            break
        yield from [name] if depth else []
        yield from [name + suffix] if suffix else []
    yield from with_digests(stem, str(path))
