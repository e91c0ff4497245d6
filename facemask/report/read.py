"""Reading what `facemask test` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.metrics import FrameCounts
from facemask.report.frame_table import FrameTable, read_table
from facemask.report.record import Record, read_record
from facemask.report.sequence_table import SequenceTable, read_sequences

RECORD: Final = "record.json"
FRAMES: Final = "frames.csv"
CONSISTENCY: Final = "consistency.csv"
LABELS: Final = "labels"
TEST: Final = "test"
"""The folder of a test inside that of its training."""


@dataclass(frozen=True, eq=False)
class Run:
    """One test of one model.

    Attributes:
        folder: Where its files lie.
        record: What the run is.
        table: Its frames.
        counts: Their counts, for `facemask.metrics`.
        consistency: Temporal consistency of its sequences, or None where it was not computed.
    """

    folder: Path
    record: Record
    table: FrameTable
    counts: FrameCounts
    consistency: SequenceTable | None

    def label_file(self, name: str) -> Path:
        """The predicted label image of a frame; missing where labels were not kept."""
        return self.folder / LABELS / f"{name}.png"


def find_run(folder: Path) -> Path:
    """The folder that holds a record: the one given, or `test` inside it.

    Raises:
        InputError: There is no record.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a `facemask test`.")
    for place in (folder, folder / TEST):
        if (place / RECORD).is_file():
            return place
    for place in (folder, folder / TEST):
        if (place / FRAMES).is_file():
            raise InputError(
                f"{place}: the record is incomplete ({RECORD} is missing): the test was stopped "
                "while it wrote; run `facemask test` again."
            )
    raise InputError(
        f"{folder}: holds no record ({RECORD}); run `facemask test` first, or give the folder "
        "that it wrote."
    )


def read_run(folder: Path | str) -> Run:
    """Read the record of one run.

    Args:
        folder: The folder that `facemask test` wrote, or the one of the training above it.

    Raises:
        InputError: A file is missing, was written by something else, is incomplete, or holds rows
            that do not add up.
    """
    folder = find_run(Path(folder))
    record = read_record(folder / RECORD)
    table = read_table(folder / FRAMES, record.class_names)
    if len(table) == 0:
        raise InputError(f"{folder / FRAMES}: holds no frame; run `facemask test` again.")
    if len(table) != record.frames:
        raise InputError(
            f"{folder / FRAMES}: holds {len(table)} frames, but {RECORD} says {record.frames}; run "
            "`facemask test` again."
        )
    other = [region for region in table.region.tolist() if region != record.region]
    if other:
        raise InputError(
            f"{folder / FRAMES}: holds region {other[0]!r}, but {RECORD} says {record.region!r}; "
            "run `facemask test` again."
        )
    try:
        counts = table.counts()
    except InputError as error:
        raise InputError(f"{folder / FRAMES}: {error}") from error
    consistency = None if record.flow is None else read_sequences(folder / CONSISTENCY)
    return Run(folder, record, table, counts, consistency)
