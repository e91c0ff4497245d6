"""Seconds and memory of trainings: cached features, precision, accumulation, torch.compile.

First a training of the ConvLSTM alone, behind a frozen encoder, from images and from cached
features: whole epochs on generated clips, loading included, in turns in one process. Then, each
in a process of its own so that its memory can be told, the training of the whole network in
several ways, in turns. From the checkout:
`OMP_WAIT_POLICY=PASSIVE python benchmarks/training.py [--backbone resnet50 --size 320]`.
On a machine with other work, `--threads 1` gives steadier ratios.
"""

# ruff: noqa: I001  # facemask comes first: it mends torchvision before Lightning imports it
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import facemask  # noqa: F401
import numpy as np
import torch
from pytorch_lightning import Callback, Trainer
from torch.utils.data import DataLoader

from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipBatch
from facemask.files import write_image
from facemask.losses import SegmentationLoss
from facemask.training.modules import ConvLSTMFCNModule

CLIPS, FRAMES = 8, 5
ROUNDS = 3
STEPS, SECONDS = 5, 15.0  # a way's steps in a process, fewer when they take longer
WAYS: dict[str, dict[str, Any]] = {
    "fp32, channels-last (the default)": {},
    "fp32, NCHW": {"nchw": True},
    "fp32, 2 x 1 clip accumulated": {"batch": 1, "accumulate": 2},
    "fp32, torch.compile": {"compile": True},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "16-mixed": {"precision": "16-mixed"},
    "encoder frozen (gamma 0)": {"gamma": 0.0},
}


class Clock(Callback):
    """Seconds of steps, of the waits for data between them, and of the validation."""

    def __init__(self, seconds: float = float("inf")) -> None:
        """Stop the training after so many seconds of steps, the first left out."""
        self.seconds = seconds
        self.steps: list[float] = []
        self.waits: list[float] = []
        self.validation = 0.0
        self.last = 0.0

    def on_train_epoch_start(self, *_: object) -> None:
        """Wait for the first batch."""
        self.last = time.perf_counter()

    def on_train_batch_start(self, *_: object) -> None:
        """The batch is here."""
        before = self.last
        self.waits.append(self._lap() - before)

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """The step is done; stop when there is no time for more."""
        before = self.last
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.steps.append(self._lap() - before)
        trainer.should_stop = sum(self.steps[1:]) > self.seconds  # the first compiles, or warms up

    def on_validation_start(self, *_: object) -> None:
        """Begin."""
        self.validation = -time.perf_counter()

    def on_validation_end(self, *_: object) -> None:
        """End."""
        self.validation += time.perf_counter()

    def _lap(self) -> float:
        self.last = time.perf_counter()
        return self.last


def make_module(
    backbone: str, gamma: float, cache: Path | None, compiled: bool
) -> ConvLSTMFCNModule:
    torch.manual_seed(0)
    return ConvLSTMFCNModule(
        backbone,
        gamma=gamma,
        loss=SegmentationLoss(),
        compile_network=compiled,
        feature_cache=None if cache is None else str(cache),
    )


def make_trainer(*callbacks: Callback, **options: Any) -> Trainer:  # noqa: ANN401
    return Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **options,
    )


def write_clips(root: Path) -> None:
    """Face crops of about 300 x 300 pixels: noise on flat parts, as hard to decode as faces."""
    rng = np.random.default_rng(0)
    side = root / "data_splits" / "split_1"
    for folder in (root / "images_orig", root / "labels_orig", side):
        folder.mkdir(parents=True)
    lines = []
    for video in range(CLIPS):
        for frame in range(1, FRAMES + 1):
            label = np.zeros((300 + frame, 302 - frame), dtype=np.uint8)
            label[40:290, 40:260] = 1
            label[100:120, 80:130] = label[100:120, 170:220] = 2
            label[200:250, 110:190] = 3
            label[215:235, 125:175] = 4
            noise = rng.normal(0, 8, (*label.shape, 3))
            image = np.clip(40 * label[..., None] + 40 + noise, 0, 255).astype(np.uint8)
            name = f"{video:03d}_{frame:06d}"
            write_image(root / "images_orig" / f"{name}.jpg", image)
            write_image(root / "labels_orig" / f"{name}.png", label)
            lines.append(f"/images_orig/{name}.jpg /labels_orig/{name}.png\n")
    for name in ("train", "val"):
        (side / f"{name}_per10.txt").write_text("".join(lines))


def time_cache(backbone: str, size: int) -> None:
    """Epochs of the ConvLSTM alone, from images and from cached features, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "data"), Path(folder, "cache")
        write_clips(root)
        clocks: dict[str, list[Clock]] = {"images": [], "cached features": []}
        filling = 0.0
        for n in range(ROUNDS + 1):
            for way, found in clocks.items():
                clock, data = Clock(), FaceMaskDataModule(str(root), size=size, num_workers=0)
                start = time.perf_counter()
                module = make_module(backbone, 0.0, None if way == "images" else cache, False)
                make_trainer(clock, max_epochs=1).fit(module, data)
                if n == 0 and way != "images":
                    filling = time.perf_counter() - start - sum(clock.steps) - clock.validation
                elif n:  # the first round warms up
                    found.append(clock)
        used = sum(path.stat().st_size for path in cache.rglob("*.safetensors"))
    frames = CLIPS * FRAMES
    print(f"\n{backbone}, {size} px, frozen encoder, 2 clips of {FRAMES} a batch, {frames} frames")
    print(f"{'ms a frame, median':<22}{'step':>8}{'data':>8}{'epoch':>8}{'validation':>12}")
    totals = []
    for way, found in clocks.items():

        def median(value: Callable[[Clock], float], clocks: list[Clock] = found) -> float:
            return 1000 * statistics.median(value(clock) for clock in clocks) / frames

        step, wait = median(lambda c: sum(c.steps)), median(lambda c: sum(c.waits))
        total = median(lambda c: sum(c.steps) + sum(c.waits))
        totals.append((step, total))
        print(
            f"{way:<22}{step:>8.1f}{wait:>8.1f}{total:>8.1f}{median(lambda c: c.validation):>12.1f}"
        )
    (step, epoch), (cached_step, cached_epoch) = totals
    print(f"ratio of steps {step / cached_step:.1f}, of epochs {epoch / cached_epoch:.1f}")
    print(
        f"filling the cache {1000 * filling / 2 / frames:.0f} ms a frame, "
        f"{used / 2 / frames / 2**20:.2f} MiB a frame on disk",
        flush=True,
    )


def make_batch(size: int, clips: int) -> ClipBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        0, 256, (clips, FRAMES, 3, size, size), dtype=torch.uint8, generator=generator
    )
    masks = torch.randint(0, 5, (clips, FRAMES, 20, 20), dtype=torch.uint8, generator=generator)
    masks = torch.nn.functional.interpolate(masks, (size, size))
    return ClipBatch(
        images=images,
        masks=masks,
        original_masks=[],
        original_sizes=[],
        original_images=[],
        boxes=torch.zeros(clips, 4),
        names=[[f"{c}_{t}" for t in range(FRAMES)] for c in range(clips)],
        numbers=torch.stack([torch.arange(clips), torch.full((clips,), -1)], dim=1),
    )


def status(name: str) -> float:
    """A line of this process's status in MiB; Linux only."""
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name)]
    return int(line.split()[1]) / 1024


def print_way(backbone: str, size: int, way: dict[str, Any]) -> None:
    """Clips a second and peak memory in MiB above the network's, as JSON."""
    clips, accumulate = way.get("batch", 2), way.get("accumulate", 1)
    module = make_module(backbone, way.get("gamma", 0.05), None, way.get("compile", False))
    if way.get("nchw"):
        encoder = module.network.encoder
        encoder.forward = lambda images: _nchw(encoder, images)  # type: ignore[method-assign]
    clock = Clock(SECONDS)
    trainer = make_trainer(
        clock,
        max_epochs=1,
        precision=way.get("precision", "32-true"),
        accumulate_grad_batches=accumulate,
    )
    loader: DataLoader[Any] = DataLoader(
        [make_batch(size, clips)] * (STEPS * accumulate),  # type: ignore[arg-type]
        batch_size=None,
    )
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    trainer.fit(module, train_dataloaders=loader)
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = status("VmHWM") - before
    steps = clock.steps[accumulate:] or clock.steps  # the first warms up, where there is another
    print(json.dumps({"speed": clips * len(steps) / sum(steps), "peak": peak}))


def _nchw(encoder: Any, images: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """The encoder on images and weights in torch's usual memory format."""
    encoder.body.to(memory_format=torch.contiguous_format)
    features: torch.Tensor = encoder.body(images.flatten(0, 1).contiguous())[-1]
    return torch.unflatten(features, 0, images.shape[:2])


def time_ways(backbone: str, size: int, rounds: int) -> None:
    results: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, way in WAYS.items():
            if name == "16-mixed" and not torch.cuda.is_available():
                continue  # Lightning takes bf16-mixed on a CPU
            command = [sys.executable, __file__, "--backbone", backbone, "--size", str(size)]
            command += ["--threads", str(torch.get_num_threads())]
            child = subprocess.run(
                [*command, "--way", json.dumps(way)], capture_output=True, text=True, check=False
            )
            if child.returncode:
                print(f"{name}: {child.stderr.strip().splitlines()[-1]}")
                continue
            result = json.loads(child.stdout.splitlines()[-1])
            results.setdefault(name, []).append(result)
            sys.stderr.write(f"{name}: {result}\n")
    print(
        f"\n{backbone}, {size} px, batches of 2 clips of {FRAMES}, best of {rounds} processes each"
    )
    print(f"{'':<36}{'clips/s':>9}{'ratio':>8}{'peak MiB':>10}")
    first = max(result["speed"] for result in next(iter(results.values())))
    for name, found in results.items():
        speed = max(result["speed"] for result in found)
        peak = statistics.median(result["peak"] for result in found)
        print(f"{name:<36}{speed:>9.2f}{speed / first:>8.2f}{peak:>10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=1, help="processes of each way")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=["cache", "ways"])
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.way:
        print_way(options.backbone, options.size, json.loads(options.way))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    if options.only != "ways":
        time_cache(options.backbone, options.size)
    if options.only != "cache":
        time_ways(options.backbone, options.size, options.rounds)


if __name__ == "__main__":
    main()
