"""Face detectors, measured on annotated videos and stills.

Run: python benchmarks/detectors.py VIDEOS [--stills FOLDER] [--frames 600]
     [--detector centerface|dlib|mediapipe|yunet] [--detector_model FILE]

VIDEOS is a folder in the 300VW layout (NNN/vid.*, NNN/annot/000001.pts), FOLDER one of pictures
with a .pts of the same name. Prints the constants that map the detector's own box to the
face crop (videos and stills with the same weight), the detection rate and the overlap of mapped
and true crop. "True" is what the .pts say. The tracker has a benchmark of its own, `tracking.py`.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, face_box_of_points, overlap
from facemask.data.landmarks import read_pts
from facemask.data.vw300 import read_frames
from facemask.files import read_image
from facemask.tracking.detection import BoxMapping, Image
from facemask.tracking.detectors import (
    CenterFaceDetector,
    DlibDetector,
    MediapipeDetector,
    YunetDetector,
)
from facemask.tracking.five_points import crop_of_five_points

Detector = CenterFaceDetector | DlibDetector | MediapipeDetector | YunetDetector
DETECTORS: dict[str, type[Detector]] = {
    "centerface": CenterFaceDetector,
    "dlib": DlibDetector,
    "mediapipe": MediapipeDetector,
    "yunet": YunetDetector,
}
Points = npt.NDArray[np.float64]
ROUGH = BoxMapping(0.0, 0.07, 1.2)  # only decides which box is whose


class Sample(NamedTuple):
    """An image with its landmarks; group is videos or stills."""

    group: str
    image: Image
    points: Points


def frames(video: Path, count: int) -> Iterator[tuple[Image, Points | None]]:
    for number, image in read_frames(next(video.glob("vid.*")), range(1, count + 1)):
        pts = video / "annot" / f"{number:06d}.pts"
        yield image, read_pts(pts) if pts.exists() else None


def samples(videos: list[Path], stills: Path | None, count: int) -> Iterator[Sample]:
    for video in videos:
        every = max(1, min(count, len(list((video / "annot").glob("*.pts")))) // 40)
        for number, (image, points) in enumerate(frames(video, count)):
            if number % every == 0 and points is not None:
                yield Sample("videos", image, points)
    for pts in sorted(stills.glob("*.pts"))[::2] if stills else []:
        image = read_image(next(p for p in pts.parent.glob(f"{pts.stem}.*") if p != pts))
        yield Sample("stills", image, read_pts(pts))


def relation(own: Box, crop: Box) -> Points:
    """The mapping that would be right for one face."""
    (x, y), (cx, cy) = own.center, crop.center
    return np.array([(cx - x) / own.side, (cy - y) / own.side, crop.side / own.side])


def fit(detector: Detector, data: list[Sample]) -> None:
    faces: dict[tuple[int, str], list[tuple[Box, Box]]] = {}
    found: dict[str, list[bool]] = {}
    times, false = [], 0
    for group, image, points in data:
        crop = face_box_of_points(points)
        start = time.process_time()
        own_boxes = detector.own_boxes(image)
        times.append(1e3 * (time.process_time() - start))
        right = [f for f in own_boxes if overlap(ROUGH.crop(f.box), crop) > 0.4]
        sure = [f for f in right if f.score >= 0.5]
        false += sum(f.score >= 0.5 for f in own_boxes) - len(sure)
        found.setdefault(group, []).append(bool(sure))
        for face in sure:
            faces.setdefault((face.kind, group), []).append((face.box, crop))
    for group, hits in found.items():
        print(f"{group}: {np.mean(hits):.1%} of {len(hits)} faces found")
    print(f"false faces an image {false / len(data):.3f}, CPU ms an image {np.median(times):.0f}")
    for kind in sorted({kind for kind, _ in faces}):
        parts = {group: pairs for (k, group), pairs in faces.items() if k == kind}
        medians = [
            np.median([relation(*pair) for pair in pairs], axis=0) for pairs in parts.values()
        ]
        mapping = BoxMapping(*np.mean(medians, axis=0).tolist())
        print(
            f"kind {kind}: x {mapping.x:+.3f}, y {mapping.y:+.3f}, scale {mapping.scale:.3f}; IoU"
        )
        for group, pairs in parts.items():
            show_spread(group, [overlap(mapping.crop(own), crop) for own, crop in pairs])


def handed_out(detector: Detector, data: list[Sample]) -> None:
    """The crops of `detect`, with what the detector makes of points and rolls."""
    print("crops handed out; IoU")
    ious: dict[str, list[float]] = {}
    for group, image, points in data:
        crop = face_box_of_points(points)
        best = max((overlap(face.box, crop) for face in detector.detect(image)), default=0.0)
        ious.setdefault(group, []).append(best)
    for group, values in ious.items():
        show_spread(group, [iou for iou in values if iou > 0.4])


def show_spread(group: str, ious: list[float]) -> None:
    median, low = np.median(ious), np.percentile(ious, 5)
    print(f"  {group} ({len(ious)}): median {median:.3f}, 5th percentile {low:.3f}")


def five_points(data: list[Sample]) -> None:
    """YuNet's mapping on the landmarks' own five points: the model itself is not needed."""
    print("five points (YuNet's rule on the annotated points); IoU")
    for group in ("videos", "stills"):
        ious = []
        for _, _, p in (sample for sample in data if sample.group == group):
            eyes = [p[36:42].mean(axis=0), p[42:48].mean(axis=0)]
            five = np.stack([*eyes, p[30], p[48], p[54]]) + 0.5
            ious.append(overlap(crop_of_five_points(five), face_box_of_points(p)))
        if ious:
            show_spread(group, ious)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("videos", type=Path, help="folder in the 300VW layout")
    parser.add_argument("--stills", type=Path, help="folder of pictures with .pts files")
    parser.add_argument("--detector", choices=DETECTORS, default="centerface")
    parser.add_argument("--detector_model", type=Path, help="model file of yunet")
    parser.add_argument("--frames", type=int, default=600, help="first frames of each video")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    kind = DETECTORS[options.detector]
    detector = kind(options.detector_model) if kind is YunetDetector else kind()
    videos = sorted(folder for folder in options.videos.iterdir() if (folder / "annot").is_dir())
    data = list(samples(videos, options.stills, options.frames))
    fit(detector, data)
    handed_out(detector, data)
    five_points(data)


if __name__ == "__main__":
    main()
