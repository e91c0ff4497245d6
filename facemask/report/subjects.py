"""Figure 6 of the paper: accuracy on each subject."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facemask.plotting import literal, new_figure, run_colors, to_png
from facemask.report.parts import Picture, Section, Table, Value, percent
from facemask.report.runs import Comparison


@dataclass(frozen=True, eq=False)
class SubjectScores:
    """Mean and standard deviation of the frames' mIoU.

    Attributes:
        subjects: The S subjects, sorted.
        frames: Number of frames of each, (S,).
        mean: float64 (R, S) in [0, 1], one row a run; NaN without a frame that counts.
        deviation: Standard deviation over the frames (of all of them, not of a sample), (R, S).
    """

    subjects: list[str]
    frames: list[int]
    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]


def score_subjects(runs: Comparison) -> SubjectScores:
    """Mean and standard deviation of per-frame mIoU, absent classes skipped, per subject."""
    subjects = runs.baseline.table.subject
    names = sorted(set(subjects.tolist()))
    mean = np.full((len(runs.runs), len(names)), np.nan)
    deviation = mean.copy()
    for r, run in enumerate(runs.runs):
        miou = run.table.frame_miou()
        for s, name in enumerate(names):
            values = miou[(subjects == name) & ~np.isnan(miou)]
            if len(values):
                mean[r, s], deviation[r, s] = values.mean(), values.std()
    return SubjectScores(names, [int((subjects == n).sum()) for n in names], mean, deviation)


def subjects_section(runs: Comparison) -> Section:
    """Grouped bars with error bars, and their table (Figure 6)."""
    scores = score_subjects(runs)
    names = [run.name for run in runs.runs]
    cells: list[list[str]] = []
    values: list[list[Value]] = []
    for s, subject in enumerate(scores.subjects):
        pairs = list(zip(scores.mean[:, s].tolist(), scores.deviation[:, s].tolist(), strict=True))
        cells.append([subject, str(scores.frames[s]),
                      *(f"{percent(m)} ± {percent(d)}" for m, d in pairs)])  # fmt: skip
        values.append([subject, scores.frames[s], *(100 * x for pair in pairs for x in pair)])
    table = Table(
        file="subjects.csv",
        caption="Mean and standard deviation of the frames' mIoU in %, by subject.",
        header=["Subject", "Frames", *names],
        rows=cells,
        csv_header=["subject", "frames", *(f"{n} {x}" for n in names for x in ("mean", "std"))],
        csv_rows=values,
        notes=["A class that neither the true nor the predicted mask of a frame holds is left out "
               "of the frame's mIoU."],
    )  # fmt: skip
    return Section("Subjects", "As Figure 6 of the paper.", [table], [_draw(scores, names)])


def _draw(scores: SubjectScores, names: list[str]) -> Picture:
    count = len(scores.subjects)
    width = min(30.0, max(6.0, 1.2 + 0.35 * count * len(names)))
    figure = new_figure(width, 3.6)
    axes = figure.subplots()
    bar = 0.8 / len(names)
    for r, (name, color) in enumerate(zip(names, run_colors(len(names)), strict=True)):
        axes.bar(
            np.arange(count) + (r - (len(names) - 1) / 2) * bar,
            100 * scores.mean[r],
            bar,
            yerr=100 * scores.deviation[r],
            label=literal(name),
            color=color,
            capsize=2,
            error_kw={"linewidth": 1},
        )
    ticks = [literal(subject) for subject in scores.subjects]
    axes.set_xticks(range(count), ticks, rotation=0 if count < 15 else 90)
    axes.set_xlabel("subject")
    axes.set_ylabel("mIoU of a frame in %")
    axes.set_ylim(0, 105)
    axes.margins(x=0.02)
    figure.legend(loc="outside upper center", ncols=min(4, len(names)), frameon=False)
    means = ", ".join(
        f"{name} {percent(float(np.nanmin(row)))} to {percent(float(np.nanmax(row)))} %"
        for name, row in zip(names, scores.mean, strict=True)
        if not np.isnan(row).all()
    )
    return Picture(
        "figure6.png",
        "Mean of the frames' mIoU by subject; the lines reach one standard deviation either way.",
        f"Grouped bars, one group for each of {count} subjects. Means by run: {means}.",
        to_png(figure),
    )
