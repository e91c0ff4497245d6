"""The scores that landmarks' own noise allows: jittered points' masks against the points' masks.

    python examples/label_noise.py STILLS [STILLS ...] [--noise 0.5] [--longest 300]

STILLS are folders of photographs with a .pts file of 68 landmarks beside each. Every point is moved
by Gaussian noise, independent of the others, whose standard deviation (in x and in y) is a share of
the face's size, the longer side of the points' box. Groups are those of score_groups.py. If people
place points as unsurely as that, better scores than these say nothing.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from facemask.boxes import face_crop_box
from facemask.classes import CLASS_NAMES
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.files import read_image
from facemask.metrics import MaskIoU
from score_groups import opening_groups


def score_noise(
    annotations: Sequence[Path], noise: float, longest: int
) -> tuple[dict[str, MaskIoU], dict[str, int]]:
    """Scores and images of each group.

    Args:
        annotations: `.pts` files, a `.jpg` beside each.
        noise: Standard deviation of a point in x and in y, in % of the face's size.
        longest: Pixels of a crop's longer side; larger ones are reduced.
    """
    random = np.random.default_rng(0)
    scores: dict[str, MaskIoU] = defaultdict(MaskIoU)
    images: dict[str, int] = defaultdict(int)
    for annotation in annotations:
        points = read_pts(annotation)
        box = face_crop_box(points, *read_image(annotation.with_suffix(".jpg")).shape[:2])
        scale = min(1.0, longest / max(box.width, box.height))
        points = (points - (box.left, box.top) + 0.5) * scale - 0.5
        height, width = round(box.height * scale), round(box.width * scale)
        spread = noise / 100 * np.ptp(points, axis=0).max()
        moved = points + random.normal(0, spread, points.shape)
        masks = [torch.from_numpy(landmarks_to_mask(p, height, width)) for p in (moved, points)]
        for group in ("all", *opening_groups(points)):
            scores[group].update(*masks)
            images[group] += 1
    return scores, images


def main() -> None:
    """Print a row a group."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("stills", type=Path, nargs="+")
    parser.add_argument("--noise", type=float, default=0.5, help="in %% of the face's size")
    parser.add_argument("--longest", type=int, default=300, help="pixels of a crop's longer side")
    options = parser.parse_args()
    annotations = sorted(path for folder in options.stills for path in folder.glob("*.pts"))
    scores, images = score_noise(annotations, options.noise, options.longest)
    title = f"IoU in %, {options.noise} % of noise"
    table = Table("", "images", "mIoU", *CLASS_NAMES[1:], title=title)
    for group, metric in sorted(scores.items()):
        found = metric.compute()
        ious = [100 * float(found[f"iou_{name}"]) for name in CLASS_NAMES[1:]]
        table.add_row(group, str(images[group]), *(f"{v:.1f}" for v in (np.mean(ious), *ious)))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
