"""Folders of videos in the 300VW layout whose landmarks are a program's, and are labelled so.

```
PSEUDO_LANDMARKS.md           what this folder is, and its videos
subjects.csv                  video, subject (yours to edit: rows that are there stay)
no_face.txt                   frames without a face, for `facemask prepare --exclude`
001/vid.mp4
001/annot/000001.pts …        frames without a face have none
001/pseudo_landmarks.json     where they come from
```
"""

import csv
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from facemask.data.vw300_mask import PSEUDO
from facemask.errors import InputError, cause_of
from facemask.files import to_csv, write_atomic
from facemask.suffixes import is_hidden, some_names

MARKER: Final = "pseudo_landmarks.json"
NO_FACE: Final = "no_face.txt"
SUBJECTS: Final = "subjects.csv"

_NOTICE = """# Pseudo-landmarks

The .pts files below this folder were **not** marked by people: `facemask landmarks` made them with
dlib's face detector and 68-point predictor. A model trained on them learns dlib's opinion, and a
score against them is agreement with dlib, **not accuracy**: say so wherever you show one. The
predictor of the package face-recognition-models was trained on 300-W, whose terms exclude
commercial use.

| video | source | frames | with a face | predictor |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class PseudoVideo:
    """Origin of the landmarks of one video.

    Attributes:
        source: Name of the file that was annotated.
        sha256: Digest of its content, in hexadecimal.
        subject: Name of the person it shows, as it was given, or None.
        frames: Number of its frames.
        without_face: Frames without landmarks, counted from 1, ascending.
        predictor: Name of the predictor's file.
        facemask_version: Version that made them.
    """

    source: str
    sha256: str
    subject: str | None
    frames: int
    without_face: tuple[int, ...]
    predictor: str
    facemask_version: str


def check_only_pseudo(out: Path) -> None:
    """Check that a folder holds no annotations but pseudo-landmarks.

    Raises:
        InputError: It does, and the two must not be mixed up; it is a prepared data set, or holds
            other files and nothing of `facemask landmarks`; or its subjects.csv or a marker is
            damaged.
    """
    _subjects(out)
    ours = bool(read_videos(out)) or (out / PSEUDO).is_file()
    if (out / "data_splits").exists():
        raise InputError(f"{out}: holds a prepared data set; choose another folder.")
    for folder in sorted(out.iterdir()):
        annotated = (folder / "annot").is_dir() or any(folder.glob("vid.*"))
        if annotated and not (folder / MARKER).is_file():
            raise InputError(
                f"{folder}: was not written by `facemask landmarks`, and pseudo-landmarks must not "
                "be mixed with others; choose another folder."
            )
    others = [path.name for path in out.iterdir() if not is_hidden(path)]
    if others and not ours:
        raise InputError(
            f"{out}: holds other files, {some_names(sorted(others))}, and no pseudo-landmarks; "
            "choose a new folder, or an empty one."
        )


def read_videos(out: Path) -> dict[str, PseudoVideo]:
    """Return the videos of a folder by name, in order.

    Raises:
        InputError: A marker cannot be read.
    """
    videos = {}
    for marker in sorted(out.glob(f"*/{MARKER}"), key=lambda path: _order(path.parent.name)):
        try:
            content = json.loads(marker.read_bytes())
            content["without_face"] = tuple(
                frame for first, last in content["without_face"] for frame in range(first, last + 1)
            )
            videos[marker.parent.name] = PseudoVideo(**content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{marker}: is damaged or of another version, or cannot be read "
                f"({cause_of(error)}); remove its folder."
            ) from error
    return videos


def _order(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 0, name)


def add_video(folder: Path, video: PseudoVideo, out: Path) -> str:
    """Move a finished folder to the next free number of `out`.

    Args:
        folder: A folder below `out` with the video and its annotations.
        video: Content of its marker.
        out: Folder of the numbered folders.

    Returns:
        Its name there, such as 001.

    Raises:
        OSError: It cannot be written.
    """
    content = asdict(video) | {"without_face": ranges(video.without_face)}
    write_atomic(folder / MARKER, (json.dumps(content, indent=2) + "\n").encode())
    # a number whose folder was removed is not given away again: its subject is still listed
    names = [path.name for path in out.iterdir()] + [row["video"] for row in _subjects(out)[1]]
    taken = [int(taken_name) for taken_name in names if taken_name.isdecimal()]
    name = f"{max(taken, default=0) + 1:03d}"
    folder.rename(out / name)
    return name


def ranges(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and last of each run of consecutive numbers.

    Examples:
        >>> ranges([3, 4, 5, 9])
        [(3, 5), (9, 9)]
    """
    runs = []
    for _, run in itertools.groupby(enumerate(frames), key=lambda pair: pair[1] - pair[0]):
        numbers = [frame for _, frame in run]
        runs.append((numbers[0], numbers[-1]))
    return runs


def write_lists(out: Path) -> None:
    """Write the lists of a folder anew from its videos; rows of subjects.csv that exist stay.

    Raises:
        InputError: A marker or subjects.csv cannot be read, or a file cannot be written.
    """
    videos = read_videos(out)
    columns, rows = _subjects(out)
    subject_of = {row["video"]: row["subject"] for row in rows}
    seen: dict[str, str] = {}  # the same file is the same person, so that no split divides them
    for name, video in videos.items():
        if name not in subject_of:
            subject_of[name] = video.subject or seen.get(video.sha256) or name
            rows.append({"video": name, "subject": subject_of[name]})
        seen.setdefault(video.sha256, subject_of[name])
    table = [[row.get(column) or "" for column in columns] for row in rows]
    write_atomic(out / SUBJECTS, to_csv([columns, *table]))
    lines = [
        f"{name} {first}-{last}\n"
        for name, video in videos.items()
        for first, last in ranges(video.without_face)
    ]
    text = "# frames without a face: facemask prepare --exclude no_face.txt\n" + "".join(lines)
    write_atomic(out / NO_FACE, text.encode())
    entries = [
        f"| {name} | {video.source} | {video.frames} | "
        f"{video.frames - len(video.without_face)} | {video.predictor} |\n"
        for name, video in videos.items()
    ]
    write_atomic(out / PSEUDO, (_NOTICE + "".join(entries)).encode())


def _subjects(out: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return columns and rows of subjects.csv; no rows where it is missing."""
    path = out / SUBJECTS
    if not path.is_file():
        return ["video", "subject"], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), list(reader.fieldnames or [])
    if not {"video", "subject"} <= set(columns):
        raise InputError(f"{path}: expected a CSV file with the columns 'video' and 'subject'.")
    return columns, rows
