"""CelebAMask-HQ and data like it: photographs with a label for every pixel.

Two layouts are known:

```
CelebA-HQ-img/0.jpg                             the official one: a file a part, what is not
CelebAMask-HQ-mask-anno/0/00000_l_eye.png …     seen has none
images/NAME.jpg                                 conversions: one image of ids
labels/NAME.png
```
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from facemask.data.annotated import Found
from facemask.data.face_parts import PARTS
from facemask.data.part_files import LabelledPhotograph, order_of
from facemask.errors import InputError
from facemask.files import read_lines
from facemask.suffixes import is_hidden, is_image, is_landmarks, some_names

_IMAGES: Final = "CelebA-HQ-img"
_ANNOTATIONS: Final = "CelebAMask-HQ-mask-anno"
_MAPPING: Final = "CelebA-HQ-to-CelebA-mapping.txt"
_IDENTITIES: Final = "identity_CelebA.txt"
_ID_IMAGES, _ID_LABELS = "images", "labels"


def find_celebamask(source: Path) -> Found | None:
    """List the photographs of a folder in one of the two layouts, or None where it has neither.

    Raises:
        InputError: Files are named otherwise than expected, nothing is there, or the order of the
            ids cannot be told.
    """
    if (source / _ANNOTATIONS).is_dir():
        return _find_parts(source)
    images, labels = source / _ID_IMAGES, source / _ID_LABELS
    if not (images.is_dir() and labels.is_dir() and any(map(_is_png, labels.iterdir()))):
        return None
    if any(is_landmarks(file) for file in images.iterdir()):
        return None  # stills, whatever the other folder holds
    return _find_ids(source)


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not is_hidden(path)


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by name without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the photographs of the labels.")
    pictures: dict[str, Path] = {}
    for file in sorted(filter(is_image, folder.iterdir())):
        if not is_hidden(file) and (first := pictures.setdefault(file.stem, file)) != file:
            raise InputError(f"{file}: has the name of {first.name}; remove one.")
    return pictures


def _find_ids(source: Path) -> Found:
    images = _pictures(source / _ID_IMAGES)
    labels = {file.stem: file for file in sorted((source / _ID_LABELS).iterdir()) if _is_png(file)}
    names = sorted(images.keys() & labels.keys())
    order = order_of([labels[name] for name in names], source / _ID_LABELS) if names else ""
    videos = [LabelledPhotograph(name, images[name], {"": labels[name]}, order) for name in names]
    return _found(source, videos, images, labels.keys(), f"ids in the order of {order}")


def _find_parts(source: Path) -> Found:
    images = _pictures(source / _IMAGES)
    parts: dict[str, dict[str, Path]] = {}
    for file in sorted(filter(_is_png, (source / _ANNOTATIONS).rglob("*"))):
        match = re.fullmatch(r"(\d+)_(\w+)", file.stem)
        if match is None or match[2] not in PARTS[1:]:
            raise InputError(
                f"{file}: not a part of CelebAMask-HQ; expected 00000_PART.png with one of "
                f"{', '.join(PARTS[1:])}."
            )
        name, part = str(int(match[1])), match[2]
        if (first := parts.setdefault(name, {}).setdefault(part, file)) != file:
            raise InputError(f"{file}: is the same part as {first}; remove one.")
    names = sorted(images.keys() & parts.keys())
    videos = [LabelledPhotograph(name, images[name], parts[name]) for name in names]
    return _found(source, videos, images, parts.keys(), "a file a part")


def _found(
    source: Path,
    videos: Sequence[LabelledPhotograph],
    images: dict[str, Path],
    labelled: Collection[str],
    said: str,
) -> Found:
    """Return what was found, with notes on what was not.

    Args:
        source: The folder.
        videos: Photographs with labels.
        images: All photographs.
        labelled: Names of all photographs with labels.
        said: How the labels are stored.
    """
    lonely = {
        "photographs without labels": sorted(images.keys() - labelled),
        "labels without a photograph": sorted(labelled - images.keys()),
    }
    notes = [f"Not used: {what}: {some_names(who)}." for what, who in lonely.items() if who]
    if not videos:
        raise InputError(f"{source}: no photograph with labels. {' '.join(notes)}".rstrip())
    subjects, note = _subjects(source, [video.name for video in videos])
    kind = f"CelebAMask-HQ ({said}): eyes, lips and inner mouth are labelled, the rest is open."
    return Found(sorted(videos, key=lambda video: video.name), [kind, *note, *notes], subjects)


def _subjects(source: Path, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return who each photograph of CelebA-HQ shows, as far as CelebA's files say it.

    They are both needed: `CelebA-HQ-to-CelebA-mapping.txt` says which picture of CelebA each is,
    and `identity_CelebA.txt`, which CelebA's authors hand out, who that shows.

    Returns:
        The subjects, none where nobody is known, and remarks for the summary.
    """
    mapping, identities = source / _MAPPING, source / _IDENTITIES
    if not mapping.is_file():
        return {}, []
    if not identities.is_file():
        return {}, [f"Every photograph counts as a subject of its own: no {_IDENTITIES}."]
    who = dict(_rows(identities, 2))
    subject_of: dict[str, str] = {}
    for index, _, original in _rows(mapping, 3)[1:]:
        if original in who:
            subject_of[index] = f"celeba-{who[original]}"
    unknown = [name for name in names if name not in subject_of]
    note = [f"Subjects of their own: {some_names(unknown)}."] if unknown else []
    return {name: subject_of.get(name, name) for name in names}, note


def _rows(path: Path, count: int) -> list[list[str]]:
    """Return the words of a text file's lines.

    Raises:
        InputError: A line has another number of words.
    """
    lines = read_lines(path, "the identities")
    rows = [line.split() for line in lines if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != count:
            raise InputError(f"{path}, line {number}: {len(row)} words, expected {count}.")
    return rows
