"""How steady the masks are over time, beside the true masks."""

import math

from facemask.report.parts import NOTHING, SHORT_NAMES, Section, Table, Value, percent
from facemask.report.runs import Comparison, NamedRun
from facemask.report.sequence_table import TRUTH, SequenceTable

CEILING = "true masks"


def consistency_section(runs: Comparison) -> Section:
    """Temporal consistency and jitter of every run, and of the true masks as the ceiling."""
    title = "Consistency over time"
    text = (
        "A frozen or an empty mask is perfectly consistent: compare runs of about equal accuracy "
        "only. The true masks show what can be reached where the flow fails."
    )
    flow = next((run.run.record.flow for run in runs.runs if run.run.record.flow), None)
    if flow is None:
        return Section(title, text, remarks=["Left out: no run recorded it (--record.flow)."])
    with_values = [run for run in runs.runs if run.run.record.flow == flow]
    remarks = [
        f"{run.name} recorded {_flow_of(run)} and is left out."
        for run in runs.runs
        if run not in with_values
    ]
    sources = [(run.name, run.run.consistency, "") for run in with_values]
    sources.append((CEILING, with_values[0].run.consistency, TRUTH))
    foreground = runs.class_names[1:]
    tc = f"tc_{flow}"
    names = [tc, *(f"{tc}_{c}" for c in foreground)]
    jitters = [f"{kind}_jitter_{c}" for kind in ("area", "boundary") for c in foreground]
    rows, values = [], []
    for name, table, prefix in sources:
        assert table is not None  # recorded with this flow
        rows.append([
            name, *(percent(_mean(table, prefix + column)) for column in names),
            *(_short(_mean_of(table, f"{prefix}{kind}_jitter_", foreground), scale)
              for kind, scale in (("area", 1), ("boundary", 1000))),
        ])  # fmt: skip
        line: list[Value] = [name, int(table.values[f"{prefix}pairs"].sum())]
        values.append(line + [_mean(table, prefix + column) for column in (*names, *jitters)])
    short = [SHORT_NAMES.get(name, name) for name in foreground]
    result = Table(
        file="consistency.csv",
        caption=f"Consistency of neighbouring frames' masks (flow {flow}), mean over sequences.",
        header=["Masks", "TC %", *(f"TC {name}" for name in short), "Area jitter",
                "Boundary jitter ‰"],
        rows=rows,
        csv_header=["masks", "pairs", *names, *jitters],
        csv_rows=values,
        notes=[
            "TC: IoU of a frame's mask with the previous one warped to it; 100 is best. Area "
            "jitter: second difference of a class's area over its area, and boundary jitter: "
            "distance of the two boundaries over the frame's diagonal, both the mean over the "
            "foreground classes; 0 is best.",
            "A class that a run gives to no frame of a sequence is left out there, which flatters "
            "a run that misses small classes.",
        ],
    )  # fmt: skip
    return Section(title, text, [result], remarks=remarks)


def _flow_of(run: NamedRun) -> str:
    flow = run.run.record.flow
    return f"another flow ({flow})" if flow else "no consistency"


def _mean(table: SequenceTable, name: str) -> float:
    return table.mean(name) if name in table.values else math.nan


def _mean_of(table: SequenceTable, prefix: str, classes: tuple[str, ...]) -> float:
    found = [value for c in classes if not math.isnan(value := _mean(table, prefix + c))]
    return sum(found) / len(found) if found else math.nan


def _short(value: float, scale: float) -> str:
    return NOTHING if math.isnan(value) else f"{scale * value:.3f}"
