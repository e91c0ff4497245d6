"""Made-up data sets and runs."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_NAMES
from facemask.data.vw300_mask import Frame, read_label, read_split
from facemask.metrics.motion import Flow
from facemask.report.frame_table import FrameTable, table_to_csv
from facemask.report.record import Record, fingerprint, record_to_json
from facemask.report.sequence_table import sequence_consistency, sequences_to_csv

Mask = npt.NDArray[np.uint8]
# subject and frame numbers of each video: 001 has a gap and two sequences, 002 two sequences
VIDEOS = {
    "001": ("ann", [1, 2, 3, 4, 5, 6, 8, 9, 31, 32]),
    "002": ("bob", [28, 29, 30, 31, 32, 33]),
    "003": ("ann", [1, 2, 3]),
}


def face(number: int, height: int, width: int) -> Mask:
    """A face of five rectangles that moves down with the frames; the top row is ignored."""
    mask = np.zeros((height, width), np.uint8)
    top = 4 + number % 5
    mask[top : top + 30, 6 : width - 8] = 1
    mask[top + 6 : top + 10, 10:20] = 2
    mask[top + 18 : top + 26, 14:30] = 3
    mask[top + 21 : top + 24, 17:26] = 4
    mask[0] = 255
    return mask


def write_data(root: Path, videos: dict[str, tuple[str, list[int]]] = VIDEOS) -> Path:
    """A data set in the 300VW-Mask layout, all on the test side; frames differ in size."""
    for folder in ("images_orig", "labels_orig", "data_splits/split_1"):
        (root / folder).mkdir(parents=True)
    random = np.random.default_rng(0)
    lines = []
    for video, (_, numbers) in videos.items():
        texture = random.integers(0, 256, (60, 60, 3)).astype(np.uint8)
        for number in numbers:
            name, height, width = f"{video}_{number:06d}", 44 + number % 3, 40 + number % 2
            mask = face(number, height, width)
            image = cv2.GaussianBlur(texture[:height, :width], (0, 0), 2) // 2
            image[..., 2] += (mask % 255) * 30
            cv2.imwrite(str(root / "images_orig" / f"{name}.jpg"), image)
            cv2.imwrite(str(root / "labels_orig" / f"{name}.png"), mask)
            lines.append(f"/images_orig/{name}.jpg /labels_orig/{name}.png\n")
    (root / "data_splits/split_1/test_per10.txt").write_text("".join(lines))
    rows = "".join(f"{video},{subject}\n" for video, (subject, _) in videos.items())
    (root / "subjects.csv").write_text("video,subject\n" + rows)
    return root


def guess(truth: Mask, errors: float, seed: int) -> Mask:
    """A prediction that takes a share of the pixels for background."""
    wrong = np.random.default_rng(seed).random(truth.shape) < errors
    label = np.where(wrong | (truth == 255), 0, truth)
    return label.astype(np.uint8)


def make_table(
    root: Path, labels: dict[str, Mask], clip_length: int = 1, region: str = "face"
) -> tuple[FrameTable, dict[str, Frame]]:
    """Count label images by name, one class at a time; clips start anew with a sequence."""
    frames = {
        f.image.stem: f for f in read_split(root, "split_1", "test") if f.image.stem in labels
    }
    columns: dict[str, list[Any]] = {field: [] for field in FrameTable.__dataclass_fields__}
    del columns["class_names"]
    clip, last = "", ("", 0)
    for name, frame in frames.items():
        assert frame.label is not None
        truth, label = read_label(frame.label), labels[name]
        sequence = (frame.number - 1) // 30
        position = columns["position"][-1] + 1 if clip else 0
        goes_on = last == (frame.video, frame.number - 1) and frame.number % 30 != 1
        if not goes_on or position >= clip_length:
            clip, position = name, 0
        last = (frame.video, frame.number)
        counted = truth != 255
        found = {"intersection": [], "union": [], "truth": [], "prediction": []}  # type: ignore[var-annotated]
        for c in range(5):
            true, predicted = (truth == c) & counted, (label == c) & counted
            found["intersection"].append(int((true & predicted).sum()))
            found["union"].append(int((true | predicted).sum()))
            found["truth"].append(int(true.sum()))
            found["prediction"].append(int(predicted.sum()))
        place = {
            "name": name,
            "video": frame.video,
            "frame": frame.number,
            "sequence": sequence,
            "subject": VIDEOS.get(frame.video, (frame.video, []))[0],
            "clip": clip,
            "position": position,
            "height": truth.shape[0],
            "width": truth.shape[1],
            "region": region,
        }
        for column, value in (place | found).items():
            columns[column].append(value)
    arrays = {column: np.array(values) for column, values in columns.items()}
    return FrameTable(class_names=CLASS_NAMES, **arrays), frames


def write_run(
    folder: Path,
    root: Path,
    errors: float = 0.1,
    clip_length: int = 1,
    flow: Flow | None = "none",
    region: str = "face",
    keep_labels: bool = True,
) -> Path:
    """The record of a made-up run on the data set in `root`."""
    (folder / "labels").mkdir(parents=True)
    labels = {}
    for i, frame in enumerate(read_split(root, "split_1", "test")):
        assert frame.label is not None
        labels[frame.image.stem] = guess(read_label(frame.label), errors, i)
        if keep_labels:
            path = folder / "labels" / f"{frame.image.stem}.png"
            cv2.imwrite(str(path), labels[frame.image.stem])
    table, frames = make_table(root, labels, clip_length, region)
    (folder / "frames.csv").write_bytes(table_to_csv(table))
    if flow is not None:
        sequences = sequence_consistency(table, frames, folder / "labels", flow)
        (folder / "consistency.csv").write_bytes(sequences_to_csv(sequences))
    record = Record(
        fingerprint=fingerprint({name: f.label for name, f in frames.items() if f.label}),
        frames=len(table),
        data_root=str(root),
        split="split_1",
        class_names=CLASS_NAMES,
        region=region,
        checkpoint=f"runs/{folder.name}/best.ckpt",
        facemask_version="0.1",
        network={"network": "FCN", "backbone": "made_up"},
        metrics={"miou": table.miou(), "iou_eyes": float("nan")},
        flow=flow,
    )
    (folder / "record.json").write_bytes(record_to_json(record))
    return folder
