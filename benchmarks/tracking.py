"""The tracker, measured on annotated videos.

Run: python benchmarks/tracking.py VIDEOS [--detector centerface] [--turn 0 90] [--frames 600]
     python benchmarks/tracking.py VIDEOS --sweep --frames 250

VIDEOS is a folder in the 300VW layout (NNN/vid.*, NNN/annot/000001.pts). "True" is what the .pts
say: the line through the eyes gives the roll, the crop is that of the face turned upright. "Alone"
is the best detection of each frame by itself, at the right angle nearest to the true roll. IoU is
that of turned boxes, median (5th percentile); jitter is the root mean square of the second
difference, of the centre in thousandths of the side, of the roll in degrees; "off" is the median
absolute error of the roll in degrees; runs are those of the detector, ms the tracker's own CPU time
without them, both a frame. --sweep has true faces as masks, and means over the videos.
"""

import argparse
import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias
from unittest.mock import patch

import cv2
import numpy as np

from facemask.boxes import Box, face_box_of_points
from facemask.data.landmarks import read_pts
from facemask.data.vw300 import read_frames
from facemask.tracking import track
from facemask.tracking.detection import Detection, FaceDetector, Image
from facemask.tracking.detectors import DETECTORS, open_detector
from facemask.tracking.schedule import nearest_turn
from facemask.tracking.tracker import FaceTracker, TrackerSettings
from facemask.tracking.turns import detect_turned
from facemask.turned import Points, TurnedBox

Place: TypeAlias = TurnedBox | None

COLUMNS = (
    "video, frames, face %, ids, IoU alone, tracked, jitter alone, tracked, true, "
    "roll off alone, tracked, roll jitter alone, tracked, true, runs, ms"
)


class Row(NamedTuple):
    """One line of --sweep."""

    name: str
    settings: TrackerSettings = TrackerSettings()
    share: float = track.LEAST_GAIN
    often: bool = False  # a true mask is given in every fifth frame
    first: bool = False  # … in the frame with which a face begins
    size: float = 1.0  # of the mask's box over the true one's


SWEEP = (
    Row("as set: a detection's share 0.1, every 5th frame, smoothing 0.7"),
    *(Row(f"share {share}", share=share) for share in (0.05, 0.2, 0.4, 1.0)),
    Row("detector in every frame", TrackerSettings(every=1)),
    *(Row(f"in every {every}th", TrackerSettings(every=every)) for every in (10, 15)),
    *(Row(f"smoothing {left}", TrackerSettings(smoothing=left)) for left in (0.0, 0.9)),
    Row("upright off", TrackerSettings(upright=False)),
    Row("with true faces as masks in the first frame", first=True),
    Row("in every 5th", often=True),
    Row("in the first and every 5th", often=True, first=True),
    Row("… a quarter too large", often=True, first=True, size=1.25),
)


class Run(NamedTuple):
    """One video: its faces in each frame, None where there is none."""

    tracked: list[Place]
    alone: list[Place]
    truth: list[Place]
    ids: int
    runs: float
    ms: float


@dataclass
class Counted:
    """A detector whose runs are counted and timed."""

    detector: FaceDetector
    runs: int = 0
    seconds: float = 0.0

    def detect(self, image: Image) -> list[Detection]:
        """As the detector does."""
        start = time.process_time()
        found = self.detector.detect(image)
        self.runs += 1
        self.seconds += time.process_time() - start
        return found


@dataclass
class Remembering:
    """A detector that remembers what it saw."""

    detector: FaceDetector
    known: dict[bytes, list[Detection]] = field(default_factory=dict)

    def detect(self, image: Image) -> list[Detection]:
        """As the detector does."""
        key = hashlib.sha256(image[::4, ::4].tobytes() + bytes(str(image.shape), "ascii")).digest()
        if key not in self.known:
            self.known[key] = self.detector.detect(image)
        return list(self.known[key])


def true_face(points: Points) -> TurnedBox:
    """The face of landmarks (68, 2): its roll, and its crop once it is turned upright."""
    across = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    roll = math.degrees(math.atan2(across[1], across[0]))
    x, y = points.mean(axis=0).tolist()
    about = TurnedBox(Box(x, y, x, y), roll)
    box = face_box_of_points(about.to_upright(points))  # about the points' mean
    ((x, y),) = about.to_image(np.array([box.center]) - 0.5) + 0.5
    return TurnedBox(Box.around(x, y, box.side), roll)


def frames(video: Path, count: int, turn: int) -> Iterator[tuple[Image, Place]]:
    """The frames of a video, turned clockwise, with their true faces."""
    for number, image in read_frames(next(video.glob("vid.*")), range(1, count + 1)):
        pts = video / "annot" / f"{number:06d}.pts"
        points = read_pts(pts) if pts.exists() else None
        for _ in range(turn // 90):
            image = np.rot90(image, -1)
            if points is not None:
                points = np.stack([image.shape[1] - 1 - points[:, 1], points[:, 0]], axis=1)
        yield np.ascontiguousarray(image), None if points is None else true_face(points)


def follow(
    detector: FaceDetector,
    images: Iterable[tuple[Image, Place]],
    settings: TrackerSettings,
    row: Row | None = None,
) -> Run:
    """What detector and tracker make of a video, alone or with the masks of a row of --sweep."""
    counted = Counted(detector)
    tracker = FaceTracker(counted, settings)
    run = Run([], [], [], 0, 0.0, 0.0)
    ids: set[int] = set()
    spent = 0.0
    for number, (image, truth) in enumerate(images):
        start = time.process_time()
        faces = tracker.step(image)
        spent += time.process_time() - start
        if row is not None and truth is not None:
            box, due = Box.around(*truth.box.center, truth.box.side * row.size), number % 5 == 4
            for face in faces:
                if (face.restart and row.first) or (due and row.often):
                    tracker.correct(face.track_id, box, roll=truth.roll)
            faces = tracker.faces()
        ids |= {face.track_id for face in faces}
        run.truth.append(truth)
        run.tracked.append(nearest([face.turned_box for face in faces], truth))
        if row is None:
            turn = nearest_turn(truth.roll) if truth else 0
            alone = detect_turned(detector, image, (turn,))[:1]
            sure = [TurnedBox(face.box, face.roll) for face in alone if face.score >= 0.5]
            run.alone.append(sure[0] if sure else None)
    count = len(run.truth)
    own = 1e3 * (spent - counted.seconds) / count
    return run._replace(ids=len(ids), runs=counted.runs / count, ms=own)


def nearest(places: Sequence[TurnedBox], truth: Place) -> Place:
    return max(places, key=lambda place: shared(place, truth) if truth else 0, default=None)


def shared(first: TurnedBox, second: TurnedBox) -> float:
    one, other = ((f.box.center, (f.box.width, f.box.height), f.roll) for f in (first, second))
    _, corners = cv2.rotatedRectangleIntersection(one, other)
    both = 0.0 if corners is None else cv2.contourArea(cv2.convexHull(corners))
    areas = [f.box.width * f.box.height for f in (first, second)]
    return both / (sum(areas) - both)


def states(places: Sequence[Place]) -> tuple[Points, Points, Points]:
    """Centres (N, 2), sides (N,) and rolls (N,); NaN where there is no face."""
    nothing = (np.nan,) * 4
    rows = np.array([nothing if p is None else (*p.box.center, p.box.side, p.roll) for p in places])
    return rows[:, :2], rows[:, 2], rows[:, 3]


def wrap(degrees: Points) -> Points:
    return (degrees + 180) % 360 - 180


def jitter(places: Sequence[Place]) -> float:
    centre, side, _ = states(places)
    second = np.diff(centre, 2, axis=0) / side[1:-1, None]
    return float(1e3 * np.sqrt(np.nanmean(second**2)))


def roll_jitter(places: Sequence[Place]) -> float:
    steps = wrap(np.diff(states(places)[2]))
    return float(np.sqrt(np.nanmean(np.diff(steps) ** 2)))


def roll_off(places: Sequence[Place], truth: Sequence[Place]) -> float:
    return float(np.nanmedian(np.abs(wrap(states(places)[2] - states(truth)[2]))))


def correlations(run: Run, reach: int = 4) -> Points:
    """The fit of the box's speed and the true one's, for shifts of −reach to reach frames."""
    speeds = [np.diff(states(places)[0], axis=0) for places in (run.tracked, run.truth)]
    side = np.nanmedian(states(run.truth)[1])
    ours, true = (np.nan_to_num(speed) / side for speed in speeds)
    inner = slice(reach, len(true) - reach)
    shifted = (np.roll(ours, shift, axis=0)[inner] for shift in range(reach, -reach - 1, -1))
    return np.array([(moved * true[inner]).sum() for moved in shifted])


def peak(sums: Points) -> float:
    best = int(np.clip(np.argmax(sums), 1, len(sums) - 2))
    before, top, after = map(float, sums[best - 1 : best + 2])
    return best - len(sums) // 2 + 0.5 * (before - after) / (before - 2 * top + after)


def ious(places: Sequence[Place], truth: Sequence[Place]) -> Points:
    pairs = zip(places, truth, strict=True)
    return np.array([shared(place, true) if place else 0.0 for place, true in pairs if true])


def numbers(run: Run) -> list[float]:
    found = float(100 * np.mean([place is not None for place in run.tracked]))
    overlaps = [ious(places, run.truth) for places in (run.alone, run.tracked)]
    spread = [v for iou in overlaps for v in (np.median(iou), np.percentile(iou, 5))]
    three = (run.alone, run.tracked, run.truth)
    return [
        len(run.truth), found, run.ids, *spread, *map(jitter, three),
        *(roll_off(places, run.truth) for places in three[:2]), *map(roll_jitter, three),
        run.runs, run.ms,
    ]  # fmt: skip


def sweep(seen: FaceDetector, videos: Sequence[Path], count: int, turn: int) -> None:
    columns = "IoU | 5th percentile | jitter | of the side | roll off | roll jitter | runs"
    print(f"| | {columns} |\n| --- |{' ---: |' * 7}")
    for row in SWEEP:
        values = []
        with patch.object(track, "LEAST_GAIN", row.share):
            for video in videos:
                run = follow(seen, frames(video, count, turn), row.settings, row)
                iou, sides = ious(run.tracked, run.truth), np.log(states(run.tracked)[1])
                values.append([
                    np.median(iou), np.percentile(iou, 5), jitter(run.tracked),
                    1e3 * np.sqrt(np.nanmean(np.diff(sides, 2) ** 2)),
                    roll_off(run.tracked, run.truth), roll_jitter(run.tracked), run.runs,
                ])  # fmt: skip
        iou, low, centre, side, off, shake, runs = np.mean(values, axis=0).tolist()
        cells = f"{iou:.3f} | {low:.3f} | {centre:.1f} | {side:.1f} | {off:.1f} | {shake:.2f}"
        print(f"| {row.name} | {cells} | {runs:.2f} |", flush=True)


def table_row(name: str, values: Sequence[float]) -> str:
    count, share, ids, a, a5, t, t5, *others = values
    cells = [name, f"{count:.0f}", f"{share:.1f}", f"{ids:.0f}", f"{a:.3f} ({a5:.3f})"]
    cells += [f"{t:.3f} ({t5:.3f})", *(f"{value:.1f}" for value in others[:8])]
    return f"| {' | '.join(cells)} | {others[8]:.2f} | {others[9]:.1f} |"


def table(seen: FaceDetector, videos: Sequence[Path], count: int, turn: int) -> None:
    print(f"\n{turn}°\n\n| {COLUMNS.replace(', ', ' | ')} |\n| --- |{' ---: |' * 15}")
    rows, fits = [], []
    for video in videos:
        run = follow(seen, frames(video, count, turn), TrackerSettings())
        rows.append(numbers(run))
        fits.append(correlations(run))
        print(table_row(video.name, rows[-1]), flush=True)
    print(table_row("mean", np.mean(rows, axis=0).tolist()))
    print(f"lag over all videos {peak(np.sum(fits, axis=0)):+.2f} frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, help="folder in the 300VW layout")
    parser.add_argument("--detector", choices=DETECTORS, default="auto")
    parser.add_argument("--frames", type=int, default=600, help="first frames of each video")
    parser.add_argument("--turn", type=int, choices=(0, 90, 180, 270), nargs="+", default=[0],
                        help="degrees by which frames and truth are turned clockwise")  # fmt: skip
    parser.add_argument("--sweep", action="store_true", help="change the settings one by one")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    seen = Remembering(open_detector(options.detector))
    videos = sorted(folder for folder in options.videos.iterdir() if (folder / "annot").is_dir())
    for turn in options.turn:
        (sweep if options.sweep else table)(seen, videos, options.frames, turn)


if __name__ == "__main__":
    main()
