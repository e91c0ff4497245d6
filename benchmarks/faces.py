"""Faces found, and falsely found: upright, turned and small ones.

Run: python benchmarks/faces.py FOLDER... [--without FOLDER] [--detectors centerface dlib]
     [--detector_model FILE] [--every 1] [--eight] [--sides 128 77 40] [--smallest 0.02]

Each FOLDER holds pictures with a .pts file of the same name (68 landmarks of one face); the folder
of --without, and those in it, hold pictures without any. Prints for each detector the share of
faces found in the pictures as they are, turned by 45 to 180 degrees (four runs, more if they find
nothing, and a second look at what is not sure, as facemask does with photographs; or --eight, runs
at every 45 degrees), and pasted into scenes of 1280 x 720, their crop 60 pixels wide, upright and
turned by the same angles in turn. The scenes are the largest pictures of --without, or blurred
noise. With --sides it is upright faces in scenes alone, of these crops, with one run; --smallest
goes to the detector. Then it counts the pictures of --without in which a face is found.

A face counts as found by a detection with a score of at least 0.5 whose turned crop has an IoU of
more than 0.4 with the true one: the landmarks' crop, turned with the picture. Its roll is compared
with that of the landmarks' eyes, nose and mouth.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, face_box_of_points
from facemask.data.landmarks import read_pts
from facemask.files import read_image
from facemask.tracking.detection import Detection, FaceDetector, Image
from facemask.tracking.detectors import open_detector
from facemask.tracking.five_points import roll_of_five_points
from facemask.tracking.second_look import faces_of_photograph
from facemask.tracking.turns import EIGHT_TURNS, detect_turned
from facemask.turned import TurnedBox, wrapped

Points = npt.NDArray[np.float64]
Way = Callable[[FaceDetector, Image], list[Detection]]
MatrixOf = Callable[[Image, Box], tuple[Points, int]]
SCENE: Final = (720, 1280)
PASTED: Final = 60
ANGLES: Final = (45, 90, 135, 180)
SCORES: Final = (0.5, 0.6, 0.7, 0.8, 0.9)
SUFFIXES: Final = (".png", ".jpg", ".jpeg")


class Picture(NamedTuple):
    """A picture with the truth about its face: crop and roll, and how the crop is turned."""

    image: Image
    crop: TurnedBox
    roll: float


class Answer(NamedTuple):
    """What was found of a face: IoU (0 if nothing), error of the roll, CPU time in ms."""

    iou: float
    error: float
    ms: float


def once(detector: FaceDetector, image: Image) -> list[Detection]:
    """One run."""
    return detector.detect(image)


def as_photographs(detector: FaceDetector, image: Image) -> list[Detection]:
    """Four runs, more if they find nothing, and a second look at the faces that are not sure."""
    return faces_of_photograph(detector, image, 0.5)


def eight_times(detector: FaceDetector, image: Image) -> list[Detection]:
    """One run for every 45 degrees."""
    return detect_turned(detector, image, EIGHT_TURNS)


def shown(
    pts: Path, matrix_of: Callable[[Image, Box], tuple[Points, int]], scene: Image
) -> Picture:
    """A still, shown in a scene by a matrix (2, 3) that takes pixel edges to pixel edges."""
    still = read_image(next(p for p in pts.parent.glob(f"{pts.stem}.*") if p != pts))
    points = read_pts(pts)
    crop = face_box_of_points(points)
    matrix, angle = matrix_of(still, crop)
    side = crop.side * float(np.linalg.norm(matrix[:, 0]))
    x, y = (matrix[:, :2] @ crop.center + matrix[:, 2]).tolist()
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    five = np.stack([*eyes, points[30], points[48], points[54]])
    image = painted(still, matrix, scene)
    roll = wrapped(roll_of_five_points(five) + angle)
    return Picture(image, TurnedBox(Box.around(x, y, side), float(angle)), roll)


def painted(still: Image, matrix: Points, scene: Image) -> Image:
    """The scene with a picture drawn into it, antialiased where it is reduced."""
    scale = float(np.linalg.norm(matrix[:, 0]))
    if scale < 1:
        size = [max(1, round(scale * n)) for n in still.shape[1::-1]]
        shrunk = cv2.resize(still, size, interpolation=cv2.INTER_AREA)
        matrix = matrix.copy()
        matrix[:, :2] *= np.array(still.shape[1::-1]) / size
        still = np.asarray(shrunk, dtype=np.uint8)
    centres = matrix.copy()  # OpenCV counts from pixel centres
    centres[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    drawn = cv2.warpAffine(
        still, centres, scene.shape[1::-1], dst=scene.copy(),
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT,
    )  # fmt: skip
    return np.asarray(drawn, dtype=np.uint8)


def turning(angle: int, scale: float) -> Points:
    """The matrix (2, 2) that turns clockwise and enlarges."""
    radians = np.radians(angle)
    cos, sin = np.cos(radians), np.sin(radians)
    return scale * np.array([[cos, -sin], [sin, cos]])


def turned(pts: Path, angle: int) -> Picture:
    """A still as it is, or turned on a grey ground that holds all of it."""
    still = read_image(next(p for p in pts.parent.glob(f"{pts.stem}.*") if p != pts))
    height, width = still.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turning(angle, 1).T
    low = corners.min(axis=0)
    columns, rows = np.ceil((corners.max(axis=0) - low).round(6)).astype(int).tolist()
    matrix = np.column_stack([turning(angle, 1), -low])
    ground = np.full((rows, columns, 3), 128, dtype=np.uint8)
    return shown(pts, lambda *_: (matrix, angle), ground)


def pasted(
    pts: Path, angle: int, scene: Image, rng: np.random.Generator, side: float = PASTED
) -> Picture:
    """A still, reduced until its crop has 60 pixels, somewhere in a scene."""
    margin = min(side, SCENE[0] / 2)
    place = rng.uniform((margin, margin), (SCENE[1] - margin, SCENE[0] - margin))

    def matrix_of(_: Image, crop: Box) -> tuple[Points, int]:
        linear = turning(angle, side / crop.side)
        return np.column_stack([linear, place - linear @ crop.center]), angle

    return shown(pts, matrix_of, scene)


def overlap_of_turned(one: TurnedBox, other: TurnedBox) -> float:
    """The IoU of two turned squares."""
    first, second = (
        (turned_box.box.center, (turned_box.box.width, turned_box.box.height), turned_box.roll)
        for turned_box in (one, other)
    )
    _, corners = cv2.rotatedRectangleIntersection(first, second)
    shared = 0.0 if corners is None else cv2.contourArea(cv2.convexHull(corners))
    areas = one.box.width * one.box.height + other.box.width * other.box.height
    return shared / (areas - shared)


def answered(picture: Picture, detector: FaceDetector, way: Way) -> Answer:
    start = time.process_time()
    faces = way(detector, picture.image)
    ms = 1e3 * (time.process_time() - start)
    for face in faces:
        iou = overlap_of_turned(TurnedBox(face.box, face.roll), picture.crop)
        if face.score >= 0.5 and iou > 0.4:
            return Answer(iou, abs(wrapped(face.roll - picture.roll)), ms)
    return Answer(0.0, 180.0, ms)


def scenes(pictures: Sequence[Path]) -> Iterator[Image]:
    """Scenes of 1280 × 720, over and over."""
    rng, made = np.random.default_rng(0), []
    for path in pictures:
        image = read_image(path)
        if image.shape[1] >= SCENE[1] / 2 and image.shape[1] > image.shape[0]:
            scale = max(wanted / has for wanted, has in zip(SCENE, image.shape[:2], strict=True))
            size = [int(np.ceil(scale * n)) for n in image.shape[1::-1]]
            large = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            made.append(np.asarray(large[: SCENE[0], : SCENE[1]], dtype=np.uint8))
    for _ in range(0 if made else 8):
        coarse = rng.uniform(0, 255, (18, 32, 3)).astype(np.uint8)
        large = cv2.resize(coarse, SCENE[::-1], interpolation=cv2.INTER_CUBIC)
        made.append(np.asarray(large, dtype=np.uint8))
    return cycle(made)


def row(title: str, answers: list[Answer]) -> str:
    """A row of the table."""
    iou, errors, ms = (np.array(column) for column in zip(*answers, strict=True))
    found, hits = iou > 0, iou[iou > 0]
    near, far = (np.mean(errors < limit) for limit in (20, 45))
    spread = f"{np.median(hits):.3f} ({np.percentile(hits, 5):.3f})" if len(hits) else "–"
    return (
        f"| {title} | {len(answers)} | {found.mean():.1%} | {near:.1%} | {far:.1%} | {spread} "
        f"| {np.median(ms):.0f} |"
    )


def found_table(folder: Path, names: list[str], options: argparse.Namespace) -> None:
    stills = sorted(folder.glob("*.pts"))[:: options.every]
    print(f"\n{folder.name}: {len(stills)} faces\n")
    print("| detector, pictures | faces | found | roll within 20° | within 45° | IoU | ms |")
    print("| --- |" + " ---: |" * 6)
    backgrounds = pictures_of(options.without) if options.without else []
    way = eight_times if options.eight else as_photographs
    for name in names:
        large = open_detector(name, options.detector_model if name == "yunet" else None)
        share = PASTED / SCENE[1] if name in ("dlib", "yunet") else None
        small = open_detector(name, options.detector_model if name == "yunet" else None, share)
        for angle in (0, *ANGLES):
            title = f"{name}, turned by {angle}°" if angle else f"{name}, as they are"
            answers = [answered(turned(pts, angle), large, way) for pts in stills]
            print(row(title, answers), flush=True)
        for angles, title in (((0,), "pasted"), (ANGLES, "pasted and turned")):
            rng, scene = np.random.default_rng(0), scenes(backgrounds)
            answers = [
                answered(pasted(pts, angle, next(scene), rng), small, way)
                for pts, angle in zip(stills, cycle(angles), strict=False)
            ]
            print(row(f"{name}, {title}", answers), flush=True)


def sides_table(folder: Path, names: list[str], options: argparse.Namespace) -> None:
    """Upright faces of several sizes, in scenes."""
    stills = sorted(folder.glob("*.pts"))[:: options.every]
    print(f"\n{folder.name}: {len(stills)} faces in scenes\n")
    print(
        "| detector, side of the crop | faces | found | roll within 20° | within 45° | IoU | ms |"
    )
    print("| --- |" + " ---: |" * 6)
    backgrounds = pictures_of(options.without) if options.without else []
    for name in names:
        model = options.detector_model if name == "yunet" else None
        detector = open_detector(name, model, options.smallest)
        for side in options.sides:
            rng, scene = np.random.default_rng(0), scenes(backgrounds)
            answers = [
                answered(pasted(pts, 0, next(scene), rng, side), detector, once) for pts in stills
            ]
            print(row(f"{name}, {side:.0f}", answers), flush=True)


def pictures_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def false_table(folder: Path, names: list[str], model: Path | None) -> None:
    """Count the pictures in which a face is found that has none, by the folders they are in."""
    groups: dict[str, list[Path]] = {}
    for path in pictures_of(folder):
        groups.setdefault(path.parent.name, []).append(path)
    print("\n| pictures without faces | of | detector | runs |", end="")
    print("".join(f" score ≥ {score} |" for score in SCORES))
    print("| --- | ---: | --- | ---: |" + " ---: |" * len(SCORES))
    for name in names:
        detector = open_detector(name, model if name == "yunet" else None)
        for group, paths in groups.items():
            for way, runs in ((once, "1"), (detect_turned, "4"), (as_photographs, "4, again")):
                best = np.array(
                    [
                        max((face.score for face in way(detector, read_image(path))), default=0)
                        for path in paths
                    ]
                )
                counts = "".join(f" {np.sum(best >= score)} |" for score in SCORES)
                print(f"| {group} | {len(paths)} | {name} | {runs} |{counts}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*", help="pictures with .pts files")
    parser.add_argument("--without", type=Path, help="pictures without faces")
    parser.add_argument("--detectors", nargs="+", default=["centerface"], help="their names")
    parser.add_argument("--detector_model", type=Path, help="model file of yunet")
    parser.add_argument("--eight", action="store_true", help="eight runs for turned pictures")
    parser.add_argument("--sides", type=float, nargs="+", help="sides of crops, in pixels")
    parser.add_argument("--smallest", type=float, help="smallest face, for --sides")
    parser.add_argument("--every", type=int, default=1, help="take every nth still")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for folder in options.folders:
        table = sides_table if options.sides else found_table
        table(folder, options.detectors, options)
    if options.without:
        false_table(options.without, options.detectors, options.detector_model)


if __name__ == "__main__":
    main()
