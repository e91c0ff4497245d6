"""`facemask report`: tables and figures from records."""

import json
from pathlib import Path
from typing import Final

from facemask import __version__
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.plotting import check_matplotlib
from facemask.report.consistency import consistency_section
from facemask.report.examples import examples_section
from facemask.report.page import Page, to_html, to_markdown
from facemask.report.parts import Section, Table
from facemask.report.read import RECORD
from facemask.report.runs import Comparison, load_runs
from facemask.report.scores import positions_section, scores_section
from facemask.report.subjects import subjects_section

_FILES: Final = (
    "report.html", "report.md", "table9.csv", "table4.csv", "subjects.csv", "consistency.csv",
    "runs.csv", "figure5.png", "figure6.png",
)  # fmt: skip
"""All that a report may write; what an earlier one left and this one does not write is removed."""


def report(
    runs: list[str],
    *,
    baseline: str,
    out: str,
    names: list[str] | None = None,
    data: str | None = None,
    groups: int = 10,
    examples: int = 6,
    seed: int = 0,
) -> None:
    """Compare test runs: the paper's tables and figures as HTML, Markdown, CSV and PNG.

    Everything comes from what `facemask test` recorded; no model is run.

    Args:
        runs: Folders that `facemask test` wrote, such as runs/fcn.
        baseline: The folder of the run that the others are compared with.
        out: Folder to write report.html, report.md, the tables (CSV) and the figures (PNG) to.
        names: What to call the runs, in their order; the baseline first where it is not among
            them. Default: the folders' names.
        data: The data set's folder, where it is no longer where the test found it.
        groups: Groups of sequences of the significance test (10 in the paper).
        examples: Number of frames in the figure of examples.
        seed: Decides the groups and the bootstrap.

    Raises:
        InputError: A record is missing or damaged, the runs are about different data, an option
            is out of range, matplotlib is not installed, or the folder cannot be written to.
    """
    for option, value, least in (
        ("groups", groups, 2),
        ("examples", examples, 1),
        ("seed", seed, 0),
    ):
        if value < least:
            raise InputError(f"{option} is {value}, expected at least {least}.")
    folder = Path(out)
    for mark in (RECORD, "data_splits"):
        if (folder / mark).exists():
            raise InputError(
                f"{folder}: holds a {'test' if mark == RECORD else 'data set'}, whose files a "
                "report would overwrite; choose another folder."
            )
    check_matplotlib()
    compared = load_runs(runs, baseline, names)
    page = make_page(compared, groups, examples, seed, data)
    make_folder(folder)
    _write(page, folder)
    print(f"The report is in {folder / 'report.html'}.")


def make_page(runs: Comparison, groups: int, examples: int, seed: int, data: str | None) -> Page:
    """All that a report shows; see `report`."""
    record, table = runs.baseline.run.record, runs.baseline.table
    facts = {
        "Data": f"{record.data_root}, test side of {record.split}",
        "Scored": f"{len(table)} frames of {runs.sequences()} sequences, "
        f"{len(set(table.video.tolist()))} videos and {len(set(table.subject.tolist()))} subjects",
        "Region": record.region,
        "Classes": ", ".join(record.class_names),
        "Fingerprint": record.fingerprint,
        "Baseline": runs.baseline.name,
        "Written by": f"facemask {__version__}",
    }
    sections = [
        scores_section(runs, groups, seed),
        positions_section(runs),
        subjects_section(runs),
        examples_section(runs, examples, data),
        consistency_section(runs),
        _runs_section(runs),
    ]
    return Page("Face masks: " + ", ".join(run.name for run in runs.runs), facts, sections)


def _runs_section(runs: Comparison) -> Section:
    """Where each run comes from."""
    header = ["run", "folder", "checkpoint", "network", "facemask"]
    rows = []
    for run in runs.runs:
        record = run.run.record
        network = ", ".join(
            f"{key} {value if isinstance(value, (str, int, float)) else json.dumps(value)}"
            for key, value in record.network.items()
        )
        checkpoint = record.checkpoint or "none"
        rows.append([run.name, str(run.run.folder), checkpoint, network, record.facemask_version])
    table = Table(
        file="runs.csv",
        caption="What was tested.",
        header=["Run", "Folder", "Checkpoint", "Network", "facemask"],
        rows=rows,
        csv_header=header,
        csv_rows=rows,
        words=True,
    )
    return Section("Runs", "All were scored on the same frames and true masks.", [table])


def _write(page: Page, folder: Path) -> None:
    content = {"report.md": to_markdown(page).encode(), "report.html": to_html(page).encode()}
    for section in page.sections:
        content |= {table.file: table.to_csv() for table in section.tables}
        content |= {picture.file: picture.png for picture in section.pictures}
    for name in _FILES:
        if name in content:
            write_atomic(folder / name, content[name])
        else:
            (folder / name).unlink(missing_ok=True)
