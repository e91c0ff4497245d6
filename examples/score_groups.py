"""Scores by how hard a photograph is: pose, size and lightness of the face.

    python examples/score_groups.py RUN STILLS [RUN ...]

RUN is the folder of a tested model (what `facemask test` wrote), or several of them; STILLS the
photographs with their .pts files. Groups follow from the human landmarks and the pixels alone:

* turned: how far the nose's tip is from the middle between the jaw's sides, over half of their
  distance: below 0.25 the face is seen from the front, from 0.5 on nearly from the side;
* size: the crop's longest side in pixels;
* eyes: shut or lowered where they are less than a fifth as high as wide, of the landmarks;
* mouth: shut where the inner lips are nearer than 2 % of the mouth's width;
* lightness: the mean CIELAB L* of the face's skin, which is skin tone and light together.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES, SKIN
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.files import read_image
from facemask.report.record import find_run

FOREGROUND = CLASS_NAMES[1:]
EYES_SHUT, MOUTH_SHUT = 0.2, 0.02


def eyes_opening(points: npt.NDArray[np.float64]) -> float:
    """Mean height over width of the eyes of 68 landmarks (68, 2)."""
    eyes = points[36:48].reshape(2, 6, 2)
    width = np.linalg.norm(eyes[:, 3] - eyes[:, 0], axis=1)
    height = np.linalg.norm(eyes[:, 1:3] - eyes[:, [5, 4]], axis=2).mean(axis=1)
    return float((height / width).mean())


def mouth_opening(points: npt.NDArray[np.float64]) -> float:
    """Mean distance of the inner lips over the mouth's width, of 68 landmarks (68, 2)."""
    gap = np.linalg.norm(points[61:64] - points[[67, 66, 65]], axis=1).mean()
    return float(gap / np.linalg.norm(points[54] - points[48]))


def opening_groups(points: npt.NDArray[np.float64]) -> Iterator[str]:
    """The groups of eyes and mouth that 68 landmarks (68, 2) belong to."""
    yield "eyes: " + ("shut or lowered" if eyes_opening(points) < EYES_SHUT else "open")
    yield "mouth: " + ("shut" if mouth_opening(points) < MOUTH_SHUT else "open")


def groups_of(annotation: Path, longest: int) -> Iterator[str]:
    """The groups that a photograph belongs to; each is named KIND: GROUP."""
    points = read_pts(annotation)
    jaw, nose = points[[0, 16], 0], points[30, 0]
    turned = abs(nose - jaw.mean()) / max(abs(jaw[1] - jaw[0]) / 2, 1e-6)
    yield "pose: " + ("front" if turned < 0.25 else "half" if turned < 0.5 else "side")
    yield "size: " + ("below 150 px" if longest < 150 else "150 px and more")
    yield from opening_groups(points)
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
