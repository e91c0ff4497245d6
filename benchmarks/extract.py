"""Where the time of `facemask extract` goes: decode, detect, network, paste, encode.

    python benchmarks/extract.py VIDEO [--frames 100] [--model default]
    python benchmarks/extract.py VIDEO --backbone resnet50 --size 320

With --model, those weights at the defaults of `facemask extract` and in float32, and how many
labels of the two differ. With --backbone, random weights in float32, where boxes follow the
detector alone. `paste` is all that is done to crops and masks around the networks. A CPU is
slower while others use it: run it alone.
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

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from facemask.extraction import FaceMaskExtractor, extractor
from facemask.extraction.extractor import Precision
from facemask.extraction.load import load_model
from facemask.extraction.outputs import Outputs, output_paths
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN, cascade
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import FaceTracker
from facemask.video import open_source

Labels = npt.NDArray[np.uint8]
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


def measure(
    model: Cascade, video: Path, frames: int, precision: Precision
) -> tuple[list[Labels], dict[str, float]]:
    clock = Clock()
    run = FaceMaskExtractor(model, open_detector("auto"), device="cpu", precision=precision)
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
        labels = []
        for frame in run.video(source):
            with clock.part("encode"):
                outputs.write(frame)
            labels.append(frame.labels)
    return labels, clock.seconds


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
    parser.add_argument("--model", default="default")
    parser.add_argument("--backbone", help="random weights of this timm model instead")
    parser.add_argument("--size", type=int, default=320)
    options = parser.parse_args()
    models: dict[str, tuple[Cascade, Precision]]
    if options.backbone:
        models = {
            name: (model, "float32") for name, model in _random(options.backbone, options.size)
        }
    else:
        model = load_model(options.model)
        models = {f"{options.model}, auto": (model, "auto"),
                  f"{options.model}, float32": (model, "float32")}  # fmt: skip
    found: list[list[Labels]] = []
    table = Table("ms a frame", *PARTS, "all", "frames/s", "network's share")
    for name, (model, precision) in models.items():
        labels, seconds = measure(model.eval(), options.video, options.frames, precision)
        found.append(labels)
        count = len(labels)
        total = sum(seconds.values())
        cells = [f"{1e3 * seconds[part] / count:.1f}" for part in PARTS]
        share = f"{100 * seconds['network'] / total:.0f} %"
        table.add_row(name, *cells, f"{1e3 * total / count:.1f}", f"{count / total:.1f}", share)
    console = Console(width=120)
    console.print(table)
    console.print(f"{options.frames} frames, {torch.get_num_threads()} threads")
    if not options.backbone:
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
