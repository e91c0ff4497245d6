"""Run many jobs, in processes of their own or not, and show one progress bar."""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Final, TypeVar

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from facemask.errors import InputError
from facemask.progress import Bars
from facemask.threads import free_cores

_logger: Final = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    description: str,
) -> list[Result | InputError]:
    """Call `function` on every item and show a progress bar on the terminal.

    A job that raises `InputError` does not stop the others; any other exception does.

    Args:
        function: A module-level function (it is sent to other processes).
        items: Its arguments, one a job.
        workers: Number of processes; None is one a free core, 0 or 1 runs the jobs in this process.
        description: What the progress bar says.

    Returns:
        The result or the error of each item, in the order of `items`.

    Raises:
        InputError: `workers` is negative.
    """
    if workers is not None and workers < 0:
        raise InputError(f"--workers is {workers}, expected 0 or more.")
    if not items:
        return []
    if workers is None:
        cores = free_cores()
        workers = cores.count
        _logger.info("One video a core at a time (%s).", cores)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as progress:
        completed = _completed(function, items, workers)
        results = dict(progress.track(completed, total=len(items), description=description))
    return [results[index] for index in range(len(items))]


def _start_worker() -> None:
    """Give a worker one thread: there are as many workers as cores."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | InputError:
    try:
        return function(item)
    except InputError as error:
        return error


def _completed(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result | InputError]]:
    if workers <= 1 or len(items) <= 1:
        yield from ((index, _attempt(function, item)) for index, item in enumerate(items))
        return
    # spawn: a forked child inherits the locks of OpenCV's and torch's threads and may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), context, _start_worker) as pool:
        with deaf_to_ctrl_c():
            index_of = {pool.submit(_attempt, function, i): n for n, i in enumerate(items)}
        try:
            for future in as_completed(index_of):
                yield index_of[future], future.result()
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Hide Ctrl-C, which goes to all processes, from those begun in this block for good.

    This process, which ends them, gets it at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    # begun with the first process, the tracker would let Ctrl-C through again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C through, in a process begun deaf to it; what came before comes now."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
