"""facemask beside MediaPipe's attention mesh, dlib and RobustVideoMatting: install, speed, scores.

    python benchmarks/other_tools.py VIDEO [--runs 5] [--frames 300] [--cores 1] [--rvm CHECKOUT]
    python benchmarks/other_tools.py --photos STILLS [--models default open]

Each tool gets a fresh environment under --environments, whose seconds and megabytes are said (those
of pip itself left out). VIDEO is brought to 640x480 and the number of frames; then each tool works
on it as a whole process, in turn, --runs times, on the same cores. facemask is `facemask extract`
at its defaults, from the file to overlay and table; the others decode, and draw and write nothing
(peers.py). Processor time is that of a frame after the first ten, start and imports left out: on a
machine with other work it is worth more than frames/s, which are facemask's own without its start,
but with the search for the first face. CHECKOUT is one of github.com/PeterL1n/RobustVideoMatting,
whose network runs with random weights and facemask's torch.

STILLS is a folder of photographs (.jpg, .pts beside each: 300-W's points), of which those are
scored that `default` has not seen. Every tool finds faces itself, of which the one counts that
overlaps most with the truth (at least IoU 0.2), its points are painted like the photographs' own,
and scores are those of the photographs in which every tool finds it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from neighbour import ABOUT_THREADS, Build, Extraction, write_clip
from peers import WARM_UP
from rich.console import Console
from rich.table import Table

from facemask.classes import CLASS_NAMES
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.extraction import FaceMaskExtractor
from facemask.files import read_image, write_image
from facemask.metrics import MaskIoU

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("peers.py")
PACKAGES = {
    "facemask": ("-c", str(ROOT / "constraints.txt"), str(ROOT)),
    "mediapipe": ("mediapipe==0.10.14",),
    "dlib": ("dlib-bin==20.0.1.post1", "face-recognition-models==0.3.0", "opencv-python-headless"),
}
Labels = npt.NDArray[np.uint8]


def megabytes(folder: Path) -> float:
    return sum(f.lstat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def install(folder: Path, tool: str) -> Path:
    """Make the tool's environment, if it is not there, and return its Python."""
    home = folder / tool
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        before, start = megabytes(home), time.perf_counter()
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        subprocess.run([*pip, *PACKAGES[tool]], check=True)
        seconds, size = time.perf_counter() - start, megabytes(home) - before
        print(f"{tool}: {' '.join(PACKAGES[tool])}: {seconds:.0f} s, {size:.0f} MB")
    return python


def peer(python: Path, *arguments: str) -> list[float]:
    """Run peers.py and return the numbers of its last line."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(ABOUT_THREADS)}
    result = subprocess.run(
        [str(python), str(PEERS), *arguments],
        env=plain,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SystemExit(result.stderr)
    return [float(word) for word in (result.stdout.split("\n")[-2:-1] or [""])[0].split()]


def speeds(video: str, frames: int, runs: int, pythons: dict[str, Path], rvm: Path | None) -> None:
    """Print speed and processor time, the tools in turn."""
    here = Build("this", ROOT, {})
    results: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip, start = Path(folder, "clip.mp4"), Path(folder, "start.mp4")
        write_clip(video, clip, frames, (640, 480))
        write_clip(video, start, WARM_UP, (640, 480))
        for _ in range(runs):
            short, cost = Extraction(here, start).wait(), Extraction(here, clip).wait()
            busy = 1000 * (cost.cpu - short.cpu) / (frames - WARM_UP)
            results.setdefault("facemask extract", []).append((cost.speed, busy, float("nan")))
            for tool, python in pythons.items():
                row = peer(python, "speed", tool, str(clip))
                results.setdefault(tool, []).append((row[0], row[1], row[2]))
            if rvm:
                row = peer(Path(sys.executable), "speed", "rvm", str(clip), "--rvm", str(rvm))
                results.setdefault("rvm", []).append((row[0], row[1], float("nan")))
    ours = [busy for _, busy, _ in results["facemask extract"]]
    table = Table("tool", "frames/s", "CPU, ms", "least, most", "of facemask's", "with a face")
    for tool, rows in results.items():
        speed, busy, share = (statistics.median(column) for column in zip(*rows, strict=True))
        times = [row[1] for row in rows]
        ratio = statistics.median(a / b for a, b in zip(times, ours, strict=True))
        table.add_row(
            tool, f"{speed:.1f}", f"{busy:.1f}", f"{min(times):.1f}, {max(times):.1f}",
            f"{ratio:.2f}", "" if np.isnan(share) else f"{100 * share:.0f} %",
        )  # fmt: skip
    print(f"{frames} frames of 640x480, {len(os.sched_getaffinity(0))} cores; medians of {runs}")
    Console(width=100).print(table)


def unseen(stills: Path) -> list[Path]:
    """Return the photographs that training has left for tests."""
    sys.path.append(str(ROOT / "examples"))
    from default_data import photo_of, side_of

    files = sorted(stills.glob("*.jpg"))
    return [file for file in files if side_of(photo_of(file.stem)) == "test"]


def best(masks: list[Labels], truth: Labels) -> Labels | None:
    """Return the mask that overlaps most with the true face, if any does by an IoU of 0.2."""
    inside = truth > 0
    overlaps = [
        np.sum((mask > 0) & inside) / np.sum((mask > 0) | inside) if mask.any() else 0.0
        for mask in masks
    ]
    return masks[int(np.argmax(overlaps))] if max(overlaps, default=0) >= 0.2 else None


def scores(stills: Path, models: list[str], pythons: dict[str, Path]) -> None:
    """Print how many photographs each tool finds a face in, and IoU where all do."""
    files = unseen(stills)
    photos = [read_image(file) for file in files]
    truths = [
        landmarks_to_mask(read_pts(file.with_suffix(".pts")), *photo.shape[:2])
        for file, photo in zip(files, photos, strict=True)
    ]
    masks: dict[str, list[Labels | None]] = {}
    for model in models:
        extractor = FaceMaskExtractor.load(model, "cpu", precision="float32")
        masks[f"facemask, {model}"] = [
            best([face.labels for face in extractor.image(photo).faces], truth)
            for photo, truth in zip(photos, truths, strict=True)
        ]
    with tempfile.TemporaryDirectory() as folder:
        for file, photo in zip(files, photos, strict=True):
            write_image(Path(folder, f"{file.stem}.png"), photo)
        for tool, python in pythons.items():
            peer(python, "points", tool, folder, f"{folder}/{tool}.npz")
            points = np.load(f"{folder}/{tool}.npz")
            masks[tool] = [
                best([landmarks_to_mask(face, *truth.shape) for face in points[file.stem]], truth)
                for file, truth in zip(files, truths, strict=True)
            ]
    everywhere = [
        k for k in range(len(files)) if all(found[k] is not None for found in masks.values())
    ]
    keys = ("miou", *(f"iou_{name}" for name in CLASS_NAMES[1:]))
    table = Table("tool", "found", "mIoU", *CLASS_NAMES[1:])
    for tool, labels in masks.items():
        metric = MaskIoU(class_sets=True)
        for k in everywhere:
            metric.update(torch.from_numpy(labels[k]), torch.from_numpy(truths[k]))
        values = metric.compute()
        count = str(sum(mask is not None for mask in labels))
        table.add_row(tool, count, *(f"{100 * float(values[key]):.1f}" for key in keys))
    print(f"{len(files)} photographs; IoU in % on the {len(everywhere)} in which all find the face")
    Console(width=100).print(table)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", nargs="?")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--models", nargs="+", default=["default"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--cores", type=int, help="all that are free, unless given; Linux only")
    parser.add_argument("--rvm", type=Path)
    parser.add_argument("--environments", type=Path, default=Path("other_tools"))
    options = parser.parse_args()
    pythons = {tool: install(options.environments.resolve(), tool) for tool in PACKAGES}
    del pythons["facemask"]  # this checkout runs, with the Python that runs this
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.video:
        speeds(options.video, options.frames, options.runs, pythons, options.rvm)
    if options.photos:
        scores(options.photos, options.models, pythons)


if __name__ == "__main__":
    main()
