"""record.json: what a run is, and on which data it was scored."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from facemask.errors import InputError
from facemask.files import sha256_of

FORMAT: Final = 1
"""Changes when a reader of the older files could misread the newer ones."""


@dataclass(frozen=True)
class Record:
    """What record.json holds.

    Attributes:
        fingerprint: Which frames and true masks the run was scored on, see `fingerprint`.
        frames: Number of frames.
        data_root: The data set's folder, an absolute path.
        split: Its split.
        class_names: Names of the classes by id.
        region: What the model looks at, such as "face".
        checkpoint: The checkpoint as it was given, or None for a model without one.
        facemask_version: Version that wrote the record.
        network: What the network is, see `MaskModule.describe_network`.
        metrics: Values that the test logged, such as miou, in [0, 1]; None for no value.
        flow: Optical flow of the temporal consistency, or None where it was not computed.
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


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "fingerprint": str,
    "frames": int,
    "data_root": str,
    "split": str,
    "class_names": list,
    "region": str,
    "checkpoint": (str, type(None)),
    "facemask_version": str,
    "network": dict,
    "metrics": dict,
    "flow": (str, type(None)),
}


def fingerprint(labels: Mapping[str, Path]) -> str:
    """SHA-256 over the names and label files of the scored frames, in sorted order.

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
    """Content of record.json; NaN becomes null, which JSON knows."""
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
    for field in fields(Record):
        if not isinstance(content.get(field.name, ...), _TYPES[field.name]):
            raise InputError(
                f"{path}: entry {field.name!r} is missing or of another type; run "
                "`facemask test` again."
            )
    values = {field.name: content[field.name] for field in fields(Record)}
    return Record(**values | {"class_names": tuple(map(str, values["class_names"]))})
