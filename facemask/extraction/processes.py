"""Videos done by several processes of this machine at a time, each with its share of the cores.

A pool of `concurrent.futures` would be lost as a whole with the first of its workers that is
killed. Here each worker has a pipe of its own: it is told the next video when it has done one, its
end is the end of the pipe, and so is its parent's.
"""

import logging
import multiprocessing
import os
import signal
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Final, NamedTuple

from facemask.errors import InputError, Notice
from facemask.extraction.jobs import Job, Outcome
from facemask.extraction.plan import Plan
from facemask.extraction.reports import Reports, Said
from facemask.memory import share_memory
from facemask.parallel import deaf_to_ctrl_c
from facemask.threads import choose_threads, free_cores
from facemask.verbosity import choices_told, notices_told

_PATIENCE: Final = 10.0
"""Seconds for a worker to tidy up after Ctrl-C."""

_logger: Final = logging.getLogger(__name__)


class _Advanced(NamedTuple):
    name: str
    done: int
    total: int | None
    speed: float


class _Noticed(NamedTuple):
    text: str


class _Stopped(NamedTuple):
    kept: str


class _Worker:
    """A process, and the video that it is at work on."""

    def __init__(self, plan: Plan, number: int, count: int) -> None:
        self.number = number
        self.job: Job | None = None
        self.pipe, other = multiprocessing.Pipe()
        verbose = number == 0 and _logger.isEnabledFor(logging.INFO)
        # spawn: a forked child inherits the locks of OpenCV's and torch's threads and may hang
        self.process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(other, plan, number, count, verbose), daemon=True
        )
        with deaf_to_ctrl_c():
            self.process.start()
        other.close()  # or its end would not be seen here

    def give(self, job: Job | None) -> None:
        """Hand it a video, or send it home."""
        self.job = job
        with suppress(BrokenPipeError):  # it is told when the pipe's end is read
            self.pipe.send(job)

    def receive(self) -> object:
        """Return its next message; None if it is gone."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None

    def death(self) -> InputError:
        """Return what is to be said of a video whose process is gone."""
        self.process.join()
        code = self.process.exitcode or 0
        told = f"was killed ({signal.Signals(-code).name})" if code < 0 else "failed"
        why = ", as the system does when memory runs out" if code == -9 else ""
        origin = self.job.origin if self.job else ""
        return InputError(
            f"{origin}: the process at work on it {told}{why}: the same command with --resume "
            "does it again."
        )


def in_processes(
    plan: Plan, jobs: Sequence[Job], count: int, reports: Reports
) -> Generator[Outcome, None, None]:
    """Do videos in processes of this machine, and yield the end of each as it comes.

    A process that dies takes only its own video with it, and another one takes its place. On
    Ctrl-C, and when the generator is closed, all are ended; nothing half-written is left.

    Args:
        plan: The options.
        jobs: The videos.
        count: Most processes.
        reports: Shows what they tell.

    Raises:
        KeyboardInterrupt: Says what is kept of the videos that were being done.
    """
    waiting = deque(jobs)
    count = min(count, len(jobs))
    threads = choose_threads(free_cores(), processes=count)
    _logger.info("%d videos at a time, each with %s", count, threads)
    workers: dict[Connection, _Worker] = {}

    def hire(number: int) -> None:
        worker = _Worker(plan, number, count)
        workers[worker.pipe] = worker
        worker.give(waiting.popleft())

    try:
        for number in range(count):
            hire(number)
        while workers:
            for pipe in wait([*workers]):
                assert isinstance(pipe, Connection)
                worker = workers[pipe]
                message = worker.receive()
                if isinstance(message, Outcome):
                    worker.give(waiting.popleft() if waiting else None)
                    yield message
                elif isinstance(message, Said):
                    reports.say(*message)
                elif isinstance(message, _Advanced):
                    reports.advance(*message)
                elif isinstance(message, _Noticed):  # each is shown once
                    warnings.warn(message.text, Notice, stacklevel=2)
                else:
                    del workers[pipe]
                    if worker.job is not None:
                        yield Outcome(worker.job, worker.death())
                        if waiting:
                            hire(worker.number)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_end(workers)) from None
    finally:
        _end(workers)


def _end(at_work: dict[Connection, _Worker]) -> str:
    """End processes, and return what is kept of their videos."""
    kept, workers = [], [*at_work.values()]
    at_work.clear()
    try:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            while worker.pipe.poll(_PATIENCE) and (message := worker.receive()) is not None:
                if isinstance(message, _Stopped) and message.kept:
                    kept.append(message.kept)
                if isinstance(message, Outcome):  # the signal came when it was done
                    break
            worker.pipe.close()
            worker.process.join(_PATIENCE)
    finally:
        for worker in workers:
            worker.process.kill()
    return " and ".join(kept)


class _Sender:
    """Reports that go through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def say(self, name: str, text: str, style: str | None = None) -> None:
        self._pipe.send(Said(name, text, style))

    def advance(self, name: str, done: int, total: int | None, speed: float) -> None:
        self._pipe.send(_Advanced(name, done, total, speed))

    def notice(self, text: str) -> None:
        self._pipe.send(_Noticed(text))


def _work(pipe: Connection, plan: Plan, number: int, count: int, verbose: bool) -> None:
    """Do videos until there are no more, in a process of its own."""
    share_memory()
    threads = choose_threads(free_cores(), processes=count).count
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # heeded by torch, codecs and runtimes
    sender = _Sender(pipe)
    run = None
    # the pipe ends with the parent, and results that are being written are discarded
    with suppress(EOFError, ConnectionError), choices_told(verbose), notices_told(sender.notice):
        while (job := pipe.recv()) is not None:
            try:
                run = run or plan.prepare(worker=number)
            except InputError as error:
                pipe.send(Outcome(job, error, of_all=True))
                continue
            try:
                with _ended_like_ctrl_c():
                    outcome = run.attempt(job, sender)
            except KeyboardInterrupt as interrupt:
                pipe.send(_Stopped(str(interrupt)))
                return
            pipe.send(outcome)


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, by which the parent ends a worker, tidy up as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
