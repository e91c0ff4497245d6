"""Speed of `facemask extract` alone, beside busy processes, two at once, and on one core.

    python benchmarks/neighbour.py VIDEO [--against CHECKOUT] [--runs 5] [--frames 300]
    python benchmarks/neighbour.py VIDEO --set OMP_WAIT_POLICY=ACTIVE --set OMP_NUM_THREADS=1
    python benchmarks/neighbour.py VIDEO --frames 125 --only alone

VIDEO is first brought to the size and number of frames asked for (over again from the start where
it is too short). Then every run is a whole process at the defaults of the command, in turn: each
situation by each build, all of them `--runs` times; medians. Builds are this checkout, another one
(`--against`, such as `git worktree add ../old COMMIT` makes), and this one with a variable set
(`--set`, each a build of its own). No other variable about threads is handed on. Frames/s are what
the command says, without its start; seconds, CPU seconds and memory are of the whole process, the
mean of two at once. Needs Linux.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SITUATIONS = ("alone", "beside", "two at once", "one core")
ABOUT_THREADS = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "PYTHONPATH")


@dataclass
class Build:
    """A checkout, and variables that its processes get."""

    name: str
    folder: Path
    variables: dict[str, str]


@dataclass
class Cost:
    """Cost of one process."""

    speed: float  # frames a second, as the command says
    seconds: float
    cpu: float
    megabytes: float


def write_clip(video: str, path: Path, frames: int, size: tuple[int, int]) -> None:
    with av.open(str(path), "w") as target:
        with av.open(video) as source:
            rate = source.streams.video[0].average_rate or Fraction(25)
        stream = target.add_stream("libx264", rate, options={"crf": "18"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, frame in zip(range(frames), over_again(video), strict=False):
            picture = frame.reformat(*size, format="yuv420p")
            picture.pts, picture.time_base = number, 1 / rate
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))


def over_again(video: str) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(video) as source:
            yield from source.decode(video=0)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes computing."""
    neighbours = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)
    ]
    try:
        time.sleep(0.2)
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Let what is begun in this block run on one core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Extraction:
    """A running `facemask extract`."""

    def __init__(self, build: Build, clip: Path) -> None:
        """Start it."""
        self._folder = tempfile.TemporaryDirectory()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ABOUT_THREADS)}
        environment |= {"PYTHONPATH": str(build.folder), **build.variables}
        self._said = Path(self._folder.name, "said.txt")
        self._start = time.perf_counter()
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "facemask", "extract", str(clip)],
                cwd=self._folder.name, env=environment, stdout=said, stderr=said,
            )  # fmt: skip

    def wait(self) -> Cost:
        """Return its cost when it has ended."""
        _, status, usage = os.wait4(self._process.pid, 0)
        seconds = time.perf_counter() - self._start
        self._process.returncode = os.waitstatus_to_exitcode(status)
        said = self._said.read_text(encoding="utf-8")
        self._folder.cleanup()
        speeds = re.findall(r"([\d.]+)\s+frames/s", said)
        if self._process.returncode or not speeds:
            raise SystemExit(f"facemask extract failed:\n{said}")
        cpu = usage.ru_utime + usage.ru_stime
        return Cost(float(speeds[-1]), seconds, cpu, usage.ru_maxrss / 1024)


def measure(build: Build, situation: str, clip: Path, neighbours: int) -> Cost:
    if situation == "two at once":
        both = [Extraction(build, clip) for _ in range(2)]
        costs = [one.wait() for one in both]
        return mean(costs)
    if situation == "beside":
        with busy(neighbours):
            return Extraction(build, clip).wait()
    if situation == "one core":
        with on_one_core():
            running = Extraction(build, clip)
        return running.wait()
    return Extraction(build, clip).wait()


def mean(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.fmean(column) for column in columns(costs)))


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(column) for column in columns(costs)))


def columns(costs: list[Cost]) -> list[tuple[float, ...]]:
    return list(zip(*((c.speed, c.seconds, c.cpu, c.megabytes) for c in costs), strict=True))


def show(results: dict[tuple[str, str], list[Cost]], builds: list[Build]) -> None:
    table = Table(
        "situation", "build", "frames/s", "least, most", "seconds", "CPU s", "MB", "times"
    )
    medians = {key: median(costs) for key, costs in results.items()}
    for (situation, name), cost in medians.items():
        speeds = [each.speed for each in results[situation, name]]
        of_other = medians[situation, builds[1].name].speed if len(builds) > 1 else cost.speed
        table.add_row(
            situation, name, f"{cost.speed:.1f}", f"{min(speeds):.1f}, {max(speeds):.1f}",
            f"{cost.seconds:.1f}", f"{cost.cpu:.1f}", f"{cost.megabytes:.0f}",
            f"{cost.speed / of_other:.2f}",
        )  # fmt: skip
    console = Console(width=110)
    console.print(table)
    for build in builds:
        parts = []
        for situation, factor, text in (
            ("beside", 1, "beside / alone"),
            ("two at once", 2, "two at once, together / alone"),
            ("one core", 1, "one core / all"),
        ):
            if (situation, build.name) in medians and ("alone", build.name) in medians:
                ratio = medians[situation, build.name].speed / medians["alone", build.name].speed
                parts.append(f"{text} {factor * ratio:.2f}")
        if parts:
            console.print(f"{build.name}: {'; '.join(parts)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--neighbours", type=int, default=1, help="busy processes of `beside`")
    parser.add_argument("--only", action="append", choices=SITUATIONS)
    options = parser.parse_args()
    builds = [Build("this", ROOT, {})]
    if options.against:
        builds.append(Build("other", options.against.resolve(), {}))
    for setting in options.settings:
        name, _, value = setting.partition("=")
        builds.append(Build(setting, ROOT, {name: value}))
    width, height = map(int, options.size.split("x"))
    results: dict[tuple[str, str], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(options.video, clip, options.frames, (width, height))
        for _ in range(options.runs):
            for situation in options.only or SITUATIONS:
                for build in builds:
                    cost = measure(build, situation, clip, options.neighbours)
                    results.setdefault((situation, build.name), []).append(cost)
    print(f"{options.frames} frames of {options.size}, {len(os.sched_getaffinity(0))} cores")
    show(results, builds)


if __name__ == "__main__":
    main()
