"""Costs that grow with the number of videos of one command: their names, and a folder's entries.

    python benchmarks/many_videos.py [--videos 20000] [--entries 100000]

CPU time and memory of naming the results of so many videos, and CPU time of looking for left-over
files among so many results, which is done before each is written.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from facemask.extraction.jobs import make_jobs
from facemask.files import remove_left_over


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--videos", type=int, default=20_000)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    sources = [f"/data/{number // 1000:04d}/{number:07d}.mp4" for number in range(options.videos)]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    jobs = make_jobs(sources, Path("masks"), ["overlay", "csv"])
    seconds = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    micros, kilobytes = 1e6 * seconds / len(jobs), memory / len(jobs)
    print(f"{len(jobs)} videos: {micros:.0f} us and {kilobytes:.1f} kB each")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.entries):
            (folder / f"{number:07d}.csv").touch()
        start = time.process_time()
        remove_left_over(folder / "new.csv")
        print(f"{options.entries} entries: {1e3 * (time.process_time() - start):.0f} ms a result")


if __name__ == "__main__":
    main()
