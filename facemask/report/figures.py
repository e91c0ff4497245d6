"""Figures of a report: frames with their masks (Figure 5) and accuracy by subject (Figure 6)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.masks import mask_to_color
from facemask.data.vw300_mask import Frame, read_label, read_split
from facemask.errors import InputError
from facemask.files import read_image
from facemask.naming import counted
from facemask.plotting import check_matplotlib, literal, new_figure, run_colors, to_png
from facemask.report.page import Picture, Section, Still, Table, Value, percent
from facemask.report.record import Run, fingerprint
from facemask.report.runs import Comparison

_SIDE: Final = 240  # pixels of a picture in the figure
Image = npt.NDArray[np.uint8]


def choose_frames(runs: Comparison, count: int) -> list[int]:
    """Return the rows of the frames on which the runs differ most, at most one a sequence.

    They are sorted by the difference between the best and the worst run's mIoU of the frame,
    largest first; with a single run, by its mIoU, lowest first; then by their names.
    """
    miou = np.stack([run.table.frame_miou() for run in runs.runs])  # (R, F)
    interest = np.ptp(miou, axis=0) if runs.others else 1 - miou[0]
    table = runs.baseline.table
    best: dict[tuple[str, int], int] = {}
    for row in np.flatnonzero(interest > 0).tolist():  # NaN is not
        sequence = (str(table.video[row]), int(table.sequence[row]))
        if sequence not in best or interest[row] > interest[best[sequence]]:
            best[sequence] = row
    return sorted(best.values(), key=lambda row: (-interest[row], row))[:count]


def examples_section(runs: Comparison, count: int, data: str | None) -> Section:
    """Draw rows of frames with picture, true mask and each run's mask, or why there are none."""
    rule = "on which the runs' mIoU of the frame differs most"
    if not runs.others:
        rule = "with the lowest mIoU"
    text = f"As Figure 5 of the paper. The frames are those {rule}, at most one a sequence."
    try:
        check_matplotlib()
        rows = choose_frames(runs, count)
        if not rows:
            raise InputError("no frame tells the runs apart.")
        frames = _find_frames(runs.baseline, data)
        picture = _draw_frames(runs, rows, frames)
        film = [_still(runs, row, frames) for row in rows]
    except InputError as error:
        return Section("Examples", text, remarks=[f"Left out: {error}"])
    return Section("Examples", text, pictures=[picture], film=film)


def _find_frames(run: Run, data: str | None) -> dict[str, Frame]:
    """Return the data set's files of the scored frames, checked to be those that were scored."""
    record = run.record
    if record.region != "face":
        raise InputError(f"the runs look at the region {record.region!r}, not at whole faces.")
    root = Path(data or record.data_root)
    found = {frame.image.stem: frame for frame in read_split(root, record.split, "test")}
    names = run.table.name.tolist()
    missing = next((name for name in names if name not in found), None)
    if missing is not None:
        raise InputError(f"{root} does not hold frame {missing}, which was scored.")
    frames = {name: found[name] for name in names}
    labels = {name: frame.label for name, frame in frames.items() if frame.label}
    if fingerprint(labels) != record.fingerprint:
        raise InputError(f"the true masks in {root} are not those that the runs were scored on.")
    return frames


def _draw_frames(runs: Comparison, rows: list[int], frames: dict[str, Frame]) -> Picture:
    titles = ["frame", "true mask", *(run.name for run in runs.runs)]
    figure = new_figure(1.7 * len(titles), 1.95 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    said = []
    for row, line in zip(rows, axes, strict=True):
        name = str(runs.baseline.table.name[row])
        tiles = _tiles(runs, name, frames[name])
        scores = [percent(float(run.table.frame_miou()[row]), 1) for run in runs.runs]
        captions = [name, "", *(f"{score} %" for score in scores)]
        for ax, tile, caption in zip(line, tiles, captions, strict=True):
            ax.imshow(tile)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_xlabel(literal(caption), fontsize=8)
        pairs = zip(runs.runs, scores, strict=True)
        said.append(f"{name}: " + ", ".join(f"{run.name} {score} %" for run, score in pairs))
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(literal(title, 22), fontsize=9)
    return Picture(
        "figure5.png",
        "Red skin, green eyes, cyan outer mouth, blue inner mouth; below each mask its mIoU.",
        f"{counted(len(rows), 'frame')}, each with its true mask and the masks of "
        f"{counted(len(runs.runs), 'run')}. "
        f"mIoU by frame: {'; '.join(said)}.",
        to_png(figure),
    )


def _still(runs: Comparison, row: int, frames: dict[str, Frame]) -> Still:
    """Return a frame's masks over its picture, side by side."""
    name = str(runs.baseline.table.name[row])
    picture, *colors = _tiles(runs, name, frames[name])
    painted = [cv2.addWeighted(picture, 0.55, color, 0.45, 0) for color in colors]
    for mixed, color in zip(painted, colors, strict=True):
        background = ~color.any(axis=2)
        mixed[background] = picture[background]
    scores = [f"{run.name} {percent(float(run.table.frame_miou()[row]), 1)} %" for run in runs.runs]
    whole = np.concatenate([picture, *painted], axis=1)
    _, jpeg = cv2.imencode(".jpg", whole[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return Still(f"{name}: picture, true mask, {', '.join(scores)}", jpeg.tobytes())


def _tiles(runs: Comparison, name: str, frame: Frame) -> list[Image]:
    """Return picture, true mask and predicted masks of a frame, in colours."""
    assert frame.label is not None  # a split file names one for each frame
    image, truth = read_image(frame.image), read_label(frame.label)
    masks = [truth]
    for run in runs.runs:
        path = run.label_file(name)
        if not path.is_file():
            raise InputError(f"{run.name} kept no label image of frame {name} ({path}).")
        masks.append(read_label(path))
        if masks[-1].shape != truth.shape:
            raise InputError(f"{path}: has another size than the frame.")
    colors = [mask_to_color(np.where(mask == 255, 0, mask).astype(np.uint8)) for mask in masks]
    return [_resize(image, cv2.INTER_AREA), *(_resize(c, cv2.INTER_NEAREST) for c in colors)]


def _resize(image: Image, interpolation: int) -> Image:
    scale = _SIDE / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    how = interpolation if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


@dataclass(frozen=True, eq=False)
class SubjectScores:
    """Mean and standard deviation of the frames' mIoU, by run and subject.

    Attributes:
        subjects: The S subjects, sorted.
        frames: Number of frames of each subject, (S,).
        mean: float64 (R, S) in [0, 1], one row a run; NaN without a frame that counts.
        deviation: Standard deviation over the frames (of all of them, not of a sample), (R, S).
    """

    subjects: list[str]
    frames: list[int]
    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]


def score_subjects(runs: Comparison) -> SubjectScores:
    """Return mean and standard deviation of per-frame mIoU, absent classes skipped, per subject."""
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
    """Draw grouped bars with error bars, and make their table (Figure 6)."""
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
    return Section("Subjects", "As Figure 6 of the paper.", [table], [_draw_bars(scores, names)])


def _draw_bars(scores: SubjectScores, names: list[str]) -> Picture:
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
