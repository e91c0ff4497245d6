"""Running an experiment's steps: each after those it needs, several at a time on request."""

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from graphlib import TopologicalSorter
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Final, TypeAlias

import yaml

from facemask.data.split import SPLIT
from facemask.data.vw300_mask import SPLIT_NAMES, Split, read_split
from facemask.errors import INTERRUPTED, InputError, cause_of, input_error, sentence_of
from facemask.experiment.job import Job
from facemask.files import make_folder, write_atomic
from facemask.parallel import deaf_to_ctrl_c, heeding_ctrl_c
from facemask.threads import limit_threads
from facemask.verbosity import notices_told

_KILLED: Final = (
    "its process, or that of a step beside it, was killed, as the system does when memory runs out"
)
_INTERRUPTED: Final = "it was interrupted"
_Ended: TypeAlias = tuple[str | None, float | None, Sequence[str]]
"""What ended a step early, or None; its seconds; what a user should know."""
_interrupted: Final = threading.Event()
"""Whether Ctrl-C came in this process, a worker."""


def run_steps(
    job: Job, steps: Sequence[str], parallel: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Train and test steps; what is done is skipped, and what was begun goes on.

    Args:
        job: Where and how.
        steps: Names, with all that they need.
        parallel: Steps at a time, each on a GPU of its own where there are GPUs.
        say: Is given one line for each step that ends.

    Returns:
        The steps that failed, and those that need them, each with its reason; all others are done.

    Raises:
        InputError: A step's configuration has changed since it was run, or is not understood.
    """
    todo = {name: _commands(job, name) for name in steps}
    for name, commands in todo.items():
        _check(name, commands)
    sorter = TopologicalSorter({name: job.plan.steps[name].needs for name in steps})
    sorter.prepare()
    failed: dict[str, str] = {}
    running: dict[Future[_Ended], str] = {}
    pool = _pool(parallel)
    try:
        while sorter.is_active():
            for name in sorter.get_ready():
                if failed.keys() & job.plan.steps[name].needs:
                    failed[name] = "a step that it needs failed"
                    say(f"{name}: left out, {failed[name]}")
                    sorter.done(name)
                elif not todo[name]:
                    say(f"{name}: done before")
                    sorter.done(name)
                else:
                    log = job.out / "logs" / f"{name}.log"
                    with deaf_to_ctrl_c():  # until its words go to the log
                        future = pool.submit(_timed, todo[name], job.folder(name), log)
                    running[future] = name
            ended = wait(running, return_when=FIRST_COMPLETED).done
            if any(isinstance(future.exception(), BrokenProcessPool) for future in ended):
                ended = wait(running).done  # all end with it
                pool.shutdown()
                pool = _pool(parallel)
            for future in ended:
                name, broken = (
                    running.pop(future),
                    isinstance(future.exception(), BrokenProcessPool),
                )
                error, seconds, notices = (_KILLED, None, ()) if broken else future.result()
                if error is not None:
                    failed[name] = error
                what = f"failed: {error}" if error else "done"
                time_taken = "" if seconds is None else f" ({seconds:.0f} s)"
                say(". ".join([f"{name}: {what}{time_taken}", *notices]))
                sorter.done(name)
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def check_data(job: Job, steps: Sequence[str]) -> None:
    """Check that no side of the data that steps need is empty, before anything is written.

    Raises:
        InputError: One is, or cannot be read.
    """
    needed: dict[tuple[str, Split], None] = {}
    for name in steps:
        split = job.config(name, "test")["data"]["init_args"].get("split", SPLIT)
        sides = SPLIT_NAMES if job.plan.steps[name].trains else ("test",)
        needed |= dict.fromkeys((split, side) for side in sides)
    for split, side in needed:
        read_split(job.data, split, side)


def _pool(parallel: int) -> ProcessPoolExecutor:
    """Processes for steps, each with a place of its own."""
    context = multiprocessing.get_context("spawn")
    places: SimpleQueue[int] = context.SimpleQueue()
    for place in range(parallel):
        places.put(place)
    return ProcessPoolExecutor(parallel, context, _start_worker, (places, parallel))


def _commands(job: Job, name: str) -> list[list[str]]:
    """Return what is left to do for a step, as arguments of `facemask`, and write its YAML files.

    Raises:
        InputError: The step was run with other settings.
    """
    commands: list[list[str]] = []
    folder = job.folder(name)
    make_folder(folder)
    make_folder(job.out / "logs")
    for stage in ("fit", "test") if job.plan.steps[name].trains else ("test",):
        text = yaml.safe_dump(job.config(name, stage), sort_keys=False, allow_unicode=True)
        path = folder / f"{stage}.yaml"
        begun = _done(folder, stage).is_file() or (folder / "last.ckpt").is_file()
        if begun and path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{path}: step {name!r} was run with other settings than it has now; give another "
                f"--out, or delete {folder} to run it again."
            )
        write_atomic(path, text.encode())
        if _done(folder, stage).is_file():
            continue
        if stage == "fit":
            weights = ["--resume=auto"]
        else:
            step = job.plan.steps[name]
            if step.calibrated:
                source, target = str(job.source(name)), str(job.best(name))
                commands.append(["calibrate", source, "--settings", str(path), "--out", target])
            has_weights = not (step.networks or step.weightless)
            weights = [f"--ckpt_path={job.best(name)}"] if has_weights else []
        options = ["--trainer.enable_progress_bar=false"]  # nobody watches a log file
        if stage == "test" and job.fast:
            options.append("--record.flow=null")  # would take longer than the masks
        commands.append([stage, "-c", str(path), *weights, *options])
    return commands


def _check(name: str, commands: list[list[str]]) -> None:
    """Raise an `InputError` if the command line does not take a step's training: no run begins."""
    from facemask.training.cli import check_arguments

    for command in commands:
        if command[0] == "fit":
            try:
                check_arguments(command)
            except InputError as error:
                _, _, file, *_ = command  # which nobody has written: the plan's step says more
                reason = str(error).removeprefix(f"{file}: ")
                raise InputError(f"step {name!r}: {reason}") from error


def _done(folder: Path, stage: str) -> Path:
    """The file whose presence says that a stage ended."""
    return folder / "test" / "record.json" if stage == "test" else folder / "fit.done"


def _start_worker(places: "SimpleQueue[int]", parallel: int) -> None:
    """Give a worker process its GPU, or its share of the CPUs; it ends when its parent does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    place = places.get()
    import torch

    if (gpus := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        ids = visible.split(",") if visible else [str(i) for i in range(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = ids[place % len(ids)]
    limit_threads(processes=parallel)


def _end_with_parent() -> None:
    """Without this, trainings of a killed experiment go on and write what the next one writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _timed(commands: list[list[str]], folder: Path, log: Path) -> _Ended:
    """Call `_run`; return what ended it early, or None, its seconds, and its notices.

    After Ctrl-C nothing else is begun: a step may wait in this process's queue already.
    """
    start, reason = time.monotonic(), None
    notices: list[str] = []
    if _interrupted.is_set():
        return _INTERRUPTED, 0.0, notices
    try:
        _run(commands, folder, log, notices.append)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # the other steps go on
        reason = reason_of(error)
        if reason == _INTERRUPTED:
            _interrupted.set()
        if input_error(error) is not None:
            print(f"facemask: error: {reason}.", file=sys.stderr, flush=True)
        elif not isinstance(error, SystemExit):
            traceback.print_exc()
    return reason, time.monotonic() - start, notices


def _run(commands: list[list[str]], folder: Path, log: Path, tell: Callable[[str], object]) -> None:
    """Run commands in a worker process; `tell` gets what the log alone would say.

    Raises:
        SystemExit: A command ended with another status than 0.
    """
    from facemask.training.calibrate import calibrate
    from facemask.training.cli import run_trainer
    from facemask.training.start_score import NotBetterNotice

    def tell_and_log(text: str) -> None:
        print(text, flush=True)
        tell(text)

    with log.open("a", encoding="utf-8") as file:
        # the descriptors, because loggers and loader processes keep the streams they began with
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["facemask"]  # Lightning compares it with the arguments that it is given
    with heeding_ctrl_c(), notices_told(tell_and_log, NotBetterNotice):
        for command in commands:
            print("facemask", *command, flush=True)
            if command[0] == "calibrate":
                calibrate(command[1], settings=command[3], out=command[5])
                continue
            try:
                run_trainer(command)
            except SystemExit as stop:
                if stop.code:  # 0: `--resume auto` found the training finished
                    raise
            if wandb := sys.modules.get("wandb"):
                wandb.finish()  # the next step in this process is a run of its own
            if command[0] == "fit":
                write_atomic(_done(folder, "fit"), b"")


def reason_of(error: BaseException) -> str:
    """Return why a step failed, without a full stop, from what ended its command."""
    wrong_input = input_error(error)
    if wrong_input is not None:
        return sentence_of(wrong_input).rstrip(".")
    interrupted = isinstance(error, SystemExit) and error.code == INTERRUPTED
    if interrupted or isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    if not isinstance(error, SystemExit):
        return cause_of(error)
    return error.code if isinstance(error.code, str) else f"it ended with status {error.code}"
