"""Which faces detectors find: upright ones, turned ones, small ones.

Run: python benchmarks/finding.py STILLS ... [--detector centerface dlib] [--every 4] [--turn 0 45]
     python benchmarks/finding.py STILLS ... --sides 640 320 192 128 77 40 24 [--smallest 0.02]

STILLS are folders of pictures with a .pts of the same name, one face each. The pictures are looked
at as they are, turned about their middle (the border goes on), and pasted into a scene of
1280 × 720 pixels (the cup of coffee of scikit-image) so that the face's crop has a side of 60
pixels. Upright pictures cost one run, turned ones four, or --eight. Found is a face of
score 0.5 or more whose crop has an IoU of 0.4 or more with the true one; off is the error of its
roll in degrees, median (90th percentile), and far the share of the found whose roll is off by more
than 45. --sides are those of upright faces in the scene; ms is the CPU time of a picture, one
thread.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from skimage import data as pictures

from facemask.boxes import Box, face_box_of_points, overlap
from facemask.data.landmarks import read_pts
from facemask.files import read_image
from facemask.tracking.detection import FaceDetector, Image
from facemask.tracking.detectors import open_detector
from facemask.tracking.five_points import roll_of_five_points
from facemask.tracking.turns import EIGHT_TURNS, RIGHT_ANGLES, detect_turned
from facemask.turned import Points, TurnedBox, wrapped

PICTURE: Image = pictures.coffee()  # type: ignore[no-untyped-call]
WIDTH, HEIGHT = 1280, 720
SIDE = 60
USUAL = 0.5
HIT = 0.4


class Still(NamedTuple):
    """A picture and its 68 landmarks, in pixel edges."""

    image: Image
    points: Points


class Tally(NamedTuple):
    """What came of many pictures: faces found, errors of their rolls, CPU times in ms."""

    found: list[bool]
    off: list[float]
    times: list[float]


def stills(folders: Sequence[Path], every: int) -> Iterator[Still]:
    for folder in folders:
        for pts in sorted(folder.glob("*.pts"))[::every]:
            image = read_image(next(p for p in pts.parent.glob(f"{pts.stem}.*") if p != pts))
            yield Still(image, read_pts(pts) + 0.5)


def truth(points: Points) -> TurnedBox:
    """The crop of the face turned upright, and the roll."""
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    roll = roll_of_five_points(np.stack([*eyes, points[30], points[48], points[54]]))
    about = TurnedBox(Box.around(0.0, 0.0, 0.0), roll)
    upright = face_box_of_points(about.to_upright(points) - 0.5)
    ((x, y),) = about.to_image(np.array([upright.center]))
    return TurnedBox(Box.around(float(x), float(y), upright.side), roll)


def moved(still: Still, matrix: Points, width: int, height: int, onto: Image | None) -> Still:
    """A still, its pixel edges mapped by (2, 3), its border going on or the picture showing."""
    to_centers = matrix.copy()
    to_centers[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    smaller = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    # as a camera would: what is reduced is blurred before it is sampled
    image = cv2.GaussianBlur(still.image, (0, 0), 0.4 / smaller) if smaller < 1 else still.image
    beside = cv2.BORDER_REPLICATE if onto is None else cv2.BORDER_TRANSPARENT
    target = np.zeros((height, width, 3), dtype=np.uint8) if onto is None else onto.copy()
    cv2.warpAffine(image, to_centers, (width, height), dst=target, borderMode=beside)
    return Still(target, still.points @ matrix[:, :2].T + matrix[:, 2])


def rotation(degrees: float, scale: float) -> Points:
    radians = np.radians(degrees)
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    return np.array([[cos, -sin], [sin, cos]])


def turned(still: Still, degrees: float) -> Still:
    if degrees == 0:
        return still
    height, width = still.image.shape[:2]
    turn = rotation(degrees, 1.0)
    new_width, new_height = np.rint(np.abs(turn) @ [width, height]).astype(int).tolist()
    shift = np.array([new_width, new_height]) / 2 - turn @ [width / 2, height / 2]
    return moved(still, np.column_stack([turn, shift]), new_width, new_height, None)


def pasted(still: Still, degrees: float, side: float, random: np.random.Generator) -> Still:
    """The still somewhere in the scene, its crop of this side inside."""
    face = truth(still.points)
    scale = side / face.box.side
    turn = rotation(degrees, scale)
    inside = random.uniform([side, side], [WIDTH - side, HEIGHT - side])
    middle = np.array([WIDTH, HEIGHT]) / 2 if side > HEIGHT / 2 else inside
    shift = middle - turn @ face.box.center
    scene = cv2.resize(PICTURE, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    onto = np.asarray(scene, dtype=np.uint8)
    return moved(still, np.column_stack([turn, shift]), WIDTH, HEIGHT, onto)


def look(detector: FaceDetector, still: Still, tally: Tally, turns: Sequence[float]) -> None:
    face = truth(still.points)
    start = time.process_time()
    found = detect_turned(detector, still.image, turns)
    tally.times.append(1e3 * (time.process_time() - start))
    hits = [f for f in found if f.score >= USUAL and overlap(f.box, face.box) >= HIT]
    tally.found.append(bool(hits))
    if hits:
        tally.off.append(abs(wrapped(hits[0].roll - face.roll)))


def cells(tally: Tally) -> str:
    found = f"{np.mean(tally.found):.1%} | {np.median(tally.times):.0f}"
    if not tally.off:
        return f"{found} | – | –"
    off = np.array(tally.off)
    far = np.mean(off > 45)
    return f"{found} | {np.median(off):.1f} ({np.percentile(off, 90):.1f}) | {far:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stills", type=Path, nargs="+", help="folders of pictures with .pts files")
    parser.add_argument("--detector", nargs="+", default=["centerface"])
    parser.add_argument("--model", type=Path, help="yunet's file")
    parser.add_argument("--smallest", type=float, help="smallest face, share of the longer side")
    parser.add_argument("--every", type=int, default=1, help="every how manieth still")
    parser.add_argument("--turn", type=float, nargs="+", default=[0, 45, 90, 135, 180])
    parser.add_argument("--eight", action="store_true", help="eight runs for turned pictures")
    parser.add_argument("--pictures", nargs="+", default=["alone", "scene"])
    parser.add_argument("--sides", type=float, nargs="*", help="upright faces in the scene alone")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    turns = EIGHT_TURNS if options.eight else RIGHT_ANGLES
    trials = [(kind, turn, float(SIDE)) for kind in options.pictures for turn in options.turn]
    if options.sides:
        trials = [("scene", 0.0, side) for side in options.sides]
    print("| detector | picture | turned | side | n | found | ms | off | far |")
    print("| --- | --- |" + " ---: |" * 7)
    for name in options.detector:
        model = options.model if name == "yunet" else None
        detector = open_detector(name, model, options.smallest)
        for kind, turn, side in trials:
            random = np.random.default_rng(0)
            tally = Tally([], [], [])
            for still in stills(options.stills, options.every):
                alone = kind == "alone"
                picture = turned(still, turn) if alone else pasted(still, turn, side, random)
                look(detector, picture, tally, turns if turn else turns[:1])
            where = "– " if kind == "alone" else f"{side:.0f}"
            row = f"| {name} | {kind} | {turn:.0f}° | {where} | {len(tally.found)} "
            print(f"{row}| {cells(tally)} |", flush=True)


if __name__ == "__main__":
    main()
