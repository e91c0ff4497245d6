"""Tables of a report: those of the paper (2, 4 and 9), consistency over time, and the runs."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from facemask.errors import InputError
from facemask.metrics import Significance, improvement_by_position, paired_significance
from facemask.naming import counted
from facemask.report.page import (
    NOTHING,
    PAPER_NAMES,
    Section,
    Table,
    Value,
    percent,
    points,
    words,
)
from facemask.report.record import Run
from facemask.report.runs import Comparison
from facemask.report.sequence_table import TRUTH

MARK = "ᵃ"
CEILING = "true masks"


def scores_section(runs: Comparison, groups: int, seed: int) -> Section:
    """Return the IoU of every run, and whether it differs from the baseline (Tables 2 and 9)."""
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
        miou = run.table.miou()
        difference = math.nan if run is runs.baseline else miou - runs.baseline.table.miou()
        low, high = (math.nan, math.nan) if result is None else result.interval
        interval = NOTHING if math.isnan(low) else f"{points(low)} to {points(high)}"
        p_value = NOTHING
        if result is not None:
            p_value = "< 0.001" if result.p_value < 0.001 else f"{result.p_value:.3f}"
        mark = f" {MARK}" if result is not None and result.significant else ""
        rows.append([
            run.name, percent(miou) + mark, *(percent(iou[name]) for name in names),
            points(difference), interval, p_value,
        ])  # fmt: skip
        values.append([
            run.name, 100 * miou, *(100 * iou[name] for name in names), 100 * difference,
            100 * low, 100 * high,
            *((result.p_value, result.significant, tested) if result else (None, None, None)),
        ])  # fmt: skip
    shown = 5 + len(names) if runs.others else 2 + len(names)  # nothing to compare one run with
    header = ["Run", "mIoU", *map(words, names), "Difference", "95 % interval", "P"]
    table = Table(
        file="table9.csv",
        caption="IoU in % over all frames at original size.",
        header=header[:shown],
        rows=[row[:shown] for row in rows],
        csv_header=["run", "miou", *(f"iou_{name}" for name in names), "difference",
                    "interval_low", "interval_high", "p_value", "significant", "groups"],
        csv_rows=values,
        notes=notes,
    )  # fmt: skip
    return Section("Accuracy", "As Tables 2 and 9 of the paper.", [table])


def _explanation(runs: Comparison, groups: int, tested: int, seed: int) -> list[str]:
    """Return what the table's columns mean."""
    used = [f"{PAPER_NAMES[n]} ({words(n)})" for n in runs.class_names if n in PAPER_NAMES]
    notes = ["mIoU is the mean over all classes but the background."]
    notes += [f"The paper's names: {', '.join(used)}."] if used else []
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
    runs: Comparison, run: Run, groups: int, seed: int, notes: list[str]
) -> Significance | None:
    """Return the test of one run; where it cannot be made, a note says why."""
    baseline = replace(runs.baseline.counts, position=run.table.position)
    try:
        return paired_significance(baseline, run.counts, groups=groups, seed=seed)
    except InputError as error:
        notes.append(f"No P value and interval of {run.name}: {error}")
        return None


def positions_section(runs: Comparison) -> Section:
    """Return the mean improvement over the baseline at each place in the clip (Table 4)."""
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
        first, second = (
            replace(one.counts, position=clips.table.position) for one in (runs.baseline, run)
        )
        rows[run.name] = improvement_by_position(first, second).tolist()
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


def consistency_section(runs: Comparison) -> Section:
    """Return consistency and jitter of every run, and of the true masks as the ceiling."""
    title = "Consistency over time"
    text = (
        "A frozen or an empty mask is perfectly consistent: compare runs of about equal accuracy "
        "only. The true masks show what can be reached where the flow fails."
    )
    flow = next((run.record.flow for run in runs.runs if run.record.flow), None)
    if flow is None:
        return Section(title, text, remarks=["Left out: no run recorded it (--record.flow)."])
    with_values = [run for run in runs.runs if run.record.flow == flow]
    remarks = []
    for run in runs.runs:
        if run not in with_values:
            other = run.record.flow
            what = f"another flow ({other})" if other else "no consistency"
            remarks.append(f"{run.name} recorded {what} and is left out.")
    sources = [(run.name, run.consistency, "") for run in with_values]
    sources.append((CEILING, with_values[0].consistency, TRUTH))
    foreground = runs.class_names[1:]
    tc = f"tc_{flow}"
    names = [tc, *(f"{tc}_{c}" for c in foreground)]
    jitters = [f"{kind}_jitter_{c}" for kind in ("area", "boundary") for c in foreground]
    rows: list[list[str]] = []
    values: list[list[Value]] = []
    for name, table, prefix in sources:
        assert table is not None  # recorded with this flow
        means = [table.mean(prefix + column) for column in (*names, *jitters)]
        of_classes = np.array(means[len(names) :]).reshape(2, -1)  # area, boundary
        rows.append([
            name, *map(percent, means[: len(names)]),
            *(_mean_jitter(line.tolist(), scale)
              for line, scale in zip(of_classes, (1, 1000), strict=True)),
        ])  # fmt: skip
        values.append([name, int(table.values[f"{prefix}pairs"].sum()), *means])
    result = Table(
        file="consistency.csv",
        caption=f"Consistency of neighbouring frames' masks (flow {flow}), mean over sequences.",
        header=["Masks", "TC %", *(f"TC {words(name)}" for name in foreground), "Area jitter",
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


def _mean_jitter(of_classes: list[float], scale: float) -> str:
    found = [value for value in of_classes if not math.isnan(value)]
    return f"{scale * (sum(found) / len(found)):.3f}" if found else NOTHING


def runs_section(runs: Comparison) -> Section:
    """Return folder, checkpoint, network and version of each run."""
    rows, csv_rows = [], []
    for run in runs.runs:
        record = run.record
        start = [run.name, str(run.folder), record.checkpoint or "none"]
        rows.append([*start, _name(record.network), record.facemask_version])
        settings = ", ".join(_in_words(record.network))
        csv_rows.append([*start, settings, record.facemask_version])
    table = Table(
        file="runs.csv",
        caption="What was tested; runs.csv has the networks' settings.",
        header=["Run", "Folder", "Checkpoint", "Network", "facemask"],
        rows=rows,
        csv_header=["run", "folder", "checkpoint", "network", "facemask"],
        csv_rows=csv_rows,
        words=True,
    )
    text = "All were scored on the same frames and true masks." if runs.others else ""
    return Section("What was tested", text, [table], folded=True)


def _name(content: dict[str, Any]) -> str:
    """Return the class of a network and its backbone, of a cascade those of its networks."""
    name = " ".join(str(content[key]) for key in ("network", "backbone") if content.get(key))
    parts = ", ".join(f"{role}: {_name(of)}" for role, of in content.get("networks", {}).items())
    return f"{name} ({parts})" if parts else name


def _in_words(content: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield what a mapping says, those inside it with the names above them."""
    for key, value in content.items():
        name = f"{above}{words(key)}"
        if isinstance(value, dict):
            yield from _in_words(value, f"{name}: ")
        elif isinstance(value, list):
            yield f"{name} {' '.join(map(str, value))}"
        elif value is not None:
            yield f"{name} {value}"


def summary(runs: Comparison) -> list[str]:
    """Return two sentences in plain words: what is best and by how much, and what is weakest."""
    table = runs.baseline.table
    scores = {run.name: run.table.miou() for run in runs.runs}
    best = max(runs.runs, key=lambda run: -1 if math.isnan(scores[run.name]) else scores[run.name])
    agreement = runs.baseline.record.pseudo_landmarks
    of = "agreement with dlib's landmarks" if agreement else "overlap with the true masks"
    first = f"The run {best.name!r} has a mean {of} (IoU) of {percent(scores[best.name], 1)} %"
    if best is not runs.baseline:
        gain = 100 * (scores[best.name] - scores[runs.baseline.name])
        first += f", {gain:.1f} points more than {runs.baseline.name!r}"
    elif runs.others:
        first += ", the best of " + ", ".join(repr(run.name) for run in runs.runs)
    iou = dict(zip(runs.class_names[1:], best.table.iou()[1:].tolist(), strict=True))
    known = {name: value for name, value in iou.items() if not math.isnan(value)}
    subjects = len(set(table.subject.tolist()))
    seen = f"{counted(len(table), 'frame')} of {counted(subjects, 'subject')}"
    if not known:
        return [f"{first}, over {seen}."]
    good, bad = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    second = (
        f"It is best at {words(good)} ({percent(known[good], 1)} %) and weakest at {words(bad)} "
        f"({percent(known[bad], 1)} %), over {seen}."
    )
    return [f"{first}.", second if good != bad else f"That is over {seen}."]
