"""From picture to mask: the weights on true crops, and on faces found by a detector.

    python benchmarks/upright.py STILLS [STILLS ...] [--count 150] [--turns 0 45 90 180]

STILLS are folders of pictures with 68 human points in a .pts of the same name; each gives `--count`
pictures, drawn by `--seed`. Every picture is turned clockwise by `--turns` degrees (one resampling
into a canvas that holds it, its border reflected), its truth is the mask of the points turned
likewise. The first row is the networks' own score: the crop of the true points, not turned. In the
others `FaceMaskExtractor.image` finds the face itself; one that it does not find is background.

mIoU in % is that of skin, eyes, lips and inner mouth from one confusion matrix over all pictures at
their original size. Box is the median overlap of found and true box, both turned upright; roll the
error in degrees against the direction of eyes and mouth (median, 90th percentile, share beyond 45);
ms is the median CPU time of a picture.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.boxes import Box, face_box_of_points, overlap
from facemask.classes import NUM_CLASSES
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300 import find_videos
from facemask.extraction import ExtractedFace, FaceMaskExtractor
from facemask.files import read_image, write_image
from facemask.metrics import class_iou, confusion_matrix
from facemask.models import Cascade
from facemask.tracking.detection import FaceDetector
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import TrackerSettings
from facemask.turned import TurnedBox, mean_angle, wrapped
from facemask.video.painting import overlay, side_by_side
from facemask.weights.load import load_model

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
SAME = 0.35  # overlap from which on a face is the annotated one


def turn_of(height: int, width: int, degrees: float) -> tuple[Points, tuple[int, int]]:
    """Matrix (2, 3) that turns an image clockwise into a canvas, and the canvas's width, height."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    across, down = np.ceil(np.abs(turn) @ (width, height) - 1e-6).astype(int).tolist()
    shift = np.array([across - 1, down - 1]) / 2 - turn @ ((width - 1) / 2, (height - 1) / 2)
    return np.column_stack([turn, shift]), (across, down)


def turned_image(
    image: Image, matrix: Points, size: tuple[int, int], border: int = cv2.BORDER_REFLECT_101
) -> Image:
    """One resampling."""
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=border), np.uint8)


class Picture(NamedTuple):
    """One picture with its 68 points, x, y in pixels from 0."""

    name: str
    image: Image
    points: Points

    def turned(self, degrees: float) -> "Picture":
        """The picture turned clockwise in a canvas that holds it."""
        if degrees == 0:
            return self
        height, width = self.image.shape[:2]
        matrix, size = turn_of(height, width, degrees)
        points = self.points @ matrix[:, :2].T + matrix[:, 2]
        return Picture(self.name, turned_image(self.image, matrix, size), points)

    @property
    def truth(self) -> Image:
        """The mask of the points."""
        return landmarks_to_mask(self.points, *self.image.shape[:2])

    @property
    def roll(self) -> float:
        """Mean of the directions from eye to eye and from mouth to eyes."""
        right, left = self.points[36:42].mean(axis=0), self.points[42:48].mean(axis=0)
        across = left - right
        up = (left + right) / 2 - self.points[48:68].mean(axis=0)
        angles = np.degrees(np.arctan2([across[1], up[0]], [across[0], -up[1]]))
        return mean_angle(angles.tolist())

    @property
    def place(self) -> TurnedBox:
        """The crop of the points after they are turned upright, with their roll."""
        upright = TurnedBox(Box(0.0, 0.0, 0.0, 0.0), self.roll)  # turns about (0, 0)
        crop = face_box_of_points(upright.to_upright(self.points))
        (x, y), half = upright.to_image(np.array([crop.center]))[0].tolist(), crop.side / 2
        return TurnedBox(Box(x - half, y - half, x + half, y + half), self.roll)


class Known:
    """The face of one picture, given beforehand."""

    def __init__(self, place: TurnedBox) -> None:
        self._place = place

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:  # noqa: ARG002
        """As `BoxesFile` does."""
        return {0: self._place}


@dataclass
class Score:
    """What one way of finding faces gave over all pictures."""

    name: str
    turn: float
    confusion: torch.Tensor = field(
        default_factory=lambda: torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    )
    found: list[bool] = field(default_factory=list)
    boxes: list[float] = field(default_factory=list)
    rolls: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    worst: list[tuple[float, str, Image]] = field(default_factory=list)

    def add(self, picture: Picture, faces: list[ExtractedFace], seconds: float, keep: int) -> None:
        """Count one picture; the `keep` worst of all are kept as pictures."""
        true = picture.place
        pairs = [(overlap(face.turned_box.box, true.box), face) for face in faces]
        best, face = max(pairs, key=lambda pair: pair[0], default=(0.0, None))
        self.found.append(best >= SAME)
        self.seconds.append(seconds)
        labels = np.zeros(picture.image.shape[:2], np.uint8)
        if face is not None and self.found[-1]:
            self.boxes.append(best)
            self.rolls.append(abs(wrapped(face.roll - true.roll)))
            labels = face.labels
        truth = picture.truth
        counts = confusion_matrix(torch.from_numpy(labels), torch.from_numpy(truth), NUM_CLASSES)
        self.confusion += counts
        if keep:
            value = float(class_iou(counts)[1:].nanmean())
            pair = side_by_side(overlay(picture.image, labels), overlay(picture.image, truth))
            self.worst = sorted([*self.worst, (value, picture.name, pair)], key=lambda w: w[0])
            del self.worst[keep:]

    def cells(self) -> list[str]:
        """Its row of the table."""
        iou = 100 * class_iou(self.confusion)[1:].numpy()
        rolls = np.array(self.rolls or [np.nan])
        spread = f"{np.median(rolls):.1f} ({np.percentile(rolls, 90):.1f})"
        return [
            self.name,
            f"{self.turn:g}°",
            f"{100 * np.mean(self.found):.1f}",
            f"{iou.mean():.2f}",
            *(f"{value:.1f}" for value in iou),
            f"{np.median(self.boxes or [np.nan]):.3f}",
            spread,
            f"{100 * np.mean(rolls > 45):.1f}",
            f"{1e3 * np.median(self.seconds):.0f}",
        ]


def pictures(folders: list[Path], count: int, seed: int) -> Iterator[Picture]:
    """The pictures drawn from each folder."""
    for folder in folders:
        stills = [still for still in find_videos(folder)[0] if still.is_still]
        random = np.random.default_rng(seed)
        for n in sorted(random.permutation(len(stills))[:count].tolist()):
            still = stills[n]
            points = read_pts(still.annotations[1])
            yield Picture(f"{folder.name}-{still.name}", read_image(still.path), points)


def timed(extractor: FaceMaskExtractor, image: Image) -> tuple[list[ExtractedFace], float]:
    start = time.process_time()
    faces = extractor.image(image).faces
    return faces, time.process_time() - start


def measure(cascade: Cascade, detector: FaceDetector, options: argparse.Namespace) -> list[Score]:
    ways = list(itertools.product(options.upright, options.passes))
    extractors = [
        FaceMaskExtractor(
            cascade,
            detector,
            tracking=TrackerSettings(upright=upright == "on"),
            passes=passes,
        )
        for upright, passes in ways
    ]
    true = Score("true crop", 0)
    names = ["true crop and roll", *(f"upright {u}, passes {p}" for u, p in ways)]
    turned = [[Score(name, turn) for name in names] for turn in options.turns]
    keep = options.keep if options.worst else 0
    for picture in pictures(options.stills, options.count, options.seed):
        known = Known(TurnedBox(face_box_of_points(picture.points)))
        true.add(picture, *timed(FaceMaskExtractor(cascade, known, passes=1), picture.image), keep)
        for degrees, (best, *found) in zip(options.turns, turned, strict=True):
            shown = picture.turned(degrees)
            given = FaceMaskExtractor(cascade, Known(shown.place), passes=1)
            best.add(shown, *timed(given, shown.image), keep)
            for extractor, score in zip(extractors, found, strict=True):
                score.add(shown, *timed(extractor, shown.image), keep)
    return [true, *itertools.chain(*turned)]


def write_sheet(path: Path, tiles: list[tuple[float, str, Image]], width: int = 640) -> None:
    """Write pictures below one another, each with its value in % and its name."""
    rows = []
    for value, name, picture in tiles:
        row = cv2.resize(picture, (width, round(width * picture.shape[0] / picture.shape[1])))
        text = f"{name} {100 * value:.0f}"
        cv2.putText(row, text, (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0))
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.concatenate(rows).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stills", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=150, help="pictures of each folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", type=float, nargs="+", default=[0, 45, 90, 180])
    parser.add_argument("--passes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--upright", choices=("on", "off"), nargs="+", default=["on", "off"])
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--model", default="default")
    parser.add_argument("--worst", type=Path, help="folder for the worst pictures of each row")
    parser.add_argument("--keep", type=int, default=12, help="so many of them")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    scores = measure(load_model(options.model), open_detector(options.detector), options)
    classes = ["skin", "eyes", "lips", "inner mouth"]
    table = Table("", "turned", "found %", "mIoU", *classes, "box", "roll", "> 45 %", "ms")
    for score in scores:
        table.add_row(*score.cells())
        if options.worst:
            stem = f"{score.name} {score.turn:g}".replace(",", "").replace(" ", "-")
            write_sheet(options.worst / f"{stem}.png", score.worst)
    console = Console(width=140)
    console.print(table)
    console.print(f"{len(scores[0].found)} pictures, {torch.get_num_threads()} thread")


if __name__ == "__main__":
    main()
