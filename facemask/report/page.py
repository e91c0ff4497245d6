"""A report as Markdown and as one self-contained HTML page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from facemask.report.parts import Picture, Section, Table

_TEMPLATE: Final = "page.html.jinja"


@dataclass(frozen=True)
class Page:
    """What both forms show.

    Attributes:
        title: The heading.
        facts: What the report is about, by name.
        sections: What was found.
    """

    title: str
    facts: dict[str, str]
    sections: Sequence[Section]


def to_html(page: Page) -> str:
    """The page with all pictures in it; it loads nothing from elsewhere."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = _data_uri
    template = files("facemask.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(page=page)


def _data_uri(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()


def to_markdown(page: Page) -> str:
    """The page in Markdown; pictures are the PNG files beside it."""
    lines = [f"# {_plain(page.title)}", ""]
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
    """Text that Markdown shows as it is; names of runs are whatever people chose."""
    for character in "\\`*_|<>":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
