"""`facemask report`: tables and figures from records."""

from pathlib import Path
from typing import Final

from facemask import __version__
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.naming import counted
from facemask.plotting import check_matplotlib
from facemask.report.figures import examples_section, subjects_section
from facemask.report.page import Page, words
from facemask.report.record import AGREEMENT, RECORD
from facemask.report.runs import Comparison, load_runs
from facemask.report.tables import (
    consistency_section,
    positions_section,
    runs_section,
    scores_section,
    summary,
)
from facemask.report.verdict import limits

_FILES: Final = (
    "report.html", "report.md", "table9.csv", "table4.csv", "subjects.csv", "consistency.csv",
    "runs.csv", "figure5.png", "figure6.png",
)  # fmt: skip
"""All files that a report may write; an earlier report's that this one lacks are removed."""


def report(
    runs: list[str],
    *,
    baseline: str | None = None,
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
        baseline: The folder of the run that the others are compared with. Default: the first one.
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
    least_of = (("groups", groups, 2), ("examples", examples, 1), ("seed", seed, 0))
    for option, value, least in least_of:
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
    content = make_page(compared, groups, examples, seed, data).files()
    make_folder(folder)
    for name in _FILES:
        if name in content:
            write_atomic(folder / name, content[name])
        else:
            (folder / name).unlink(missing_ok=True)
    print(f"The report is in {folder / 'report.html'}.")


def make_page(runs: Comparison, groups: int, examples: int, seed: int, data: str | None) -> Page:
    """Return all that a report shows; see `report`."""
    record, table = runs.baseline.record, runs.baseline.table
    facts = {
        "Data": f"{record.data_root}, test side of {record.split}",
        "Scored": f"{counted(len(table), 'frame')} of {counted(runs.sequences(), 'sequence')}, "
        f"{counted(len(set(table.video.tolist())), 'video')} and "
        f"{counted(len(set(table.subject.tolist())), 'subject')}",
        **({"Labels": f"pseudo-landmarks: {AGREEMENT}"} if record.pseudo_landmarks else {}),
        "Region": record.region,
        "Classes": ", ".join(map(words, record.class_names)),
        "Fingerprint": record.fingerprint,
        **({"Baseline": runs.baseline.name} if runs.others else {}),
        "Written by": f"facemask {__version__}",
    }
    scores = scores_section(runs, groups, seed)
    sections = [
        scores,
        *([positions_section(runs)] if runs.others else []),
        subjects_section(runs),
        examples_section(runs, examples, data),
        consistency_section(runs),
        runs_section(runs),
    ]
    title = "Face masks: " + ", ".join(run.name for run in runs.runs)
    said = [*summary(runs), *limits(runs, scores.tables[0])]
    return Page(title, facts, sections, said)
