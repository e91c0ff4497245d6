"""Faces that are known beforehand: a CSV file of boxes, or videos that are face crops already."""

import csv
import math
from pathlib import Path
from typing import Final

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import Detection, Image, check_image
from facemask.turned import TurnedBox, wrapped

EDGES: Final = ("left", "top", "right", "bottom")
COLUMNS: Final = ("frame", "face", *EDGES)


class CroppedFrames:
    """Faces of videos whose every frame is one face crop already."""

    def detect(self, image: Image) -> list[Detection]:
        """Return the whole image, RGB uint8 (H, W, 3), as one face."""
        return [Detection(face.box, 1.0) for face in self.faces(0, image).values()]

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:  # noqa: ARG002
        """Return the whole image as face 0."""
        height, width = check_image(image).shape[:2]
        return {0: TurnedBox(Box(0.0, 0.0, float(width), float(height)))}


class BoxesFile:
    """The faces of one video from a CSV file.

    The first line names the columns, in any order: `frame` (from 0), `left`, `top`, `right`,
    `bottom` (pixel edges of the face crop, a decimal point allowed; they may leave the frame)
    and, if a frame has several faces, `face` (a number from 0, the same for one person
    throughout). Of faces that are not upright, `roll` says by how many degrees each is turned
    clockwise (empty for 0); its box is then the one that it would have upright, turned about the
    box's centre. Other columns are passed over. Frames without a box have no face, such as those
    without a line; so the table of `facemask extract` is a file of boxes, too.

    Args:
        path: The CSV file.

    Raises:
        InputError: The file is missing, lacks a column, or a line does not make sense.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path = Path(path)
        self._frames: dict[int, dict[int, TurnedBox]] = {}
        for number, row in _rows(path):
            if not any(row.get(name) for name in COLUMNS[1:]):  # a frame without a face
                continue
            frame, face = (_whole(row.get(name, "0"), name, path, number) for name in COLUMNS[:2])
            box = _box([row[name] for name in EDGES], path, number)
            roll = _roll(row.get("roll", ""), path, number)
            faces = self._frames.setdefault(frame, {})
            if face in faces:
                hint = "" if "face" in row else "; add a column face where frames have several"
                raise InputError(f"{path}: line {number} is frame {frame}'s second box{hint}.")
            faces[face] = TurnedBox(box, roll)
        if not self._frames:
            raise InputError(f"{path}: no boxes found below the line of column names.")

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:
        """Return the boxes of a frame, with their rolls, by face.

        Raises:
            InputError: A box lies outside the frame.
        """
        height, width = check_image(image).shape[:2]
        faces = self._frames.get(frame, {})
        for box in faces.values():
            try:
                box.clipped(height, width)
            except InputError as error:
                raise InputError(f"{self._path}: frame {frame}: {error}") from error
        return faces

    def check_frames(self, count: int, hidden: int = 0) -> None:
        """Compare with the number of frames of the video.

        Args:
            count: Number of its frames that players show.
            hidden: Number of further frames, which its edit list hides.

        Raises:
            InputError: The file has boxes beyond the video's last frame.
        """
        last = max(self._frames)
        if hidden and last == count + hidden - 1:
            raise InputError(
                f"{self._path}: the video holds {count + hidden} frames, of which an edit list "
                f"hides {hidden}; the boxes seem to count them: number those that players show."
            )
        if last >= count:
            raise InputError(
                f"{self._path}: it has a box in frame {last}, but the video has {count} frames, "
                f"0 to {count - 1}: give the boxes of this video, frames counted from 0."
            )


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return every line that is not empty, with its number."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot read boxes: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a CSV file of boxes: it is not text.") from error
    reader = csv.reader(text.splitlines())
    names = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in ("frame", *EDGES) if name not in names]
    if missing:
        raise InputError(
            f"{path}: the first line names the columns {', '.join(names) or '(none)'}: expected "
            "frame, left, top, right, bottom and optionally face and roll; "
            f"missing: {', '.join(missing)}."
        )
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise InputError(
                f"{path}: line {reader.line_num} has {len(cells)} columns, expected {len(names)}."
            )
        rows.append((reader.line_num, dict(zip(names, map(str.strip, cells), strict=True))))
    return rows


def _whole(text: str, name: str, path: Path, line: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{path}: line {line}: {name} is {text!r}, expected 0, 1, 2, …")
    return int(text)


def _box(cells: list[str], path: Path, line: int) -> Box:
    try:
        box = Box(*(float(cell) for cell in cells))
    except ValueError as error:
        raise InputError(
            f"{path}: line {line}: a box is {', '.join(cells)}: expected four numbers."
        ) from error
    if not all(map(math.isfinite, box)):
        raise InputError(f"{path}: line {line}: a box is {', '.join(cells)}: expected pixels.")
    if box.width <= 0 or box.height <= 0:
        raise InputError(
            f"{path}: line {line}: the box is empty: left {box.left:g} to right {box.right:g}, "
            f"top {box.top:g} to bottom {box.bottom:g}."
        )
    return box


def _roll(text: str, path: Path, line: int) -> float:
    try:
        roll = float(text or 0)
    except ValueError:
        roll = math.nan
    if not math.isfinite(roll):
        raise InputError(
            f"{path}: line {line}: roll is {text!r}, expected degrees by which the face is turned "
            "clockwise, such as 90 or -12.5, or nothing for an upright one."
        )
    return wrapped(roll)
