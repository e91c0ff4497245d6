"""consistency.csv: temporal consistency of each sequence's predicted and true masks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from lightning_utilities.core.rank_zero import rank_zero_warn

from facemask.classes import IGNORE, OPEN
from facemask.data.vw300_mask import Frame, read_label
from facemask.errors import InputError
from facemask.files import read_image
from facemask.metrics import TemporalConsistency
from facemask.metrics.motion import Flow
from facemask.report.csv_files import read_csv, values_to_csv
from facemask.report.frame_table import FrameTable

TRUTH: Final = "truth_"
"""Prefix of the columns of the true masks."""
_KEYS: Final = ("video", "sequence", "subject", "frames")
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SequenceTable:
    """Columns of consistency.csv, one row a sequence.

    Attributes:
        video: The sequence's video, str (S,).
        sequence: Its number in the video, int64 (S,).
        subject: The person it shows, str (S,).
        frames: Number of scored frames, int64 (S,).
        values: The values of `TemporalConsistency` by name, and under `truth_<name>` those of the
            true masks; float64 (S,), NaN for no value.
    """

    video: npt.NDArray[np.str_]
    sequence: npt.NDArray[np.int64]
    subject: npt.NDArray[np.str_]
    frames: npt.NDArray[np.int64]
    values: dict[str, Floats]

    def __len__(self) -> int:
        """Number of sequences S."""
        return len(self.video)

    def mean(self, name: str) -> float:
        """Return the mean over the sequences that have the value; NaN where none has."""
        values = self.values.get(name, np.array([math.nan]))
        return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def sequence_consistency(
    table: FrameTable, frames: Mapping[str, Frame], labels: Path, flow: Flow
) -> SequenceTable:
    """Compute each sequence's temporal consistency from its pictures, label images and true masks.

    Only neighbouring frames are compared; a gap in a sequence is not bridged. A sequence whose
    frames are too small for the flow has no values, and a warning says so.

    Args:
        table: The scored frames.
        frames: Image and label file of each frame by its name.
        labels: Folder of the predicted label images, `<name>.png`.
        flow: See `TemporalConsistency`.

    Returns:
        One row a sequence, sorted by video and sequence.

    Raises:
        InputError: A file cannot be read.
    """
    rows: dict[tuple[str, int], list[int]] = {}
    for row in np.lexsort((table.frame, table.video)).tolist():
        rows.setdefault((str(table.video[row]), int(table.sequence[row])), []).append(row)
    values: dict[str, list[float]] = {}
    for (video, sequence), members in rows.items():
        predicted, true = (_metric(table, flow) for _ in range(2))
        gaps = np.flatnonzero(np.diff(table.frame[members]) != 1) + 1
        for stretch in np.split(table.name[members], gaps):
            names = [str(name) for name in stretch]
            pictures = [
                torch.from_numpy(read_image(frames[name].image)).permute(2, 0, 1) for name in names
            ]
            try:
                predicted.update(pictures, [_predicted(labels / f"{n}.png") for n in names])
                true.update(pictures, [_true(frames[name]) for name in names])
            except InputError as error:
                if "too small for the flow" not in str(error):
                    raise
                rank_zero_warn(f"No consistency of video {video}, sequence {sequence}: {error}")
                predicted, true = (_metric(table, flow) for _ in range(2))
                break
        for prefix, metric in (("", predicted), (TRUTH, true)):
            for name, value in metric.compute().items():
                values.setdefault(prefix + name, []).append(float(value))
    firsts = [members[0] for members in rows.values()]
    return SequenceTable(
        video=table.video[firsts],
        sequence=table.sequence[firsts],
        subject=table.subject[firsts],
        frames=np.array([len(members) for members in rows.values()], np.int64),
        values={name: np.array(column) for name, column in values.items()},
    )


def _metric(table: FrameTable, flow: Flow) -> TemporalConsistency:
    metric = TemporalConsistency(table.class_names, flow)
    metric.distributed_available_fn = lambda: False  # one process has all frames: wait for none
    # one frame counts nothing, but torchmetrics warns where nothing was handed over
    nothing = torch.zeros(4, 1, 1, dtype=torch.uint8)
    metric.update([nothing[:3]], nothing[3:])
    return metric


def _predicted(path: Path) -> torch.Tensor:
    label = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)  # not read_label: any number of classes
    if label is None:
        raise InputError(f"{path}: cannot read the label image; run `facemask test` again.")
    return torch.from_numpy(label)


def _true(frame: Frame) -> torch.Tensor:
    assert frame.label is not None  # a split file names one for each frame
    label = read_label(frame.label)
    return torch.from_numpy(np.where(label >= OPEN, IGNORE, label).astype(np.uint8))


def sequences_to_csv(table: SequenceTable) -> bytes:
    """Return the content of consistency.csv, UTF-8; no value is an empty cell."""
    columns = [*(getattr(table, key) for key in _KEYS), *table.values.values()]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return values_to_csv([*_KEYS, *table.values], rows)


def read_sequences(path: Path) -> SequenceTable:
    """Read consistency.csv.

    Raises:
        InputError: The file cannot be read, has other columns, or holds no numbers.
    """
    header, rows = read_csv(path)
    if tuple(header[: len(_KEYS)]) != _KEYS or len(header) == len(_KEYS):
        raise InputError(
            f"{path}: has not the columns of a consistency table; run `facemask test` again."
        )
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    try:
        return SequenceTable(
            video=np.array(columns["video"], np.str_),
            sequence=np.array([int(value) for value in columns["sequence"]], np.int64),
            subject=np.array(columns["subject"], np.str_),
            frames=np.array([int(value) for value in columns["frames"]], np.int64),
            values={
                name: np.array([float(value or "nan") for value in columns[name]], np.float64)
                for name in header[len(_KEYS) :]
            },
        )
    except ValueError as error:
        raise InputError(
            f"{path}: holds a value that is no number; run `facemask test` again."
        ) from error
