"""Lists that go with a data set: frames to leave out, and the person that a video shows."""

import csv
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.files import read_lines

_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"(?:[\s,]+(\S+))?\s*(?:#.*)?')
_NAMED: Final = re.compile(r"(.+?)[\s,]+([0-9]+(?:-[0-9]+)?)")
_FRAMES: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def read_exclusions(path: Path, videos: Collection[str] = ()) -> dict[str, set[int] | None]:
    """Read a list of frames to leave out.

    One entry a line, `#` starts a comment: `VIDEO` leaves out the whole video, `VIDEO FRAME` one
    frame, `VIDEO FIRST-LAST` a range, both ends included. Frames count from 1. A name with blanks,
    commas or `#` is known from `videos`, or stands in quotes (`"my clip" 3`; a quote in it is
    doubled).

    Args:
        path: The file.
        videos: The names that there are.

    Returns:
        The frames to leave out of each video; None means all.

    Raises:
        InputError: The file is missing, a line has another form, or can be read in two ways.
    """
    excluded: dict[str, set[int] | None] = {}
    for number, line in enumerate(read_lines(path, "the exclusion list"), start=1):
        where = f"{path}, line {number}: {line.strip()!r}"
        video, wanted = _entry(line.strip(), videos, where)
        if video is None:
            continue
        if wanted is None:
            excluded[video] = None
        elif numbers := _FRAMES.fullmatch(wanted):
            frames = excluded.setdefault(video, set())
            if frames is not None:
                frames.update(range(int(numbers[1]), int(numbers[2] or numbers[1]) + 1))
        else:
            raise InputError(f"{where} is not 'VIDEO', 'VIDEO FRAME' or 'VIDEO FIRST-LAST'.")
    return excluded


def _entry(line: str, videos: Collection[str], where: str) -> tuple[str | None, str | None]:
    """Return the video and the frames that a line names, each None where it names none."""
    if not line or line.startswith("#"):
        return None, None
    if quoted := _QUOTED.fullmatch(line):
        return quoted[1].replace('""', '"'), quoted[2]
    found: set[tuple[str, str | None]] = set()
    for end in [len(line), *(match.start() for match in re.finditer("#", line))]:
        text = line[:end].strip()  # with and without what may be a comment
        if text in videos:
            found.add((text, None))
        if (named := _NAMED.fullmatch(text)) and named[1] in videos:
            found.add((named[1], named[2]))
    if len(found) > 1:
        raise InputError(f"{where} can be read in two ways; put the video's name in quotes.")
    if found:
        return found.pop()
    words = line.partition("#")[0].replace(",", " ").split()
    if len(words) > 2:
        raise InputError(
            f"{where} is not 'VIDEO', 'VIDEO FRAME' or 'VIDEO FIRST-LAST', or there is no video of "
            "that name."
        )
    return words[0], words[1] if len(words) > 1 else None


def read_subjects(path: Path, videos: Sequence[str]) -> dict[str, str]:
    """Read the subject of each video from a CSV file with the columns video, subject.

    Raises:
        InputError: The file or a column is missing, it does not name every video, or gives one two
            subjects.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot read the subjects: {error}.") from error
    if not rows or not {"video", "subject"} <= rows[0].keys():
        raise InputError(f"{path}: expected a CSV file with the columns 'video' and 'subject'.")
    subjects: dict[str, str] = {}
    for row in rows:
        if None in row:  # more cells than columns
            raise InputError(
                f"{path}: the row of video {row['video']!r} holds more values than columns: put a "
                "name with a comma in quotes."
            )
        if subjects.setdefault(row["video"], row["subject"]) != row["subject"]:
            raise InputError(f"{path}: video {row['video']!r} has two subjects; give it one.")
    missing = [video for video in videos if not (subjects.get(video) or "").strip()]
    if missing:
        raise InputError(f"{path}: no subject for video {missing[0]!r} ({len(missing)} in all).")
    return {video: subjects[video] for video in videos}
