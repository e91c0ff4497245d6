"""Figure 5 of the paper: frames with their true and predicted masks."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.masks import mask_to_color
from facemask.data.vw300_mask import Frame, read_label, read_split
from facemask.errors import InputError
from facemask.files import read_image
from facemask.plotting import literal, new_figure, to_png
from facemask.report.parts import Picture, Section, percent
from facemask.report.record import fingerprint
from facemask.report.runs import Comparison, NamedRun

_SIDE: Final = 240  # pixels of a picture in the figure
Image = npt.NDArray[np.uint8]


def choose_frames(runs: Comparison, count: int) -> list[int]:
    """Rows of the frames on which the runs differ most, at most one a sequence.

    By the difference between the best and the worst run's mIoU of the frame, largest first; with
    a single run, by its mIoU, lowest first. Equal ones in the order of their names.
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
    """Rows of frames with picture, true mask and each run's mask, or why there are none."""
    rule = (
        "those on which the runs' mIoU of the frame differs most"
        if runs.others
        else "those with the lowest mIoU"
    )
    text = f"As Figure 5 of the paper. The frames are {rule}, at most one a sequence."
    try:
        rows = choose_frames(runs, count)
        if not rows:
            raise InputError("no frame tells the runs apart.")
        picture = _draw(runs, rows, _find_frames(runs.baseline, data))
    except InputError as error:
        return Section("Examples", text, remarks=[f"Left out: {error}"])
    return Section("Examples", text, pictures=[picture])


def _find_frames(run: NamedRun, data: str | None) -> dict[str, Frame]:
    """The data set's files of the scored frames, checked to be those that were scored."""
    record = run.run.record
    if record.region != "face":
        raise InputError(f"the runs look at the region {record.region!r}, not at whole faces.")
    root = Path(data or record.data_root)
    found = {frame.image.stem: frame for frame in read_split(root, record.split, "test")}
    missing = [name for name in run.table.name.tolist() if name not in found]
    if missing:
        raise InputError(f"{root} does not hold frame {missing[0]}, which was scored.")
    frames = {name: found[name] for name in run.table.name.tolist()}
    labels = {name: frame.label for name, frame in frames.items() if frame.label}
    if fingerprint(labels) != record.fingerprint:
        raise InputError(f"the true masks in {root} are not those that the runs were scored on.")
    return frames


def _draw(runs: Comparison, rows: list[int], frames: dict[str, Frame]) -> Picture:
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
        f"{len(rows)} frames, each with its true mask and the masks of {len(runs.runs)} runs. "
        + "mIoU by frame: "
        + "; ".join(said)
        + ".",
        to_png(figure),
    )


def _tiles(runs: Comparison, name: str, frame: Frame) -> list[Image]:
    """Picture, true mask and predicted masks of a frame, in colours."""
    assert frame.label is not None  # a split file names one for each frame
    image, truth = read_image(frame.image), read_label(frame.label)
    masks = [truth]
    for run in runs.runs:
        path = run.run.label_file(name)
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
