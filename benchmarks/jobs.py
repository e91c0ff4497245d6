"""Time of several videos one after the other and several at a time, `facemask extract --jobs`.

    python benchmarks/jobs.py VIDEO [--videos 4] [--jobs 2] [--runs 5] [--frames 120]

VIDEO is first brought to 640x480 and the number of frames asked for (over again from the start
where it is too short). Each run is a whole command at its defaults, with `--jobs 1` and with
`--jobs N` in turn; medians. CPU seconds are of the command and its processes: they tell on a shared
machine, too, what several at a time cost more, which is the start of further processes; seconds
tell only on an idle one what is gained.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neighbour import ABOUT_THREADS, ROOT, write_clip


def run(videos: list[Path], jobs: int) -> tuple[float, float]:
    """Return seconds and CPU seconds of a command."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ABOUT_THREADS)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "facemask", "extract", *map(str, videos), "-o", folder,
             "--jobs", str(jobs)],
            check=True, capture_output=True, env=environment | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("video")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(folder, f"{number}.mp4") for number in range(options.videos)]
        for video in videos:
            write_clip(options.video, video, options.frames, (640, 480))
        costs: dict[int, list[tuple[float, float]]] = {1: [], options.jobs: []}
        for _ in range(options.runs):
            for jobs, measured in costs.items():
                measured.append(run(videos, jobs))
    for jobs, measured in costs.items():
        seconds, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
        print(f"--jobs {jobs}: {seconds:.1f} s, {cpu:.1f} CPU seconds")


if __name__ == "__main__":
    main()
