"""Records of tests: record.json, which says what a run is, and all files that belong to it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_origin, get_type_hints

import numpy as np

from facemask.errors import InputError
from facemask.files import sha256_of
from facemask.metrics import FrameCounts
from facemask.report.frame_table import FrameTable, read_table
from facemask.report.sequence_table import SequenceTable, read_sequences

RECORD: Final = "record.json"
FRAMES: Final = "frames.csv"
CONSISTENCY: Final = "consistency.csv"
LABELS: Final = "labels"
TEST: Final = "test"
"""The folder of a test inside that of its training."""
AGREEMENT: Final = "scores are agreement with dlib, not accuracy"
"""What scores are where labels follow pseudo-landmarks."""
FORMAT: Final = 1
"""Version of the format, raised when readers of older files could misread newer ones."""


@dataclass(frozen=True)
class Record:
    """Content of record.json: description of a test.

    Attributes:
        fingerprint: Hash of the scored frames and true masks, see `fingerprint`.
        frames: Number of frames.
        data_root: The data set's folder, an absolute path.
        split: Its split.
        class_names: Names of the classes by id.
        region: Region that the model looks at, such as "face".
        checkpoint: The checkpoint as it was given, or None for a model without one.
        facemask_version: Version that wrote the record.
        network: Description of the network, see `MaskModule.describe_network`.
        metrics: Values that the test logged, such as miou, in [0, 1]; None for no value.
        flow: Optical flow of the temporal consistency, or None where it was not computed.
        pseudo_landmarks: Whether the true masks follow landmarks of a program, so that scores are
            agreement with it, not accuracy.
    """

    fingerprint: str
    frames: int
    data_root: str
    split: str
    class_names: tuple[str, ...]
    region: str
    checkpoint: str | None
    facemask_version: str
    network: dict[str, Any]
    metrics: dict[str, float | None]
    flow: str | None
    pseudo_landmarks: bool = False


def fingerprint(labels: Mapping[str, Path]) -> str:
    """Return the SHA-256 over names and label files of the scored frames, in sorted order.

    Two runs on the same frames with the same masks agree; others do not.

    Args:
        labels: Label file of each frame by the frame's name.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: A label file cannot be read.
    """
    total = hashlib.sha256()
    for name in sorted(labels):
        # digests have one length, so that no two lists of files give the same bytes
        content = bytes.fromhex(sha256_of(labels[name]))
        total.update(hashlib.sha256(name.encode()).digest() + content)
    return total.hexdigest()


def record_to_json(record: Record) -> bytes:
    """Return the content of record.json; NaN becomes null, which JSON knows."""
    content = {"facemask_record": FORMAT} | asdict(record)
    content["metrics"] = {
        name: None if value is None or math.isnan(value) else value
        for name, value in record.metrics.items()
    }
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def read_record(path: Path) -> Record:
    """Read record.json.

    Raises:
        InputError: The file cannot be read, was written by something else or by another version,
            or an entry is missing or of another type.
    """
    try:
        content: object = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot read it: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON; run `facemask test` again.") from error
    if not isinstance(content, dict) or "facemask_record" not in content:
        raise InputError(f"{path}: was not written by `facemask test`; give the folder of a test.")
    if content["facemask_record"] != FORMAT:
        raise InputError(
            f"{path}: is a record of format {content['facemask_record']!r}, this facemask reads "
            f"{FORMAT}; run `facemask test` again."
        )
    content.setdefault("pseudo_landmarks", False)  # files were written before there was that
    values = {field.name: content.get(field.name, ...) for field in fields(Record)}
    if isinstance(values["class_names"], list):
        values["class_names"] = tuple(map(str, values["class_names"]))
    for name, hint in get_type_hints(Record).items():
        kind = hint if isinstance(hint, UnionType) else get_origin(hint) or hint
        if not isinstance(values[name], kind):
            raise InputError(
                f"{path}: entry {name!r} is missing or of another type; run `facemask test` again."
            )
    return Record(**values)


@dataclass(frozen=True, eq=False)
class Run:
    """Recorded test of a model.

    Attributes:
        folder: Folder of its files.
        record: Description of the run.
        table: Its frames, sorted by name.
        counts: Their counts, for `facemask.metrics`.
        consistency: Temporal consistency of its sequences, or None where it was not computed.
        name: Its name in tables and figures.
    """

    folder: Path
    record: Record
    table: FrameTable
    counts: FrameCounts
    consistency: SequenceTable | None
    name: str = ""

    def label_file(self, name: str) -> Path:
        """Return the path of a frame's predicted label image, missing where none were kept."""
        return self.folder / LABELS / f"{name}.png"


def find_run(folder: Path) -> Path:
    """Return the folder that holds a record: the one given, or `test` inside it.

    Raises:
        InputError: There is no record.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a `facemask test`.")
    places = (folder, folder / TEST)
    for place in places:
        if (place / RECORD).is_file():
            return place
    for place in places:
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
    table = table.take(np.argsort(table.name))
    try:
        counts = table.counts()
    except InputError as error:
        raise InputError(f"{folder / FRAMES}: {error}") from error
    consistency = None if record.flow is None else read_sequences(folder / CONSISTENCY)
    return Run(folder, record, table, counts, consistency)
