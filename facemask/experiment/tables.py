"""The tables of an experiment, beside the paper's."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from facemask.experiment.plan import PaperTable, Plan, Row
from facemask.experiment.seeds import positions_over_seeds, scores_over_seeds
from facemask.report.figures import examples_section
from facemask.report.page import Page, Section, Table
from facemask.report.record import AGREEMENT
from facemask.report.runs import Comparison, load_runs
from facemask.report.tables import positions_section, scores_section, summary
from facemask.report.verdict import limits

BESIDE_PAPER: Final = "Found here, and below it what the paper reports on 300VW."
"""Text of a table that the paper has, too."""
_EXAMPLES: Final = 6
"""Most frames that are shown with the masks of a table's runs."""


def experiment_page(
    plan: Plan, folders: Sequence[dict[str, Path]], facts: dict[str, str], groups: int, seed: int
) -> Page:
    """All tables whose baseline and at least one row were tested, with every seed.

    Args:
        plan: The experiment.
        folders: For each seed, the folders of the steps that were tested, by name.
        facts: What the page says first, by name.
        groups: Groups of sequences of the significance test.
        seed: Decides the groups and the bootstrap.

    Raises:
        InputError: A record cannot be read, or the steps of a table were tested on other data.
    """
    done = set(folders[0]).intersection(*folders)
    sections = []
    for table in plan.tables:
        rows = [row for row in table.rows if row.step in done]
        if rows and table.baseline in done:
            runs = [_runs(table, rows, of_seed) for of_seed in folders]
            sections.append(_section(table, runs, groups, seed))
    return Page(plan.title, facts, sections)


def _runs(table: PaperTable, rows: list[Row], folders: dict[str, Path]) -> Comparison:
    # the baseline under the name that its own row has, if it has one
    names = {row.step: row.name for row in rows}
    steps = list(dict.fromkeys([table.baseline, *names]))
    return load_runs(
        [str(folders[step]) for step in steps],
        str(folders[table.baseline]),
        [names.get(step, table.baseline) for step in steps],
    )


def _section(table: PaperTable, runs: list[Comparison], groups: int, seed: int) -> Section:
    if len(runs) > 1:
        found = (
            positions_over_seeds(runs) if table.positions else scores_over_seeds(runs, groups, seed)
        )
    else:
        found = (
            positions_section(runs[0]) if table.positions else scores_section(runs[0], groups, seed)
        )
    file = re.sub("[^a-z0-9]", "", table.name.lower())
    paper = _paper_table(table, file)
    if not paper and len(runs) == 1:
        seen = examples_section(runs[0], _EXAMPLES, None)
        pictures = [replace(picture, file=f"{file}.png") for picture in seen.pictures]
        found = replace(found, pictures=pictures, film=seen.film, remarks=seen.remarks)
    return replace(
        found,
        title=f"{table.name}: {table.title}",
        text=BESIDE_PAPER if paper else _said(runs, found, positions=table.positions),
        tables=[*(replace(t, file=f"{file}.csv") for t in found.tables), *paper],
    )


def _said(runs: Sequence[Comparison], found: Section, *, positions: bool) -> str:
    """Say of one seed's runs what the report says; of several seeds only what the labels are."""
    pseudo = runs[0].baseline.record.pseudo_landmarks
    said = [f"The labels follow pseudo-landmarks: {AGREEMENT}."] if pseudo else []
    if len(runs) == 1:
        last = [] if positions else limits(runs[0], found.tables[0])
        said = [*summary(runs[0]), *said, *last]
    return " ".join(said)


def _paper_table(table: PaperTable, file: str) -> list[Table]:
    rows = [row for row in table.rows if row.paper]
    if not rows:
        return []
    digits = 3 if table.positions else 2
    return [
        Table(
            file=f"{file}_paper.csv",
            caption=f"{table.name} of the paper.",
            header=["Run", *table.columns],
            rows=[[row.name, *(f"{value:.{digits}f}" for value in row.paper)] for row in rows],
            csv_header=["run", *table.columns],
            csv_rows=[[row.name, *row.paper] for row in rows],
        )
    ]
