"""How far a memory that is carried on drifts from windows of five frames, on videos of yours.

    python examples/stream_drift.py VIDEO [VIDEO …] --models default longer=runs/cascade.safetensors

A model is what `facemask extract --model` takes, NAME=MODEL gives it a name. Each follows the
largest face of each video twice: with every frame scored from itself and the four before it
(window), and with the ConvLSTMs' memory carried on from the first frame (stream). Agreement is the
mIoU of the two in %, in the ten frames up to the 10th, 100th, 500th and 1000th, over all videos
that are so long. Consistency is the mean IoU of neighbouring masks along optical flow, in %, jitter
how far a boundary lies from the warped one, per mille of the frame's diagonal; means over videos.
Processor time, in ms a frame, is that of everything but writing.
"""

import argparse
from itertools import islice
from pathlib import Path
from time import process_time

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES
from facemask.extraction import FaceMaskExtractor, Temporal
from facemask.metrics import MaskIoU, TemporalConsistency
from facemask.tracking.tracker import TrackerSettings

Labels = npt.NDArray[np.uint8]
MARKS = (10, 100, 500, 1000)
PART = 50
"""Frames that steadiness is measured on together: all at once take gigabytes."""


def extracted(
    model: str, video: Path, temporal: Temporal, most: int
) -> tuple[Labels, Labels, float]:
    """Pictures (T, H, W, 3) and labels (T, H, W) of the first frames, and ms a frame."""
    largest = TrackerSettings(max_faces=1)
    extractor = FaceMaskExtractor.load(model, "cpu", temporal=temporal, tracking=largest)
    begin = process_time()
    frames = list(islice(extractor.video(video), most))
    milliseconds = 1000 * (process_time() - begin) / len(frames)
    return (
        np.stack([f.image for f in frames]),
        np.stack([f.labels for f in frames]),
        milliseconds,
    )


def steadiness(images: Labels, labels: Labels) -> tuple[float, float]:
    """Consistency in % and jitter per mille."""
    metric = TemporalConsistency()
    for start in range(0, len(images), PART):
        part = images[start : start + PART].transpose(0, 3, 1, 2)
        metric.update(torch.from_numpy(part), torch.from_numpy(labels[start : start + PART]))
    values = metric.compute()
    jitter = [float(values[f"boundary_jitter_{name}"]) for name in CLASS_NAMES[1:]]
    return 100 * float(values["tc_dis_medium"]), 1000 * float(np.nanmean(jitter))


def main() -> None:
    """Print a table of agreement, and one of steadiness."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", default=["default"], metavar="[NAME=]MODEL")
    parser.add_argument("--frames", type=int, default=1000, help="at most so many of each video")
    options = parser.parse_args()
    pairs = [model.rpartition("=")[::2] for model in options.models]
    models = {name or model: model for name, model in pairs}
    agreement = Table("stream against window", *(f"frame {mark}" for mark in MARKS), "all")
    steady = Table("model", "temporal", "consistency", "jitter", "ms a frame")
    for name, model in models.items():
        found = {mark: MaskIoU() for mark in (*MARKS, 0)}
        values: dict[Temporal, list[tuple[float, ...]]] = {"window": [], "stream": []}
        for video in options.videos:
            images, window, long = extracted(model, video, "window", options.frames)
            _, stream, short = extracted(model, video, "stream", options.frames)
            for mark, metric in found.items():
                part = slice(mark - 10, mark) if mark else slice(None)
                if len(window) >= mark:
                    metric.update(torch.from_numpy(stream[part]), torch.from_numpy(window[part]))
            values["window"].append((*steadiness(images, window), long))
            values["stream"].append((*steadiness(images, stream), short))
        scores = [100 * float(metric.compute()["miou"]) for metric in found.values()]
        agreement.add_row(name, *("-" if np.isnan(s) else f"{s:.1f}" for s in scores))
        for temporal, rows in values.items():
            consistency, jitter, cost = np.mean(rows, axis=0)
            steady.add_row(name, temporal, f"{consistency:.2f}", f"{jitter:.3f}", f"{cost:.1f}")
    console = Console()
    console.print(agreement, steady)


if __name__ == "__main__":
    main()
