"""The parts of a report, and a report as Markdown and as one self-contained HTML page."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, TypeAlias

from facemask.report.csv_files import values_to_csv

_TEMPLATE: Final = "page.html.jinja"
Value: TypeAlias = str | int | float | bool | None

PAPER_NAMES: Final = {"skin": "FS", "lips": "OMT", "inner_mouth": "IMT", "background": "BG"}
"""The paper's names of classes: facial skin, outer mouth, inner mouth, background."""
NOTHING: Final = "–"
"""Cell of a table without a value."""


@dataclass(frozen=True)
class Table:
    """A table of a report and the CSV file beside it.

    Attributes:
        file: Name of its CSV file.
        caption: Its subject, one line.
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
        """Return the content of the CSV file, UTF-8."""
        return values_to_csv(self.csv_header, self.csv_rows)


@dataclass(frozen=True)
class Picture:
    """A figure of a report.

    Attributes:
        file: Name of its PNG file.
        caption: Its subject.
        alt: A description in words and numbers for readers who do not see it.
        png: The file's content.
    """

    file: str
    caption: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class Still:
    """A frame to click through on the page.

    Attributes:
        caption: Its name and scores.
        jpeg: A JPEG file.
    """

    caption: str
    jpeg: bytes


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        title: The heading.
        text: Sentences before tables and figures.
        tables: The tables.
        pictures: The figures.
        remarks: Sentences on parts that are left out, with the reason.
        folded: Whether the page shows it only when it is asked for.
        film: Frames to click through on the page, which take the place of the figures there.
    """

    title: str
    text: str
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    remarks: Sequence[str] = ()
    folded: bool = False
    film: Sequence[Still] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: The heading.
        facts: Short facts such as data and baseline, by name.
        sections: The sections, in order.
        summary: What was found, in plain words.
    """

    title: str
    facts: dict[str, str]
    sections: Sequence[Section]
    summary: Sequence[str] = ()

    def files(self) -> dict[str, bytes]:
        """Return the content of all files by name: both forms, tables and figures."""
        content = {"report.md": to_markdown(self).encode(), "report.html": to_html(self).encode()}
        for section in self.sections:
            content |= {table.file: table.to_csv() for table in section.tables}
            content |= {picture.file: picture.png for picture in section.pictures}
        return content


def to_html(page: Page) -> str:
    """Return the page with all pictures in it; it loads nothing from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    template = files("facemask.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(page=page)


def to_markdown(page: Page) -> str:
    """Return the page in Markdown; pictures are the PNG files beside it."""
    lines = [f"# {_plain(page.title)}", ""]
    lines += [_plain(" ".join(page.summary)), ""] if page.summary else []
    lines += [f"* {name}: {_plain(value)}" for name, value in page.facts.items()]
    for section in page.sections:
        lines += ["", f"## {section.title}", "", _plain(section.text)]
        for table in section.tables:
            lines += ["", *_markdown_table(table)]
        for picture in section.pictures:
            alt = _plain(picture.alt).replace("[", "(").replace("]", ")")
            lines += ["", f"![{alt}]({picture.file})", "", f"*{_plain(picture.caption)}*"]
        for remark in section.remarks:
            lines += ["", _plain(remark)]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_plain(cell) for cell in cells) + " |"

    rule = "| --- |" + (" --- |" if table.words else " ---: |") * (len(table.header) - 1)
    notes = [text for note in table.notes for text in ("", _plain(note))]
    return [f"**{_plain(table.caption)}**", "", line(table.header), rule,
            *map(line, table.rows), *notes]  # fmt: skip


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is; names of runs are whatever people chose."""
    for character in "\\`*_|<>":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def words(class_name: str) -> str:
    """Return a class's name as people read it.

    Examples:
        >>> words("inner_mouth")
        'inner mouth'
    """
    return class_name.replace("_", " ")


def percent(share: float, digits: int = 2) -> str:
    """Return a share in [0, 1] as the tables show it, in percent.

    Examples:
        >>> percent(0.54499), percent(float("nan"))
        ('54.50', '–')
    """
    return NOTHING if math.isnan(share) else f"{100 * share:.{digits}f}"


def points(share: float, digits: int = 2) -> str:
    """Return a difference in percentage points, with its sign.

    Examples:
        >>> points(0.0103), points(-0.00113, 3)
        ('+1.03', '−0.113')
    """
    return NOTHING if math.isnan(share) else f"{100 * share:+.{digits}f}".replace("-", "−")
