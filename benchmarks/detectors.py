"""Face detectors and the tracker, measured on annotated videos.

Run: python benchmarks/detectors.py VIDEOS [--stills FOLDER] [--detector dlib] [--frames 600]

VIDEOS is a folder in the 300VW layout (NNN/vid.*, NNN/annot/000001.pts), FOLDER one of pictures
with a .pts of the same name. Prints, first, the constants that map the detector's own box to the
face crop (videos and stills with the same weight), the detection rate and the overlap of mapped
and true crop; then, for each video, what the tracker makes of it. "True" is what the .pts say.
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
from facemask.tracking.detection import BoxMapping, Detection, Image
from facemask.tracking.detectors import DlibDetector, MediapipeDetector
from facemask.tracking.five_points import crop_of_five_points
from facemask.tracking.tracker import FaceTracker, TrackerSettings

Detector = DlibDetector | MediapipeDetector
Points = npt.NDArray[np.float64]
ROUGH = BoxMapping(0.0, 0.07, 1.2)  # only decides which box is whose


class Sample(NamedTuple):
    """An image with its landmarks; group is videos or stills."""

    group: str
    image: Image
    points: Points


class Run(NamedTuple):
    """One video: centres (N, 2) and sides (N,), NaN where there is no box."""

    boxes: list[Box | None]
    single: list[Box | None]
    truth: list[Box | None]
    ids: int
    looks: float
    ms: float


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


def follow(detector: Detector, video: Path, count: int, settings: TrackerSettings) -> Run:
    counted = Counted(detector)
    tracker = FaceTracker(counted, settings)
    boxes: list[Box | None] = []
    single: list[Box | None] = []
    truth: list[Box | None] = []
    ids: set[int] = set()
    spent = 0.0
    for image, points in frames(video, count):
        crop = None if points is None else face_box_of_points(points)
        start = time.process_time()
        faces = tracker.step(image)
        spent += time.process_time() - start
        ids |= {face.track_id for face in faces}
        best = max(
            (f.box for f in faces), key=lambda b: overlap(b, crop) if crop else 0, default=None
        )
        alone = [face.box for face in detector.detect(image) if face.score >= 0.5]
        boxes.append(best)
        single.append(alone[0] if alone else None)
        truth.append(crop)
    own = 1e3 * (spent - counted.seconds) / len(boxes)
    return Run(boxes, single, truth, len(ids), counted.calls / len(boxes), own)


class Counted:
    """A detector that counts its calls and their time."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.calls, self.seconds = detector, 0, 0.0

    def detect(self, image: Image) -> list[Detection]:
        """As the detector does."""
        start = time.process_time()
        found = self._detector.detect(image)
        self.calls += 1
        self.seconds += time.process_time() - start
        return found


def centres(boxes: list[Box | None]) -> tuple[Points, Points]:
    nothing = (np.nan, np.nan)
    return (
        np.array([nothing if box is None else box.center for box in boxes]),
        np.array([np.nan if box is None else box.side for box in boxes]),
    )


def jitter(boxes: list[Box | None]) -> float:
    """Root mean square of the centre's second difference, in thousandths of the side."""
    centre, side = centres(boxes)
    second = np.diff(centre, 2, axis=0) / side[1:-1, None]
    return float(1e3 * np.sqrt(np.nanmean(second**2)))


def correlations(run: Run, reach: int = 4) -> Points:
    """How well the box's speed fits the true one's, for shifts of −reach to reach frames."""
    speeds = [np.diff(centres(boxes)[0], axis=0) for boxes in (run.boxes, run.truth)]
    side = np.nanmedian(centres(run.truth)[1])
    ours, true = (np.nan_to_num(speed) / side for speed in speeds)
    inner = slice(reach, len(true) - reach)
    rows = range(-reach, reach + 1)
    return np.array([(np.roll(ours, -shift, axis=0)[inner] * true[inner]).sum() for shift in rows])


def peak(sums: Points) -> float:
    """Frames from the middle of the list to its peak, by a parabola."""
    best = int(np.clip(np.argmax(sums), 1, len(sums) - 2))
    before, top, after = sums[best - 1 : best + 2]
    return best - len(sums) // 2 + 0.5 * (before - after) / (before - 2 * top + after)


def ious(boxes: list[Box | None], truth: list[Box | None]) -> Points:
    pairs = zip(boxes, truth, strict=True)
    return np.array([overlap(box, crop) if box else 0.0 for box, crop in pairs if crop])


def tracking_table(detector: Detector, videos: list[Path], count: int) -> None:
    columns = "video, frames, face %, ids, IoU alone, tracked, jitter alone, tracked, true, ms"
    print(f"\n| {columns.replace(', ', ' | ')} |")
    print("| --- |" + " ---: |" * 9)
    runs, rows = [], []
    for video in videos:
        run = follow(detector, video, count, TrackerSettings())
        alone, tracked = (ious(boxes, run.truth) for boxes in (run.single, run.boxes))
        shares = [np.mean([box is not None for box in run.boxes]) * 100]
        spread = [v for i in (alone, tracked) for v in (np.median(i), np.percentile(i, 5))]
        shakes = [jitter(boxes) for boxes in (run.single, run.boxes, run.truth)]
        rows.append([len(run.boxes), *shares, run.ids, *spread, *shakes, run.ms])
        runs.append(correlations(run))
        print(table_row(video.name, rows[-1]), flush=True)
    print(table_row("mean", np.mean(rows, axis=0).tolist()))
    print(f"lag over all videos {peak(np.sum(runs, axis=0)):+.2f} frames")


def table_row(name: str, values: list[float]) -> str:
    count, share, ids, a, a5, t, t5, ja, jt, jr, ms = values
    return (
        f"| {name} | {count:.0f} | {share:.1f} | {ids:.0f} | {a:.3f} ({a5:.3f}) "
        f"| {t:.3f} ({t5:.3f}) | {ja:.1f} | {jt:.1f} | {jr:.1f} | {ms:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("videos", type=Path, help="folder in the 300VW layout")
    parser.add_argument("--stills", type=Path, help="folder of pictures with .pts files")
    parser.add_argument("--detector", choices=("dlib", "mediapipe"), default="dlib")
    parser.add_argument("--frames", type=int, default=600, help="first frames of each video")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector = DlibDetector() if options.detector == "dlib" else MediapipeDetector()
    videos = sorted(folder for folder in options.videos.iterdir() if (folder / "annot").is_dir())
    data = list(samples(videos, options.stills, options.frames))
    fit(detector, data)
    five_points(data)
    tracking_table(detector, videos, options.frames)


if __name__ == "__main__":
    main()
