"""Reading and writing the CSV files of records and reports."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from facemask.errors import InputError
from facemask.files import to_csv


def values_to_csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> bytes:
    """Return the content of a CSV file; None and NaN are empty cells, floats have 7 digits."""
    return to_csv([header, *(map(_cell, row) for row in rows)])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.7g}"
    return value


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read the header and the rows of a CSV file of a record.

    Raises:
        InputError: It cannot be read, is empty, or a row has another number of values.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise InputError(f"{path}: cannot read it: {reason}; run `facemask test` again.") from error
    if not rows:
        raise InputError(f"{path}: is empty; run `facemask test` again.")
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}, line {line}: holds {len(row)} values, expected {len(rows[0])}; run "
                "`facemask test` again."
            )
    return rows[0], rows[1:]
