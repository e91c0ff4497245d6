"""The tables of an experiment, beside the paper's."""

from dataclasses import replace
from pathlib import Path

from facemask.experiment.plan import PaperTable, Plan, Row
from facemask.report.page import Page, Section, Table
from facemask.report.runs import load_runs
from facemask.report.tables import positions_section, scores_section


def experiment_page(
    plan: Plan, folders: dict[str, Path], facts: dict[str, str], groups: int, seed: int
) -> Page:
    """All tables whose baseline and at least one row were tested.

    Args:
        plan: The experiment.
        folders: The folders of the steps that were tested, by name.
        facts: What the page says first, by name.
        groups: Groups of sequences of the significance test.
        seed: Decides the groups and the bootstrap.

    Raises:
        InputError: A record cannot be read, or the steps of a table were tested on other data.
    """
    sections = []
    for table in plan.tables:
        rows = [row for row in table.rows if row.step in folders]
        if rows and table.baseline in folders:
            sections.append(_section(table, rows, folders, groups, seed))
    return Page(plan.title, facts, sections)


def _section(
    table: PaperTable, rows: list[Row], folders: dict[str, Path], groups: int, seed: int
) -> Section:
    # the baseline under the name that its own row has, if it has one
    names = {row.step: row.name for row in rows}
    steps = list(dict.fromkeys([table.baseline, *names]))
    runs = load_runs(
        [str(folders[step]) for step in steps],
        str(folders[table.baseline]),
        [names.get(step, table.baseline) for step in steps],
    )
    section = positions_section(runs) if table.positions else scores_section(runs, groups, seed)
    file = table.name.lower().replace(" ", "")
    found = [replace(t, file=f"{file}.csv") for t in section.tables]
    return replace(
        section,
        title=f"{table.name}: {table.title}",
        text="Found here, and below it what the paper reports on 300VW.",
        tables=[*found, *_paper_table(table, file)],
    )


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
