"""All that `facemask prepare` reads, found below a folder: the kind is known by what is there."""

from pathlib import Path

from facemask.data.annotated import Found
from facemask.data.celebamask import find_celebamask
from facemask.data.vw300 import find_videos
from facemask.errors import InputError


def find_annotated(source: Path) -> Found:
    """List the annotated videos and photographs below a folder.

    They are in a layout of CelebAMask-HQ (see `celebamask.py`), in that of 300VW, or stills with
    landmarks beside them (see `vw300.py`).

    Raises:
        InputError: The folder is missing or holds nothing of the kind, or its files contradict
            each other.
    """
    found = find_celebamask(source)
    if found is None:
        videos, notes = find_videos(source)
        found = Found([*videos], notes)
    for name in (video.name for video in found.videos):  # split files have a line a frame, in UTF-8
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{source}: {name!r} is not named in UTF-8; rename it.") from error
        if "\n" in name or "\r" in name:
            raise InputError(f"{source}: {name!r} has a line break in its name; rename it.")
    return found
