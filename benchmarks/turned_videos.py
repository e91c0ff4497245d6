"""Videos as they are and turned: faces found, steadiness, and whether the masks stay the same.

    python benchmarks/turned_videos.py VIDEOS [--frames 90] [--turns 0 90 180 30]

VIDEOS is in the 300VW layout (NNN/vid.mp4, NNN/annot/000001.pts). The first frames of each are
turned clockwise, extracted, and the masks turned back. Printed for each video and way:

face %       frames with a face, and ids: number of faces
consistency  mean IoU in % of neighbouring masks along optical flow
jitter       how far boundaries lie from those warped along the flow, ‰ of the frame's diagonal
box, roll    root mean square of the second difference of the tracked box's centre in ‰ of its
             side, and of its roll in degrees
landmarks    mIoU in % with the landmarks' masks: no accuracy where a program made them
same         mIoU in % with the masks of the first of `--turns`
ms           CPU time a frame, decoding left out
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from upright import Image, turn_of, turned_image, write_sheet

from facemask.classes import CLASS_NAMES
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300 import AnnotatedVideo, find_videos, read_frames
from facemask.extraction import FaceMaskExtractor, load_model
from facemask.metrics import MaskIoU, TemporalConsistency, class_iou, confusion_matrix
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.painting import overlay, side_by_side

COLUMNS = "face %, ids, consistency, jitter, box, roll, landmarks, same, ms"


class TurnedFrames(FrameSource):
    """Frames in memory, turned clockwise in a black canvas that holds them."""

    def __init__(self, images: list[Image], degrees: float) -> None:
        self.name, self.path, self.fps, self.frame_count = "turned", None, Fraction(25), len(images)
        self._images = images
        height, width = images[0].shape[:2]
        self._matrix, (self.width, self.height) = turn_of(height, width, degrees)

    def _frames(self) -> Iterator[VideoFrame]:
        for n, image in enumerate(self._images):
            turned = turned_image(
                image, self._matrix, (self.width, self.height), cv2.BORDER_CONSTANT
            )
            yield VideoFrame(n, n / 25, turned)

    def back(self, labels: Image) -> Image:
        """Labels of a turned frame, as they lie in the frame before it was turned."""
        height, width = self._images[0].shape[:2]
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(labels, self._matrix, (width, height), flags=flags))

    def close(self) -> None:
        """Nothing is open."""


class Recorder(FaceTracker):
    """A tracker that remembers its boxes before they become whole pixels."""

    shown: list[list[TrackedFace]]

    def step(self, image: Image) -> list[TrackedFace]:
        """As the tracker does."""
        self.shown = [*getattr(self, "shown", []), []]
        return super().step(image)

    def faces(self) -> list[TrackedFace]:
        """As the tracker does, after what it was told of the frame."""
        self.shown[-1] = super().faces()
        return self.shown[-1]


class Recording(FaceMaskExtractor):
    """An extractor whose tracker is kept."""

    def tracker(self) -> FaceTracker:
        """As the extractor does."""
        self.recorder = Recorder(self.detector, self.tracking)
        return self.recorder


@dataclass
class Run:
    """One video, extracted in one way."""

    labels: list[Image]  # turned back
    faces: list[list[TrackedFace]]
    ids: int
    seconds: float


def run(extractor: Recording, images: list[Image], degrees: float) -> Run:
    source = TurnedFrames(images, degrees)
    labels, ids = [], Counter[int]()
    start = time.process_time()
    for frame in extractor.video(source):
        ids.update(face.track_id for face in frame.faces)
        labels.append(source.back(frame.labels))
    return Run(labels, extractor.recorder.shown, len(ids), time.process_time() - start)


def jitters(faces: list[list[TrackedFace]]) -> tuple[float, float]:
    """Of the centre of the largest face, in ‰ of its side, and of its roll, in degrees."""
    largest = [max(found, key=lambda face: face.box.side, default=None) for found in faces]
    centres = np.array([face.box.center if face else (np.nan, np.nan) for face in largest])
    sides = np.array([face.box.side if face else np.nan for face in largest])
    rolls = np.array([face.roll if face else np.nan for face in largest])
    turns = (np.diff(rolls) + 180) % 360 - 180
    second = np.diff(centres, 2, axis=0) / sides[1:-1, None]
    return 1e3 * rms(second), rms(np.diff(turns))


def rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def miou(found: list[Image], truth: list[Image]) -> float:
    """In %."""
    metric = MaskIoU()
    for one, other in zip(found, truth, strict=True):
        metric.update(torch.from_numpy(one), torch.from_numpy(other))
    return 100 * float(metric.compute()["miou"])


def values_of(found: Run, images: list[Image], truth: list[Image], first: Run) -> list[float]:
    steady = TemporalConsistency()
    pictures = [torch.from_numpy(image.transpose(2, 0, 1)) for image in images]
    steady.update(pictures, [torch.from_numpy(labels) for labels in found.labels])
    values = steady.compute()
    boundaries = [float(values[f"boundary_jitter_{name}"]) for name in CLASS_NAMES[1:]]
    return [
        100 * np.mean([labels.any() for labels in found.labels]),
        found.ids,
        100 * float(values["tc_dis_medium"]),
        1e3 * float(np.nanmean(boundaries)),
        *jitters(found.faces),
        miou(found.labels, truth),
        miou(found.labels, first.labels),
        1e3 * found.seconds / len(images),
    ]


def first_frames(video: AnnotatedVideo, count: int) -> tuple[list[Image], list[Image]]:
    """Pictures and the masks of their landmarks."""
    frames = list(read_frames(video.path, range(1, count + 1)))
    truth = [
        landmarks_to_mask(read_pts(video.annotations[number]), *image.shape[:2])
        for number, image in frames
    ]
    return [image for _, image in frames], truth


def worst(
    found: Run, truth: list[Image], images: list[Image], keep: int
) -> list[tuple[float, str, Image]]:
    """The frames that agree least with a truth, which is on the right."""
    values = []
    for labels, true in zip(found.labels, truth, strict=True):
        counts = confusion_matrix(
            torch.from_numpy(labels), torch.from_numpy(true), len(CLASS_NAMES)
        )
        values.append(float(class_iou(counts)[1:].nanmean()))
    return [
        (
            values[n],
            str(n),
            side_by_side(overlay(images[n], found.labels[n]), overlay(images[n], truth[n])),
        )
        for n in sorted(np.argsort(values)[:keep].tolist())
    ]


def spans(missing: list[int]) -> str:
    """Numbers as ranges: 3-5, 9."""
    starts = [n for n in missing if n - 1 not in missing]
    ends = [n for n in missing if n + 1 not in missing]
    return ", ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in zip(starts, ends, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("videos", type=Path)
    parser.add_argument("--only", nargs="+", help="names of videos, all unless given")
    parser.add_argument("--frames", type=int, default=90, help="first frames of each video")
    parser.add_argument("--turns", type=float, nargs="+", default=[0, 90, 180, 30])
    parser.add_argument("--upright", choices=("on", "off"), nargs="+", default=["on"])
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--model", default="default")
    parser.add_argument("--worst", type=Path, help="folder for the worst frames of each run")
    parser.add_argument("--keep", type=int, default=4, help="so many of them")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    cascade, console = load_model(options.model), Console(width=140)
    rows: dict[tuple[str, float], list[list[float]]] = {}
    table = Table("video", "upright", "turned", *COLUMNS.split(", "))
    for video in find_videos(options.videos)[0]:
        if options.only and video.name not in options.only:
            continue
        images, truth = first_frames(video, options.frames)
        for upright in options.upright:
            extractor = Recording(
                cascade,
                open_detector(options.detector),
                tracking=TrackerSettings(upright=upright == "on"),
            )
            first: Run | None = None
            for degrees in options.turns:
                found = run(extractor, images, degrees)
                reference = truth if first is None else first.labels
                first = first or found
                values = values_of(found, images, truth, first)
                rows.setdefault((upright, degrees), []).append(values)
                name = (video.name, upright, f"{degrees:g}°")
                table.add_row(*name, *(f"{value:.2f}" for value in values))
                console.print(*name, *(f"{value:.2f}" for value in values))
                if missing := [n for n, labels in enumerate(found.labels) if not labels.any()]:
                    console.print(f"{' '.join(name)}: no face in frames {spans(missing)}")
                if options.worst:
                    tiles = worst(found, reference, images, options.keep)
                    write_sheet(options.worst / f"{'-'.join(name)}.png", tiles)
    table.add_section()
    for (upright, degrees), of_videos in rows.items():
        means = np.mean(of_videos, axis=0)
        table.add_row("mean", upright, f"{degrees:g}°", *(f"{value:.2f}" for value in means))
    console.print(table)


if __name__ == "__main__":
    main()
