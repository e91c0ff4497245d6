"""frames.csv: pixel counts of each scored frame, and the frame's place."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.data.vw300_mask import parse_stem, sequence_id
from facemask.errors import InputError
from facemask.metrics import FrameCounts
from facemask.metrics.confusion import iou_from_counts, mean_iou
from facemask.report.csv_files import read_csv, values_to_csv

Integers: TypeAlias = npt.NDArray[np.int64]
Strings: TypeAlias = npt.NDArray[np.str_]

PLACE_COLUMNS: Final = (
    "name", "video", "frame", "subject", "sequence", "clip", "position", "height", "width",
    "region",
)  # fmt: skip
TEXT_COLUMNS: Final = ("name", "video", "subject", "clip", "region")
COUNTS: Final = ("intersection", "union", "truth", "prediction")


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Columns of frames.csv, one row a scored frame; checked on creation.

    Attributes:
        class_names: Names of the C classes by id, background first.
        name: File stem of each frame, such as 001_000001; str (F,), each once.
        video: Its video, str (F,).
        frame: Its number in the video, from 1; int64 (F,).
        subject: The person it shows, str (F,).
        sequence: Its second in the video, (frame - 1) // 30; int64 (F,).
        clip: Its clip, named by the stem of the clip's first frame; str (F,).
        position: Its place in the clip, from 0; int64 (F,).
        height: Height of the frame's label image in pixels, int64 (F,): the face crop's, or that
            of a region's box in it.
        width: Its width in pixels, int64 (F,).
        region: Region that the model looked at, such as "face"; str (F,).
        intersection: Pixels that truth and prediction give to each class, int64 (F, C). Pixels
            whose truth is 255 are not counted, here and below; a class of which no true mask says
            for certain where it is has 0 everywhere.
        union: Pixels that either gives to it, int64 (F, C).
        truth: Pixels of the class in the true mask, int64 (F, C).
        prediction: Pixels of the class in the predicted mask, int64 (F, C).

    Raises:
        InputError: The columns differ in length, a frame occurs twice, or a row does not add up.
    """

    class_names: tuple[str, ...]
    name: Strings
    video: Strings
    frame: Integers
    subject: Strings
    sequence: Integers
    clip: Strings
    position: Integers
    height: Integers
    width: Integers
    region: Strings
    intersection: Integers
    union: Integers
    truth: Integers
    prediction: Integers

    def __post_init__(self) -> None:
        """Check all rows."""
        for column in PLACE_COLUMNS:
            if getattr(self, column).shape != (len(self),):
                raise InputError(f"column {column!r} has not one value a frame.")
        for column in COUNTS:
            if getattr(self, column).shape != (len(self), len(self.class_names)):
                raise InputError(f"the columns {column}_… are not one a class and frame.")
        names, number = np.unique(self.name, return_counts=True)
        if (number > 1).any():
            raise InputError(f"frame {names[number > 1][0]} occurs more than once.")
        for reason, wrong in self._contradictions():
            if wrong.any():
                raise InputError(f"the row of frame {self.name[np.argmax(wrong)]} {reason}.")

    def _contradictions(self) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        counts = np.stack([getattr(self, column) for column in COUNTS])  # (4, F, C)
        smaller = np.minimum(self.truth, self.prediction)
        total = self.truth + self.prediction - self.intersection
        rows = zip(self.name.tolist(), self.video.tolist(), self.frame.tolist(), strict=True)
        misplaced = [parse_stem(name) != (video, frame) for name, video, frame in rows]
        whole = bool(self.union.any(axis=0).all())  # no class is left out of the counts
        seconds = np.array([sequence_id(frame) for frame in self.frame.tolist()], np.int64)
        return [
            ("holds a negative number of pixels", (counts < 0).any(axis=(0, 2))),
            (
                "does not add up: an intersection is larger than truth or prediction",
                (self.intersection > smaller).any(axis=1),
            ),
            (
                "does not add up: a union is not truth + prediction - intersection",
                (self.union != total).any(axis=1),
            ),
            (
                "does not add up: truth and prediction hold different numbers of pixels",
                whole & (self.truth.sum(axis=1) != self.prediction.sum(axis=1)),
            ),
            (
                "counts more pixels than height × width",
                self.truth.sum(axis=1) > self.height * self.width,
            ),
            ("has a negative position", self.position < 0),
            ("is not that of the video and frame its name says", np.array(misplaced, np.bool_)),
            ("has another sequence than (frame - 1) // 30", self.sequence != seconds),
        ]

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.name)

    def counts(self) -> FrameCounts:
        """Return the counts, for `facemask.metrics`."""
        return FrameCounts(
            self.intersection, self.union, self.video, self.frame, self.sequence, self.position
        )

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "FrameTable":
        """Return some rows, in that order."""
        columns = (field.name for field in fields(self) if field.name != "class_names")
        return FrameTable(self.class_names, *(getattr(self, column)[rows] for column in columns))

    def frame_miou(self) -> npt.NDArray[np.float64]:
        """Return each frame's mIoU over the foreground classes that truth or prediction hold.

        Returns:
            float64 (F,) in [0, 1]; NaN for a frame without any.
        """
        return mean_iou(self.intersection, self.union)

    def iou(self) -> npt.NDArray[np.float64]:
        """Return the IoU of each class over all frames together (Eq. 2).

        Returns:
            float64 (C,) in [0, 1]; NaN for a class that neither occurs nor is predicted.
        """
        return iou_from_counts(self.intersection.sum(axis=0), self.union.sum(axis=0))

    def miou(self) -> float:
        """Return the mean foreground IoU over all frames together, in [0, 1] or NaN."""
        return float(mean_iou(self.intersection.sum(axis=0), self.union.sum(axis=0)))


def columns_of(class_names: Sequence[str]) -> list[str]:
    """Return the header of frames.csv.

    Examples:
        >>> columns_of(["background", "skin"])[9:12]
        ['region', 'intersection_background', 'intersection_skin']
    """
    return [*PLACE_COLUMNS, *(f"{count}_{name}" for count in COUNTS for name in class_names)]


def table_to_csv(table: FrameTable) -> bytes:
    """Return the content of frames.csv, UTF-8."""
    columns = [getattr(table, column).tolist() for column in PLACE_COLUMNS]
    for count in COUNTS:
        columns += getattr(table, count).T.tolist()
    return values_to_csv(columns_of(table.class_names), zip(*columns, strict=True))


def read_table(path: Path, class_names: Sequence[str]) -> FrameTable:
    """Read frames.csv.

    Args:
        path: The file.
        class_names: The classes that it should hold.

    Raises:
        InputError: The file cannot be read, has other columns, a count is no whole number, or a
            row does not add up.
    """
    header, rows = read_csv(path)
    expected = columns_of(class_names)
    if header != expected:
        missing = [column for column in expected if column not in header]
        raise InputError(
            f"{path}: has not the columns of a record of {', '.join(class_names)}"
            + (f": {missing[0]!r} is missing" if missing else "")
            + "; run `facemask test` again."
        )
    values: dict[str, Any] = {
        column: np.array([row[i] for row in rows], np.str_)
        if column in TEXT_COLUMNS
        else _integers(path, column, [row[i] for row in rows])
        for i, column in enumerate(expected)
    }
    counts = {
        count: np.array([values[f"{count}_{name}"] for name in class_names], np.int64).T
        for count in COUNTS
    }
    places = {column: values[column] for column in PLACE_COLUMNS}
    try:
        return FrameTable(tuple(class_names), **places, **counts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _integers(path: Path, column: str, values: Sequence[str]) -> Integers:
    try:
        return np.array([int(value) for value in values], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: column {column!r} holds a value that is no whole number; run "
            "`facemask test` again."
        ) from error
