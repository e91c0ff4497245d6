"""Where the time of `facemask extract` goes: decode, detect, network, paste, encode.

    python benchmarks/extract.py VIDEO [--frames 100] [--backbone resnet50] [--size 320]

Random weights, so boxes follow the detector alone (one face of the video). `paste` is all that is
done to crops and masks around the networks. A CPU is slower while others use it: run it alone.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.console import Console
from rich.table import Table

from facemask.extraction import FaceMaskExtractor, extractor
from facemask.extraction.outputs import Outputs, output_paths
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN, cascade
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import FaceTracker
from facemask.video import open_source

PARTS = ("decode", "detect", "network", "paste", "encode")


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


def measure(model: Cascade, video: Path, frames: int) -> tuple[int, dict[str, float]]:
    clock = Clock()
    run = FaceMaskExtractor(model, open_detector("auto"), device="cpu", precision="float32")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        source = stack.enter_context(open_source(video))
        decoded = source._frames
        stack.enter_context(
            patch.object(source, "_frames", lambda: _each(clock, decoded(), frames))
        )
        for target, name, part in (
            (FaceTracker, "step", "detect"),
            (cascade, "score_frames", "network"),
            (extractor.FaceLabeller, "label", "paste"),
        ):
            stack.enter_context(patch.object(target, name, _method(clock, part, target, name)))
        paths = output_paths(Path(folder), "out", ["overlay", "csv"])
        outputs = stack.enter_context(Outputs(paths, source, 0.5))
        count = 0
        for frame in run.video(source):
            with clock.part("encode"):
                outputs.write(frame)
            count += 1
    return count, clock.seconds


def _method(clock: Clock, part: str, target: object, name: str) -> Callable[..., Any]:
    return clock.timed(part, getattr(target, name))


def _each(clock: Clock, frames: Iterator[Any], most: int) -> Iterator[Any]:
    for _ in range(most):
        with clock.part("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=320)
    options = parser.parse_args()
    settings = CascadeSettings(size=options.size)

    def convlstm(classes: int) -> ConvLSTMFCN:
        return ConvLSTMFCN(options.backbone, classes)

    models = {
        "FCN": Cascade(FCN(options.backbone), settings=settings),
        "ConvLSTM-FCN": Cascade(convlstm(5), settings=settings),
        "cascade": Cascade(convlstm(5), convlstm(2), convlstm(3), settings),
    }
    table = Table("ms a frame", *PARTS, "all", "frames/s", "network's share")
    for name, model in models.items():
        count, seconds = measure(model.eval(), options.video, options.frames)
        total = sum(seconds.values())
        cells = [f"{1e3 * seconds[part] / count:.1f}" for part in PARTS]
        share = f"{100 * seconds['network'] / total:.0f} %"
        table.add_row(name, *cells, f"{1e3 * total / count:.1f}", f"{count / total:.1f}", share)
    console = Console(width=120)
    console.print(table)
    threads = torch.get_num_threads()
    console.print(
        f"{options.backbone}, {options.size} px, {options.frames} frames, {threads} threads"
    )


if __name__ == "__main__":
    main()
