"""Tables 2, 4 and 9 of the paper."""

import math

from facemask.errors import InputError
from facemask.metrics import Significance, improvement_by_position, paired_significance
from facemask.report.parts import NOTHING, SHORT_NAMES, Section, Table, Value, percent, points
from facemask.report.runs import Comparison, NamedRun

MARK = "ᵃ"


def scores_section(runs: Comparison, groups: int, seed: int) -> Section:
    """IoU of every run, and whether it differs from the baseline (Tables 2 and 9)."""
    tested = min(groups, runs.sequences())
    notes = _explanation(runs, groups, tested, seed)
    foreground = runs.class_names[1:]
    names = [*foreground, runs.class_names[0]]  # the paper's order: background last
    rows: list[list[str]] = []
    values: list[list[Value]] = []
    for run in runs.runs:
        result: Significance | None = None
        if run is not runs.baseline and tested >= 2:
            result = _significance(runs, run, tested, seed, notes)
        iou = dict(zip(runs.class_names, run.table.iou().tolist(), strict=True))
        miou, difference = run.table.miou(), run.table.miou() - runs.baseline.table.miou()
        mark = f" {MARK}" if result is not None and result.significant else ""
        rows.append([
            run.name, percent(miou) + mark, *(percent(iou[name]) for name in names),
            NOTHING if run is runs.baseline else points(difference), _interval(result),
            NOTHING if result is None else _p_value(result.p_value),
        ])  # fmt: skip
        low, high = (math.nan, math.nan) if result is None else result.interval
        values.append([
            run.name, 100 * miou, *(100 * iou[name] for name in names),
            None if run is runs.baseline else 100 * difference, 100 * low, 100 * high,
            None if result is None else result.p_value,
            None if result is None else result.significant,
            None if result is None else tested,
        ])  # fmt: skip
    table = Table(
        file="table9.csv",
        caption="IoU in % over all frames at original size.",
        header=["Run", "mIoU", *(SHORT_NAMES.get(name, name) for name in names),
                "Difference", "95 % interval", "P"],
        rows=rows,
        csv_header=["run", "miou", *(f"iou_{name}" for name in names), "difference",
                    "interval_low", "interval_high", "p_value", "significant", "groups"],
        csv_rows=values,
        notes=notes,
    )  # fmt: skip
    return Section("Accuracy", "As Tables 2 and 9 of the paper.", [table])


def _explanation(runs: Comparison, groups: int, tested: int, seed: int) -> list[str]:
    """What the table's columns mean."""
    used = [
        f"{SHORT_NAMES[n]}: {n.replace('_', ' ')}" for n in runs.class_names if n in SHORT_NAMES
    ]
    notes = ["mIoU is the mean over all classes but the background. " + "; ".join(used) + "."]
    if not runs.others:
        return notes
    notes.append(
        f"Difference: mIoU minus that of {runs.baseline.name}, in percentage points; the interval "
        "is a bootstrap over whole videos. A difference whose interval holds 0 may be a matter of "
        "who is in the test set."
    )
    if tested < 2:
        return [*notes, "P needs at least two sequences, and there is one."]
    notes.append(
        f"P: paired t-test over the mIoUs of {tested} groups of whole sequences (seed {seed}), "
        f"section 4.2; {MARK} marks P < 0.05. It says nothing about other people."
    )
    if tested < groups:
        notes.append(
            f"{groups} groups were asked for; there are only {tested} sequences, so each is a "
            "group of its own."
        )
    if len(set(runs.baseline.table.video.tolist())) < 2:
        notes.append("The interval needs at least two videos, and there is one.")
    return notes


def _significance(
    runs: Comparison, run: NamedRun, groups: int, seed: int, notes: list[str]
) -> Significance | None:
    """The test of one run; where it cannot be made, a note says why."""
    counts = runs.baseline.counts(positions=run)
    try:
        return paired_significance(counts, run.counts(), groups=groups, seed=seed)
    except InputError as error:
        notes.append(f"No P value and interval of {run.name}: {error}")
        return None


def _interval(result: Significance | None) -> str:
    if result is None or math.isnan(result.interval[0]):
        return NOTHING
    low, high = result.interval
    return f"{points(low)} to {points(high)}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def positions_section(runs: Comparison) -> Section:
    """Mean improvement over the baseline at each place in the clip (Table 4)."""
    title = "Improvement by position in the clip"
    rows: dict[str, list[float]] = {}
    borrowed: list[str] = []
    for run in runs.others:
        clips = runs.positions_of(run)
        if clips is None:
            continue
        if clips is not run:
            borrowed.append(f"{run.name} looks at single frames: its columns are the places in the "
                            f"clips of {clips.name}.")  # fmt: skip
        gain = improvement_by_position(runs.baseline.counts(clips), run.counts(clips))
        rows[run.name] = gain.tolist()
    if not rows:
        what = "no run has clips" if runs.others else "there is no run beside the baseline"
        return Section(title, "As Table 4 of the paper.", remarks=[f"Left out: {what}."])
    length = max(map(len, rows.values()))
    columns = [f"T{t}" for t in range(1, length + 1)]
    padded = {name: gain + [math.nan] * (length - len(gain)) for name, gain in rows.items()}
    table = Table(
        file="table4.csv",
        caption=f"Mean improvement of a frame's mIoU over {runs.baseline.name}, percentage points.",
        header=["Run", *columns],
        rows=[[name, *(points(g, 3) for g in gain)] for name, gain in padded.items()],
        csv_header=["run", *columns],
        csv_rows=[[name, *(100 * g for g in gain)] for name, gain in padded.items()],
        notes=["T1 is the first frame of each clip. A frame's mIoU is over the classes that its "
               "true or predicted mask holds.", *borrowed],
    )  # fmt: skip
    return Section(title, "As Table 4 of the paper.", [table])
