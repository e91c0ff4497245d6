"""Landmarks of turned videos: how often there are any, and how far from those of the upright video.

Run: python benchmarks/landmarks.py VIDEO... [--turns 90 180 30] [--frames 250]

Each video's frames are turned clockwise about their centre, in a picture that holds all of it, and
tracked as `facemask landmarks` does. Distances are means over the 68 points, turned back, over the
distance of the eyes' centres; the median and 95th percentile are over frames.
"""

import argparse
import itertools
import time
from pathlib import Path

import cv2
import numpy as np

from facemask.annotate.landmark_tracker import LandmarkTracker, LandmarkTrackerSettings
from facemask.annotate.predictor import LandmarkPredictor, Points
from facemask.boxes import Box
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Image
from facemask.turned import TurnedBox
from facemask.video.reading import open_source

RIGHT_ANGLES = {0: 0, 90: 3, 180: 2, 270: 1}  # np.rot90 turns counterclockwise


def turned(image: Image, degrees: int) -> tuple[Image, TurnedBox]:
    """Return the picture turned clockwise, and where in it the upright one lies."""
    height, width = image.shape[:2]
    upright = TurnedBox(Box(0, 0, width, height), degrees)
    bounds = upright.bounds
    place = TurnedBox(
        Box(-bounds.left, -bounds.top, width - bounds.left, height - bounds.top), degrees
    )
    if degrees in RIGHT_ANGLES:
        return np.ascontiguousarray(np.rot90(image, RIGHT_ANGLES[degrees])), place
    centre, right, below = place.to_image(np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])) - 0.5
    matrix = np.column_stack([right - centre, below - centre, centre])
    size = round(bounds.width), round(bounds.height)
    return np.asarray(cv2.warpAffine(image, matrix, size), dtype=np.uint8), place


def track(
    tracker: LandmarkTracker, images: list[Image], degrees: int
) -> tuple[list[Points | None], float]:
    """Return each frame's landmarks, turned back, and milliseconds a frame."""
    tracker.reset()
    found: list[Points | None] = []
    seconds = 0.0
    for image in images:
        picture, place = turned(image, degrees)
        start = time.perf_counter()
        points = tracker.step(picture)
        seconds += time.perf_counter() - start
        found.append(None if points is None else place.to_upright(points + 0.5) - 0.5)
    return found, seconds / len(images) * 1000


def distance(points: Points, reference: Points) -> float:
    eyes = reference[36:42].mean(axis=0) - reference[42:48].mean(axis=0)
    return float(np.linalg.norm(points - reference, axis=1).mean() / np.linalg.norm(eyes))


def row(name: str, degrees: int, errors: list[float | None], ms: float) -> str:
    found = [error for error in errors if error is not None]
    median, high = np.percentile(found, (50, 95)) if found else (np.nan, np.nan)
    share = len(found) / len(errors)
    return f"{name:24} {degrees:4} {len(errors):6} {share:6.1%} {median:7.4f} {high:6.4f} {ms:6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--turns", nargs="+", type=int, default=[0, 30, 45, 90, 180])
    parser.add_argument("--frames", type=int, default=250)
    args = parser.parse_args()
    predictor, settings = LandmarkPredictor(), LandmarkTrackerSettings(smallest_face=0.08)
    upright = LandmarkTracker(predictor, settings)
    trackers = {
        "landmarks": LandmarkTracker(predictor, settings, CenterFaceDetector(0.08)),
        "taken as upright": upright,
    }
    all_errors: dict[tuple[str, int], list[float | None]] = {}
    all_ms: dict[tuple[str, int], list[float]] = {}
    print("                         turn frames  found  median    p95     ms")
    for video in args.videos:
        with open_source(video) as source:
            images = [frame.image for frame in itertools.islice(source, args.frames)]
        reference, _ = track(upright, images, 0)
        for degrees, (name, tracker) in itertools.product(args.turns, trackers.items()):
            points, ms = track(tracker, images, degrees)
            errors = [
                None if there is None or here is None else distance(there, here)
                for there, here in zip(points, reference, strict=True)
            ]
            print(row(f"{name}, {video.parent.name}", degrees, errors, ms), flush=True)
            all_errors.setdefault((name, degrees), []).extend(errors)
            all_ms.setdefault((name, degrees), []).append(ms)
    for (name, degrees), errors in all_errors.items():
        print(row(name, degrees, errors, float(np.mean(all_ms[name, degrees]))))


if __name__ == "__main__":
    main()
