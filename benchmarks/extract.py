"""Where the time of `facemask extract` goes: decode, detect, follow, network, paste, encode.

    python benchmarks/extract.py VIDEO [--frames 100] [--model default]
    python benchmarks/extract.py VIDEO --backbone resnet50 --size 320
    python benchmarks/extract.py VIDEO --resized 640x480 --detector centerface --detector dlib

With --model, those weights at the defaults of `facemask extract` and in float32, and how many
labels of the two differ. With --backbone, random weights in float32, where boxes follow the
detector alone. `detect` is the detector, `follow` the tracker around it, `paste` all that is done
to crops and masks around the networks. A CPU is slower while others use it: run it alone. The
detector's CPU time, in the second table, minds others less. It is that of the thread that asks: all
there is with one thread, but for MediaPipe, which has threads of its own. Beside it stands the CPU
time of the first frame as a photograph, with one look and with two (`passes`).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.extraction import FaceMaskExtractor, extractor
from facemask.extraction.choices import Precision, output_paths
from facemask.extraction.outputs import Outputs
from facemask.extraction.temporal import FaceLabeller
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.cascade import cascade
from facemask.tracking.detection import Detection, FaceDetector, Image
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import FaceTracker
from facemask.video import VideoFrame, open_source
from facemask.video.look import Look
from facemask.weights.load import load_model

Labels = npt.NDArray[np.uint8]
PARTS = ("decode", "detect", "follow", "network", "paste", "encode")


class Clock:
    """Seconds by part; what is timed inside another part is taken away from that."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._inner = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time the block as this part."""
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            self.seconds[name] += passed - self._inner.pop()
            self._inner[-1] += passed

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call timed as this part."""

        def call(*args: object, **options: object) -> object:
            with self.part(name):
                return function(*args, **options)

        return call


class TimedDetector:
    """A detector whose time is taken."""

    def __init__(self, detector: FaceDetector, clock: Clock) -> None:
        """Begin with no run."""
        self._detector, self._clock = detector, clock
        self.runs, self.cpu = 0, 0.0

    def detect(self, image: Image) -> list[Detection]:
        """Return what the detector finds."""
        start = time.thread_time()
        with self._clock.part("detect"):
            found = self._detector.detect(image)
        self.runs += 1
        self.cpu += time.thread_time() - start
        return found


def measure(
    model: Cascade,
    video: Path,
    frames: int,
    precision: Precision,
    detector: str = "auto",
    size: tuple[int, int] | None = None,
) -> tuple[list[Labels], Clock, TimedDetector]:
    clock = Clock()
    finder = TimedDetector(open_detector(detector), clock)
    run = FaceMaskExtractor(model, finder, device="cpu", precision=precision)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source = stack.enter_context(open_source(video))
        source.width, source.height = size or (source.width, source.height)
        of_size, decoded = (source.width, source.height), source._frames
        stack.enter_context(
            patch.object(source, "_frames", lambda: _each(clock, decoded(), frames, of_size))
        )
        for target, name, part in (
            (FaceTracker, "step", "follow"),
            (cascade, "score_frames", "network"),
            (FaceLabeller, "label", "paste"),
        ):
            stack.enter_context(patch.object(target, name, _method(clock, part, target, name)))
        # one after the other, else the clock of one stage would run while others work
        stack.enter_context(patch.object(extractor, "ahead", _in_turn))
        paths = output_paths(Path(folder), "out", ["overlay", "csv"])
        outputs = stack.enter_context(Outputs(paths, source, Look()))
        labels = []
        for frame in run.video(source):
            with clock.part("encode"):
                outputs.write(frame)
            labels.append(frame.labels)
    return labels, clock, finder


def photo_cost(
    model: Cascade, image: Image, precision: Precision, detector: str
) -> tuple[float, float]:
    """CPU seconds of a photograph with one look and with two, the median of five."""
    costs = []
    for passes in (1, 2):
        run = FaceMaskExtractor(
            model, open_detector(detector), device="cpu", precision=precision, passes=passes
        )
        times = []
        for _ in range(6):  # the first one is slower
            start = time.process_time()
            run.image(image)
            times.append(time.process_time() - start)
        costs.append(float(np.median(times[1:])))
    return costs[0], costs[1]


def _in_turn(items: Iterable[VideoFrame], most: int) -> Generator[VideoFrame, None, None]:
    del most
    yield from items


def _method(clock: Clock, part: str, target: object, name: str) -> Callable[..., Any]:
    return clock.timed(part, getattr(target, name))


def _each(
    clock: Clock, frames: Iterator[VideoFrame], most: int, size: tuple[int, int]
) -> Iterator[VideoFrame]:
    for _ in range(most):
        with clock.part("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        if frame.image.shape[1::-1] != size:
            frame = replace(frame, image=np.asarray(cv2.resize(frame.image, size), np.uint8))
        yield frame


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--model", default="default")
    parser.add_argument("--backbone", help="random weights of this timm model instead")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--detector", action="append", help="auto unless given; several compare")
    parser.add_argument("--resized", type=_size, help="size to bring all frames to, as 640x480")
    parser.add_argument("--threads", type=int, default=1, help="of torch and of OpenCV")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    models: dict[str, tuple[Cascade, Precision]]
    if options.backbone:
        models = {
            name: (model, "float32") for name, model in _random(options.backbone, options.size)
        }
    else:
        model = load_model(options.model)
        models = {f"{options.model}, auto": (model, "auto"),
                  f"{options.model}, float32": (model, "float32")}  # fmt: skip
    with open_source(options.video) as source:
        first = next(iter(source)).image
    if options.resized:
        first = np.asarray(cv2.resize(first, options.resized), dtype=np.uint8)
    found: list[list[Labels]] = []
    table = Table("ms a frame", *PARTS, "all", "frames/s", "network's share")
    of_detector = Table(
        "CPU ms", "detector's runs", "a run", "a frame", "a photograph, 1 pass", "2 passes"
    )
    for detector in options.detector or ["auto"]:
        for name, (model, precision) in models.items():
            labels, clock, finder = measure(
                model.eval(), options.video, options.frames, precision, detector, options.resized
            )
            found.append(labels)
            count, total = len(labels), sum(clock.seconds.values())
            cells = [f"{1e3 * clock.seconds[part] / count:.1f}" for part in PARTS]
            share = f"{100 * clock.seconds['network'] / total:.0f} %"
            shown = f"{name}, {detector}" if options.detector else name
            table.add_row(
                shown, *cells, f"{1e3 * total / count:.1f}", f"{count / total:.1f}", share
            )
            once, twice = photo_cost(model, first, precision, detector)
            of_detector.add_row(
                shown, str(finder.runs), f"{1e3 * finder.cpu / max(finder.runs, 1):.1f}",
                f"{1e3 * finder.cpu / count:.2f}", f"{1e3 * once:.0f}", f"{1e3 * twice:.0f}",
            )  # fmt: skip
            size = labels[0].shape
    console = Console(width=120)
    console.print(table)
    console.print(of_detector)
    console.print(f"{count} frames of {size[1]}x{size[0]}, {torch.get_num_threads()} threads")
    if len(found) == 2 and not options.backbone:
        same = [float(np.mean(one == other)) for one, other in zip(*found, strict=True)]
        face = [float(np.mean((one == other)[(one > 0) | (other > 0)]))
                for one, other in zip(*found, strict=True) if one.any() or other.any()]  # fmt: skip
        console.print(f"The same labels in {100 * np.mean(same):.2f} % of all pixels and "
                      f"{100 * np.mean(face):.2f} % of those of the face.")  # fmt: skip


def _random(backbone: str, size: int) -> list[tuple[str, Cascade]]:
    settings = CascadeSettings(size=size)

    def convlstm(classes: int) -> ConvLSTMFCN:
        return ConvLSTMFCN(backbone, classes)

    return [
        ("FCN", Cascade(FCN(backbone), settings=settings)),
        ("ConvLSTM-FCN", Cascade(convlstm(5), settings=settings)),
        ("cascade", Cascade(convlstm(5), convlstm(2), convlstm(3), settings)),
    ]


if __name__ == "__main__":
    main()
