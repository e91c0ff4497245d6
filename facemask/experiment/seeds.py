"""Tables of an experiment that was run with several seeds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.report.page import NOTHING, Section, points
from facemask.report.record import Run
from facemask.report.runs import Comparison, load_runs
from facemask.report.tables import positions_section, scores_section

Floats: TypeAlias = npt.NDArray[np.float64]


def scores_over_seeds(runs: Sequence[Comparison], groups: int, seed: int) -> Section:
    """Return the IoU of every run over the frames of all seeds together (Tables 2 and 9).

    Beside the interval over videos stands one over seeds: each seed's difference is that to the
    baseline of the same seed, which it started from.

    Args:
        runs: For each of two or more seeds, its runs, in one order.
        groups: Groups of sequences of the significance test.
        seed: Decides the groups and the bootstrap.

    Raises:
        InputError: The seeds were tested on different data.
    """
    together = Comparison(tuple(map(_pool, zip(*(one.runs for one in runs), strict=True))))
    section = scores_section(together, groups, seed)
    if not together.others:  # no columns of differences
        return section
    (table,) = section.tables
    miou = np.array([[run.table.miou() for run in one.runs] for one in runs])
    means, halves = _interval((miou - miou[:, :1])[:, 1:])
    values = [(None, None), *zip((100 * means).tolist(), (100 * halves).tolist(), strict=True)]
    cells = [NOTHING, *map(_cell, means, halves)]
    at, csv_at = table.header.index("Difference") + 1, table.csv_header.index("difference") + 1
    table = replace(
        table,
        header=[*table.header[:at], "Over seeds", *table.header[at:]],
        rows=[[*r[:at], cell, *r[at:]] for r, cell in zip(table.rows, cells, strict=True)],
        csv_header=[
            *table.csv_header[:csv_at], "seeds_mean", "seeds_half_width",
            *table.csv_header[csv_at:],
        ],
        csv_rows=[
            [*r[:csv_at], *pair, *r[csv_at:]]
            for r, pair in zip(table.csv_rows, values, strict=True)
        ],
        notes=[
            *table.notes,
            f"IoU, difference, interval and P are of the frames of all {len(runs)} seeds together. "
            "Over seeds: the mean of the seeds' differences, each to the baseline of its own seed, "
            "and half the width of its 95 % t interval. It speaks of other trainings, the interval "
            "of other people.",
        ],
    )  # fmt: skip
    return replace(section, tables=[table])


def positions_over_seeds(runs: Sequence[Comparison]) -> Section:
    """Return the mean improvement over the baseline at each place in the clip (Table 4)."""
    sections = [positions_section(one) for one in runs]
    tables = [table for section in sections for table in section.tables]
    if not tables:
        return sections[0]
    names = [row[0] for row in tables[0].csv_rows]
    gains = np.array([[row[1:] for row in table.csv_rows] for table in tables], np.float64)
    means, halves = _interval(gains / 100)
    table = replace(
        tables[0],
        rows=[
            [str(name), *map(_cell, mean, half)]
            for name, mean, half in zip(names, means, halves, strict=True)
        ],
        csv_rows=[[name, *(100 * mean).tolist()] for name, mean in zip(names, means, strict=True)],
        notes=[
            *tables[0].notes,
            f"Means of {len(runs)} seeds, and half the width of their 95 % t interval.",
        ],
    )
    return replace(sections[0], tables=[table])


def _pool(runs: Sequence[Run]) -> Run:
    """Return one model's run with the pixels of all its seeds' runs added up."""
    folders = [str(run.folder) for run in runs]
    same = load_runs(folders, folders[0], folders).runs  # says if the data are not
    first = runs[0].table
    table = replace(
        first,
        height=len(same) * first.height,  # room for as many pixels
        intersection=np.sum([run.table.intersection for run in same], axis=0),
        union=np.sum([run.table.union for run in same], axis=0),
        truth=np.sum([run.table.truth for run in same], axis=0),
        prediction=np.sum([run.table.prediction for run in same], axis=0),
    )
    return replace(runs[0], table=table, counts=table.counts())


def _interval(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and half the width of the 95 % t interval over the first axis, the seeds."""
    from scipy.stats import t

    count = len(values)
    half = t.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return values.mean(axis=0), np.asarray(half, np.float64)


def _cell(mean: float, half: float) -> str:
    return NOTHING if np.isnan(mean) else f"{points(mean)} ± {100 * half:.2f}"
