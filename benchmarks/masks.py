"""One face mask of 640 × 480: ours beside SciPy splines one by one and generic polygon code.

Run: python benchmarks/masks.py        (matplotlib, if installed, is timed too)
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from facemask.data.masks import REGION_CURVES, landmarks_to_mask
from facemask.data.synthetic import SyntheticVideo

HEIGHT, WIDTH = 480, 640
Points = npt.NDArray[np.float64]


def naive_outlines(points: Points) -> list[tuple[int, Points]]:
    outlines = []
    for class_id, curves in REGION_CURVES:
        parts = []
        for curve in curves:
            spline = CubicSpline(range(len(curve)), points[np.array(curve) - 1])
            parts.append(spline(np.linspace(0, len(curve) - 1, 24 * (len(curve) - 1) + 1)))
        outlines.append((class_id, np.concatenate(parts)))
    return outlines


def with_matplotlib(points: Points) -> npt.NDArray[np.uint8]:
    from matplotlib.path import Path as Polygon

    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for class_id, outline in naive_outlines(points):
        mask[Polygon(outline).contains_points(centres).reshape(mask.shape)] = class_id
    return mask


def with_fillpoly(points: Points) -> npt.NDArray[np.uint8]:
    """Fast, but it colours the boundary pixels too."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for class_id, outline in naive_outlines(points):
        cv2.fillPoly(mask, [np.rint(outline * 256).astype(np.int32)], class_id, shift=8)
    return mask


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    people = (
        SyntheticVideo(0, i, category=1, frames=1, width=WIDTH, height=HEIGHT, fps=30)
        for i in range(30)
    )
    faces = [person.points(0) for person in people]
    ways: dict[str, Callable[[Points], npt.NDArray[np.uint8]]] = {
        "landmarks_to_mask": lambda p: landmarks_to_mask(p, HEIGHT, WIDTH),
        "SciPy + cv2.fillPoly": with_fillpoly,
    }
    if importlib.util.find_spec("matplotlib"):
        ways["SciPy + matplotlib"] = with_matplotlib
    times: dict[str, list[float]] = {name: [] for name in ways}
    for points in faces:  # interleaved, so that a busy moment hits all alike
        for name, function in ways.items():
            start = time.perf_counter()
            function(points)
            times[name].append(1e3 * (time.perf_counter() - start))
    truth = [landmarks_to_mask(points, HEIGHT, WIDTH) for points in faces]
    print(f"{'way':<24}{'median ms':>10}{'IoU with ours: eyes':>21}{'lips':>7}")
    for name, function in ways.items():
        ious = []
        for class_id in (2, 3):
            masks = [
                (function(p) == class_id, t == class_id) for p, t in zip(faces, truth, strict=True)
            ]
            ious.append(sum((a & b).sum() for a, b in masks) / sum((a | b).sum() for a, b in masks))
        print(f"{name:<24}{statistics.median(times[name]):>10.2f}{ious[0]:>21.3f}{ious[1]:>7.3f}")


if __name__ == "__main__":
    main()
