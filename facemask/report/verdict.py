"""Sentences on what a test tells: whether one model is better than another, and of whom."""

import math
from pathlib import Path
from typing import Final

from facemask.data.vw300_mask import read_split
from facemask.errors import InputError
from facemask.naming import counted
from facemask.report.page import Table, points
from facemask.report.runs import Comparison

_FEW: Final = 3
"""Number of subjects below which a test tells next to nothing of others."""


def verdict(runs: Comparison, table: Table) -> str:
    """Return one sentence with both scores: better, not better, or too little to tell.

    Args:
        runs: Two runs, the baseline first.
        table: Their table in the report, `scores_section`.
    """
    base, run = runs.runs
    values = dict(zip(table.csv_header, table.csv_rows[1], strict=True))
    gain, low, high = (
        float(values[name] or math.nan)  # 0 is no gain either
        for name in ("difference", "interval_low", "interval_high")
    )
    numbers = f"{100 * run.table.miou():.1f} against {100 * base.table.miou():.1f} % mIoU"
    if not math.isnan(low):
        numbers += f" (95 % interval of the difference {points(low)} to {points(high)})"
    names, shown, small = f"{run.name!r} is better than {base.name!r}", *tested(runs)
    if not gain > 0:
        start = names.replace("is better", "is not better")
    elif small:
        start = f"Too little was tested to tell whether {names}"
    else:
        start = names if low > 0 else f"It cannot be told from chance whether {names}"
    return f"{start}: {numbers} on {shown}."


def limits(runs: Comparison, table: Table) -> list[str]:
    """Return what is to be said after the scores: of two runs the verdict, else who is too few.

    Args:
        runs: The runs, the baseline first.
        table: Their table in the report, `scores_section`.
    """
    if len(runs.runs) == 2:
        return [verdict(runs, table)]
    shown, small = tested(runs)
    return [f"Too little was tested to tell of other people: {shown}."] if small else []


def tested(runs: Comparison) -> tuple[str, bool]:
    """Say whom the test side shows, and whether that is too little to tell of other people."""
    table, record = runs.baseline.table, runs.baseline.record
    people = len(set(table.subject.tolist()))
    shown = f"{counted(len(table), 'frame')} of {counted(people, 'subject')}"
    try:
        training = read_split(Path(record.data_root), record.split, "train")
    except InputError:  # the data may be gone
        training = []
    if {frame.video for frame in training} & set(table.video.tolist()):
        return f"{shown} that training has seen, split by time", True
    return shown, people < _FEW
