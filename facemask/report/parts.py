"""What a report is made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from facemask.files import to_csv

Value: TypeAlias = str | int | float | bool | None

SHORT_NAMES: Final = {
    "skin": "FS",
    "eyes": "Eyes",
    "lips": "OMT",
    "inner_mouth": "IMT",
    "background": "BG",
}
"""The paper's names of the classes: facial skin, outer mouth, inner mouth, background."""
NOTHING: Final = "–"
"""What a table shows where there is no value."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        file: Name of its CSV file.
        caption: What it shows, one line.
        header: Names of the columns as people read them.
        rows: Cells as people read them; the first one names the row.
        csv_header: Names of the columns in the CSV file.
        csv_rows: Its values; None and NaN are empty cells.
        notes: Sentences below the table.
        words: Whether the cells hold words, not numbers.
    """

    file: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    csv_header: Sequence[str]
    csv_rows: Sequence[Sequence[Value]]
    notes: Sequence[str] = ()
    words: bool = False

    def to_csv(self) -> bytes:
        """Content of the CSV file, UTF-8."""
        rows = (["" if _is_nothing(v) else _plain(v) for v in row] for row in self.csv_rows)
        return to_csv([self.csv_header, *rows])


@dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes:
        file: Name of its PNG file.
        caption: What it shows.
        alt: The same for who does not see it: what there is to see, in words and figures.
        png: The file's content.
    """

    file: str
    caption: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        title: The heading.
        text: Sentences before tables and figures.
        tables: The tables.
        pictures: The figures.
        remarks: What could not be shown, and why.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    remarks: Sequence[str] = ()


def percent(share: float, digits: int = 2) -> str:
    """A share as the tables show it.

    Examples:
        >>> percent(0.54499), percent(float("nan"))
        ('54.50', '–')
    """
    return NOTHING if math.isnan(share) else f"{100 * share:.{digits}f}"


def points(share: float, digits: int = 2) -> str:
    """A difference in percentage points, with its sign.

    Examples:
        >>> points(0.0103), points(-0.00113, 3)
        ('+1.03', '−0.113')
    """
    return NOTHING if math.isnan(share) else f"{100 * share:+.{digits}f}".replace("-", "−")


def _is_nothing(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Value) -> Value:
    return f"{value:.7g}" if isinstance(value, float) else value
