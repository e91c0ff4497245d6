"""Seconds and megabytes of a cold start, beside the bare imports that it cannot do without.

    python benchmarks/start.py VIDEO [--runs 5]

Each line is a process of its own, all of them in turn; medians. VIDEO is cut to one frame.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from rich.console import Console
from rich.table import Table


def first_frame(video: str, path: Path) -> None:
    with av.open(video) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packet = next(source.demux(source.streams.video[0]))
        packet.stream = stream
        target.mux(packet)


def measure(command: list[str], folder: str) -> tuple[float, float]:
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with status {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main(video: str, runs: int) -> None:
    commands = {
        "facemask --version": ["-m", "facemask", "--version"],
        "facemask --help": ["-m", "facemask", "--help"],
        "extract --help": ["-m", "facemask", "extract", "--help"],
        "import torch": ["-c", "import torch"],
        "import timm": ["-c", "import facemask, timm"],
        "extract, one frame": ["-m", "facemask", "extract", "one.mkv", "--cropped"],
        "import pytorch_lightning, timm": ["-c", "import facemask, pytorch_lightning, timm"],
        "fit --help": ["-m", "facemask", "fit", "--help"],
    }
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        first_frame(video, Path(folder, "one.mkv"))
        for _ in range(runs):
            for name, command in commands.items():
                results[name].append(measure(command, folder))
    table = Table("process", "seconds", "MB")
    for name, values in results.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*values, strict=True))
        table.add_row(name, f"{seconds:.2f}", f"{megabytes:.0f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.video, arguments.runs)
