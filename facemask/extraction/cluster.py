"""Videos done by the workers of a Dask cluster, on as many machines as it has."""

import functools
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from facemask import __version__
from facemask.errors import InputError, cause_of
from facemask.extraction.jobs import Job, Outcome
from facemask.extraction.plan import Plan
from facemask.extraction.reports import Gathered, Said, Terminal
from facemask.files import make_folder
from facemask.memory import share_memory
from facemask.threads import let_waiting_threads_sleep
from facemask.verbosity import notices_told

if TYPE_CHECKING:
    from facemask.extraction.run import Run

_KNOWN: Final = 10_000
"""Most videos that the scheduler knows at a time; each takes it some kilobytes."""
_PATIENCE: Final = 20
"""Seconds for the scheduler to answer."""

_one_at_a_time: Final = threading.Lock()


def on_cluster(
    plan: Plan, jobs: Sequence[Job], cluster: str, terminal: Terminal
) -> Generator[Outcome, None, None]:
    """Hand out videos to the workers of a cluster, and yield the end of each as it comes.

    The scheduler gives the next video to a worker that is free, and that of a worker that died to
    another, three times.

    Args:
        plan: The options.
        jobs: The videos; all machines must see their files, and the folder of results, under the
            same names.
        cluster: Address of the scheduler, or the file that it wrote that into.
        terminal: Shows what they tell.

    Raises:
        InputError: Dask is not installed, no scheduler answers, or the results' folder cannot be
            made.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise InputError(
            '--cluster needs Dask: pip install "facemask-video[cluster]", on every machine.'
        ) from error
    where = {"scheduler_file" if Path(cluster).is_file() else "address": cluster}
    try:
        client = Client(**where, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--cluster is {cluster!r}, but no Dask scheduler answers there ({cause_of(error)}): "
            "give its address, such as tcp://node1:8786, or the file that it wrote."
        ) from error
    waiting = iter(jobs)
    known: dict[str, Job] = {}
    with client:
        for results in {job.folder for job in jobs}:
            make_folder(results)
        count = len(client.nthreads())
        terminal.line(f"{count} workers at {cluster}." if count else "Waits for the first worker.")
        folder = str(Path.cwd())
        ended = as_completed()
        while True:
            for job in islice(waiting, _KNOWN - len(known)):
                future = client.submit(_do, plan, job, folder, __version__, pure=False)
                known[future.key] = job
                ended.add(future)
            if not known:
                return
            future = next(ended)
            job, failure = known.pop(future.key), future.exception()
            if failure is None:
                outcome, said = future.result()
                for line in said:
                    terminal.say(*line)
                yield outcome
            elif isinstance(failure, KilledWorker):
                told = "each worker that was at work on it died, as they do when memory runs out"
                yield Outcome(job, InputError(f"{job.origin}: {told}."))
            else:
                told = f"its worker failed ({cause_of(failure)}), and its log says where"
                yield Outcome(job, InputError(f"{job.origin}: {told}."))


def _do(plan: Plan, job: Job, folder: str, version: str) -> tuple[Outcome, list[Said]]:
    """Do a video in a worker, and return its end and the lines about it."""
    let_waiting_threads_sleep()
    share_memory()
    reports = Gathered()
    with _one_at_a_time, notices_told(lambda text: reports.say("", text)):
        try:
            if version != __version__:
                raise InputError(f"a worker has facemask {__version__}, not {version}: update it.")
            with suppress(OSError):  # names of files are as in the command
                os.chdir(folder)
            run = _prepared(plan)
        except InputError as error:
            return Outcome(job, error, of_all=True), reports.said
        return run.attempt(job, reports), reports.said


@functools.lru_cache(maxsize=1)
def _prepared(plan: Plan) -> "Run":
    return plan.prepare()
