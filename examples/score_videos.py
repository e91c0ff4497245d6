"""How steady masks are on videos: those of models, and those of the videos' own landmarks.

    python examples/score_videos.py VIDEOS default fcn=runs/fcn/best.ckpt [--frames 150]
    python examples/score_videos.py VIDEOS default --temporal window stream

VIDEOS is in the 300VW layout (NNN/vid.mp4, NNN/annot/000001.pts). A model is what
`facemask extract --model` takes, NAME=MODEL gives it a name; it is run in each way of --temporal,
checkpoints of single frames frame by frame. Consistency is the mean IoU of neighbouring masks along
optical flow, in %; jitter how far a boundary lies from the warped one, per mille of the frame's
diagonal. Agreement is the mean IoU with the landmarks' masks, in %: where a tracker made the
landmarks, it is no accuracy.
"Shut" is how steady the line of a shut mouth is: how far the inner mouth's share of the mouth's
area changes from frame to frame, in % of that area, over neighbouring frames whose landmarks have
the inner lips nearer than 2 % of the mouth's width; "-" where a video has none.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES, INNER_MOUTH, LIPS
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300 import AnnotatedVideo, find_videos
from facemask.extraction import FaceMaskExtractor
from facemask.extraction.choices import Temporal
from facemask.metrics import MaskIoU, TemporalConsistency
from facemask.models import ConvLSTMFCN
from facemask.tracking.tracker import TrackerSettings

Labels = npt.NDArray[np.uint8]
LANDMARKS = "landmarks"
SHUT = 0.02
"""A mouth is shut below this distance of the inner lips over the mouth's width."""


def extractor_of(model: str, temporal: Temporal) -> FaceMaskExtractor:
    """A model that follows the largest face; without memory it takes frames one by one."""
    largest = TrackerSettings(max_faces=1)
    extractor = FaceMaskExtractor.load(model, tracking=largest, temporal=temporal)
    if not isinstance(extractor.cascade.primary, ConvLSTMFCN):
        extractor.temporal = "off"
    return extractor


def extracted(
    video: AnnotatedVideo, extractor: FaceMaskExtractor, most: int
) -> Iterator[tuple[npt.NDArray[np.uint8], Labels]]:
    """Pictures and labels of the first frames."""
    for frame in extractor.video(video.path):
        if frame.index == most:
            return
        yield frame.image, frame.labels


def shut_unsteadiness(labels: Labels, points: npt.NDArray[np.float64]) -> float:
    """Mean change of the inner mouth's share of the mouth between frames of shut mouths, in %.

    Args:
        labels: Masks (T, H, W).
        points: Landmarks (T, 68, 2).

    Returns:
        NaN where no two neighbouring frames show a shut mouth.
    """
    gap = np.linalg.norm(points[:, 61:64] - points[:, [67, 66, 65]], axis=2).mean(axis=1)
    shut = gap < SHUT * np.linalg.norm(points[:, 54] - points[:, 48], axis=1)
    inner = (labels == INNER_MOUTH).sum(axis=(1, 2))
    mouth = inner + (labels == LIPS).sum(axis=(1, 2))
    change = np.abs(np.diff(inner / np.maximum(mouth, 1)))[shut[1:] & shut[:-1]]
    return float(100 * change.mean()) if len(change) else float("nan")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("models", nargs="+", metavar="[NAME=]MODEL")
    parser.add_argument("--frames", type=int, default=150, help="at most so many of each video")
    parser.add_argument("--temporal", nargs="+", choices=get_args(Temporal), default=["window"])
    options = parser.parse_args()
    pairs = [model.rpartition("=")[::2] for model in options.models]
    several = len(options.temporal) > 1
    models = {
        f"{name or model} {temporal}" if several else name or model: extractor_of(model, temporal)
        for name, model in pairs
        for temporal in options.temporal
    }
    names = [LANDMARKS, *models]
    columns = [f"{what} {name}" for what in ("consistency", "jitter", "shut") for name in names]
    table = Table("video", "frames", *columns, *(f"agreement {name}" for name in models))
    rows = []
    for video in find_videos(options.videos)[0]:
        steady = {name: TemporalConsistency() for name in names}
        agreement = {name: MaskIoU() for name in models}
        of_models: dict[str, Labels] = {}
        images: npt.NDArray[np.uint8] | None = None
        for name, extractor in models.items():
            found = list(extracted(video, extractor, options.frames))
            images = np.stack([image for image, _ in found])
            of_models[name] = np.stack([labels for _, labels in found])
        assert images is not None
        size = images.shape[1:3]
        points = np.stack([read_pts(video.annotations[n]) for n in range(1, len(images) + 1)])
        truth = landmarks_to_mask(points, *size)
        pictures = torch.from_numpy(images.transpose(0, 3, 1, 2))
        for name in names:
            labels = truth if name == LANDMARKS else of_models[name]
            steady[name].update(pictures, torch.from_numpy(labels))
            if name in agreement:
                agreement[name].update(torch.from_numpy(labels), torch.from_numpy(truth))
        found_values = {name: steady[name].compute() for name in names}
        values = [100 * float(found_values[name]["tc_dis_medium"]) for name in names]
        for name in names:
            of_classes = [
                float(found_values[name][f"boundary_jitter_{c}"]) for c in CLASS_NAMES[1:]
            ]
            values.append(1000 * float(np.nanmean(of_classes)))
        values += [
            shut_unsteadiness(truth if name == LANDMARKS else of_models[name], points)
            for name in names
        ]
        values += [100 * float(metric.compute()["miou"]) for metric in agreement.values()]
        rows.append(values)
        cells = ["-" if np.isnan(value) else f"{value:.2f}" for value in values]
        table.add_row(video.name, str(len(images)), *cells)
    table.add_section()
    table.add_row("mean", "", *(f"{value:.2f}" for value in np.nanmean(rows, axis=0)))
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
