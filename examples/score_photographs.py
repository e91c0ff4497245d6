"""Scores of models on photographs: as they are, turned, and mirrored.

    python examples/score_photographs.py --models default mine.safetensors \
        --data HELEN LFPW --points STILLS

DATA are prepared data sets (`facemask prepare`), of which the side --side of the split --split is
scored, one photograph at a time in float32. "mirrored" is how far a model's mask of the mirror
image, mirrored back, is the mask itself (IoU of each class). --points is a folder of photographs
with a .pts file beside each: those of the same names are turned by 30 degrees either way, with
their landmarks, and cut out like any other; the truth is painted anew.
"""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.boxes import face_crop_box
from facemask.classes import CLASS_NAMES
from facemask.data.clips import read_frame
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300_mask import Frame, read_split
from facemask.extraction import load_model
from facemask.files import read_image
from facemask.metrics import MaskIoU
from facemask.models import Cascade

Pixels = npt.NDArray[np.uint8]
ANGLES = (0, -30, 30)
BATCH = 8


def label(cascade: Cascade, images: Iterable[Pixels]) -> list[Pixels]:
    """Class ids (H, W) of single images (H, W, 3)."""
    clips = [torch.from_numpy(np.ascontiguousarray(i)).permute(2, 0, 1)[None] for i in images]
    found: list[Pixels] = []
    for start in range(0, len(clips), BATCH):
        with torch.inference_mode():
            output = cascade(clips[start : start + BATCH])
        found += [frames[0].numpy() for frames in output.labels]
    return found


def turned(photo: Pixels, points: npt.NDArray[np.float64], angle: float) -> tuple[Pixels, Pixels]:
    """The face crop of a photograph turned about the face's middle, and its mask."""
    middle = points.mean(axis=0)
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), angle, 1.0)
    size = photo.shape[1::-1]
    if angle:
        photo = cv2.warpAffine(
            photo, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.uint8)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    crop = face_crop_box(points, *photo.shape[:2]).pixels
    return photo[crop], landmarks_to_mask(points, *photo.shape[:2])[crop]


def iou(masks: Iterable[Pixels], truths: Iterable[Pixels]) -> list[float]:
    """The mIoU and the IoU of each foreground class, in %."""
    metric = MaskIoU(class_sets=True)
    for mask, truth in zip(masks, truths, strict=True):
        metric.update(torch.from_numpy(mask), torch.from_numpy(truth))
    scores = metric.compute()
    return [100 * float(scores[key]) for key in ("miou", *(f"iou_{n}" for n in CLASS_NAMES[1:]))]


def rows_of(cascade: Cascade, frames: list[Frame], points: Path | None) -> dict[str, list[float]]:
    """Scores of a data set by what was done to its photographs."""
    images, truths = zip(*map(read_frame, frames), strict=True)
    upright = label(cascade, images)
    mirrored = [mask[:, ::-1].copy() for mask in label(cascade, [i[:, ::-1] for i in images])]
    rows = {"as they are": iou(upright, truths), "mirrored, agreement": iou(mirrored, upright)}
    files = [] if points is None else [points / f"{frame.video}.pts" for frame in frames]
    files = [file for file in files if file.is_file()]
    for angle in ANGLES if files else ():
        pairs = [turned(read_image(f.with_suffix(".jpg")), read_pts(f), angle) for f in files]
        crops, masks = zip(*pairs, strict=True)
        rows[f"turned by {angle}°"] = iou(label(cascade, crops), masks)
    return rows


def main() -> None:
    """Print a table a data set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--split", default="default")
    parser.add_argument("--side", default="test", choices=("train", "val", "test"))
    parser.add_argument("--match", default="", help="regular expression: names to score")
    options = parser.parse_args()
    cascades = {name: load_model(name) for name in options.models}
    for data in options.data:
        frames = read_split(data, options.split, options.side)
        frames = [frame for frame in frames if re.match(options.match, frame.video)]
        title = f"{data}: {len(frames)} photographs, IoU in %"
        table = Table("model", "", "mIoU", *CLASS_NAMES[1:], title=title)
        for name, cascade in cascades.items():
            for what, scores in rows_of(cascade, frames, options.points).items():
                table.add_row(name, what, *(f"{score:.1f}" for score in scores))
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
