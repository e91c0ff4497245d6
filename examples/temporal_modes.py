"""How the five ways to use time differ on a clip of yours.

After `make demo`, for instance:

    python examples/temporal_modes.py clip.mp4 demo/cascade.safetensors

Consistency: neighbouring masks, one warped to the other by optical flow, mean IoU in %. Jitter: how
far a boundary lies from the warped one, per mille of the frame's diagonal. Pulse: how much more
changes from the last frame of a clip of five to the first of the next than inside clips. Drift:
mIoU in % between masks of the carried memory and of windows, in the first and last 100 frames.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES
from facemask.extraction import FaceMaskExtractor, Temporal
from facemask.metrics import MaskIoU, TemporalConsistency

Labels = npt.NDArray[np.uint8]


def extract(model: Path, clip: Path, temporal: Temporal, most: int) -> tuple[Labels, Labels]:
    """Images (T, H, W, 3) and labels (T, H, W) of a clip's first frames."""
    extractor = FaceMaskExtractor.load(model, "cpu", temporal=temporal)
    images, labels = [], []
    for frame in extractor.video(clip):
        images.append(frame.image)
        labels.append(frame.labels)
        if len(images) == most:
            break
    return np.stack(images), np.stack(labels)


def miou(found: Labels, truth: Labels) -> float:
    """In %."""
    metric = MaskIoU()
    metric.update(torch.from_numpy(found), torch.from_numpy(truth))
    return 100 * float(metric.compute()["miou"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--frames", type=int, default=1000, help="at most so many")
    options = parser.parse_args()
    table = Table("temporal", "consistency", "jitter", "pulse")
    found: dict[str, Labels] = {}
    for temporal in get_args(Temporal):
        images, labels = extract(options.model, options.clip, temporal, options.frames)
        found[temporal] = labels
        metric = TemporalConsistency()
        metric.update(torch.from_numpy(images.transpose(0, 3, 1, 2)), torch.from_numpy(labels))
        values = metric.compute()
        jitter = np.nanmean([float(values[f"boundary_jitter_{name}"]) for name in CLASS_NAMES[1:]])
        changed = (labels[1:] != labels[:-1]).mean(axis=(1, 2))
        starts = np.arange(1, len(labels)) % 5 == 0
        pulse = changed[starts].mean() / changed[~starts].mean()
        consistency = 100 * float(values["tc_dis_medium"])
        table.add_row(temporal, f"{consistency:.1f}", f"{1000 * jitter:.2f}", f"{pulse:.2f}")
    console = Console()
    console.print(table)
    for name, part in (("first", np.s_[:100]), ("last", np.s_[-100:])):
        agreement = miou(found["stream"][part], found["window"][part])
        console.print(f"stream against window, {name} 100 frames: {agreement:.1f} %")
    console.print(f"{len(images)} frames of {options.clip.name}")


if __name__ == "__main__":
    main()
