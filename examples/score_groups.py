"""Scores by how hard a photograph is: pose, size and lightness of the face.

    python examples/score_groups.py RUN STILLS [RUN ...]

RUN is the folder of a tested model (what `facemask test` wrote), or several of them; STILLS the
photographs with their .pts files. Groups follow from the human landmarks and the pixels alone:

* turned: how far the nose's tip is from the middle between the jaw's sides, over half of their
  distance: below 0.25 the face is seen from the front, from 0.5 on nearly from the side;
* small: the crop's longest side is below 160 pixels;
* lightness: the mean CIELAB L* of the face's skin, which is skin tone and light together.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES, SKIN
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.files import read_image
from facemask.report.record import find_run

FOREGROUND = CLASS_NAMES[1:]


def groups_of(annotation: Path, longest: int) -> Iterator[str]:
    """The groups that a photograph belongs to; each is named KIND: GROUP."""
    points = read_pts(annotation)
    jaw, nose = points[[0, 16], 0], points[30, 0]
    turned = abs(nose - jaw.mean()) / max(abs(jaw[1] - jaw[0]) / 2, 1e-6)
    yield "pose: " + ("front" if turned < 0.25 else "half" if turned < 0.5 else "side")
    yield "size: " + ("below 160 px" if longest < 160 else "160 px and more")
    image = read_image(annotation.with_suffix(".jpg"))
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness = float(lab[landmarks_to_mask(points, *image.shape[:2]) == SKIN, 0].mean())
    yield "skin: L* " + (
        "below 40" if lightness < 40 else "40 to 60" if lightness < 60 else "60 and more"
    )


def main() -> None:
    """Print a table a run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("stills", type=Path)
    parser.add_argument("more", type=Path, nargs="*")
    options = parser.parse_args()
    for run in (options.run, *options.more):
        counts: dict[str, list[dict[str, float]]] = defaultdict(list)
        with (find_run(run) / "frames.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                numbers = {k: float(v) for k, v in row.items() if k.startswith(("inter", "union"))}
                longest = max(int(row["height"]), int(row["width"]))
                annotation = options.stills / f"{row['video']}.pts"
                for group in ("all", *groups_of(annotation, longest)):
                    counts[group].append(numbers)
        table = Table("", "images", "mIoU", *CLASS_NAMES[1:], title=f"IoU in %: {run}")
        for group in sorted(counts):
            rows = counts[group]
            ious = [
                sum(row[f"intersection_{name}"] for row in rows)
                / max(sum(row[f"union_{name}"] for row in rows), 1)
                for name in FOREGROUND
            ]
            cells = [f"{100 * value:.1f}" for value in (float(np.mean(ious)), *ious)]
            table.add_row(group, str(len(rows)), *cells)
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
