"""Running an experiment's steps: each after those it needs, several at a time on request."""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import yaml

from facemask.errors import InputError
from facemask.experiment.plan import Plan, merge
from facemask.files import make_folder, write_atomic
from facemask.parallel import available_cpus


@dataclass(frozen=True)
class Job:
    """Where an experiment runs.

    Attributes:
        plan: What to do.
        base: Folder of the plan's file, which its configurations are relative to.
        data: The data set's folder.
        out: Folder of everything that is written.
        fast: Whether to take the fast configurations.
        seed: Seed of training and of the order of data.
    """

    plan: Plan
    base: Path
    data: Path
    out: Path
    fast: bool
    seed: int

    def folder(self, step: str) -> Path:
        """A step's checkpoints, metrics and record."""
        return self.out / "runs" / step

    def best(self, step: str) -> Path:
        """The checkpoint that a step is tested with and others start from."""
        weights_of = self.plan.steps[step].weights_of
        return self.best(weights_of) if weights_of else self.folder(step) / "best.ckpt"

    def config(self, name: str, stage: str) -> dict[str, Any]:
        """The configuration of a step for `facemask fit` or `facemask test`.

        Raises:
            InputError: The YAML file is missing or damaged.
        """
        step = self.plan.steps[name]
        files = self.plan.configs[step.config]
        config = _read_yaml(self.base / (files.fast if self.fast else files.full))
        config = merge(config, step.options)
        if self.fast:
            config = merge(config, step.fast)
        if stage == "test":
            config = merge(config, step.test)
        model, data = config["model"]["init_args"], config["data"]["init_args"]
        config["seed_everything"] = data["seed"] = self.seed
        data["root"] = str(self.data)
        if step.init_from:
            model["init_from"] = str(self.best(step.init_from))
        model |= {part: str(self.best(needed)) for part, needed in step.networks.items()}
        trainer, folder = config["trainer"], self.folder(name)
        for logger in _as_list(trainer.get("logger")):
            logger["init_args"] |= {"save_dir": str(folder.parent), "name": name}
        for callback in _as_list(trainer.get("callbacks")):
            if "dirpath" in callback.get("init_args", {}):
                callback["init_args"]["dirpath"] = str(folder)
        return config


def _as_list(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # YAML
    entries = value if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, dict)]


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot read the configuration: {error}.") from error
    if not isinstance(config, dict) or not {"model", "data", "trainer"} <= config.keys():
        raise InputError(f"{path}: expected a configuration with trainer, model and data.")
    return config


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
        InputError: A step's configuration has changed since it was run.
    """
    todo = {name: _commands(job, name) for name in steps}
    sorter = TopologicalSorter({name: job.plan.steps[name].needs for name in steps})
    sorter.prepare()
    failed: dict[str, str] = {}
    context = multiprocessing.get_context("spawn")
    places: SimpleQueue[int] = context.SimpleQueue()
    for place in range(parallel):
        places.put(place)
    running: dict[Future[str | None], tuple[str, float]] = {}
    with ProcessPoolExecutor(parallel, context, _start_worker, (places, parallel)) as pool:
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
                    ended = pool.submit(_run, todo[name], job.folder(name), log)
                    running[ended] = (name, time.monotonic())
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, start = running.pop(future)
                error = future.result()
                if error is not None:
                    failed[name] = error
                what = f"failed: {error}" if error else "done"
                say(f"{name}: {what} ({time.monotonic() - start:.0f} s)")
                sorter.done(name)
    return failed


def _commands(job: Job, name: str) -> list[list[str]]:
    """What is left to do for a step, as arguments of `facemask`; its YAML files are written.

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
            last = folder / "last.ckpt"
            resume = [f"--ckpt_path={last}"] if last.is_file() else []
        else:
            resume = [] if job.plan.steps[name].networks else [f"--ckpt_path={job.best(name)}"]
        commands.append([stage, "-c", str(path), *resume])
    return commands


def _done(folder: Path, stage: str) -> Path:
    """The file whose presence says that a stage ended."""
    return folder / "test" / "record.json" if stage == "test" else folder / "fit.done"


def _start_worker(places: "SimpleQueue[int]", parallel: int) -> None:
    """Give a worker process its GPU, or its share of the CPUs."""
    place = places.get()
    import torch

    if (gpus := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        ids = visible.split(",") if visible else [str(i) for i in range(gpus)]
        os.environ["CUDA_VISIBLE_DEVICES"] = ids[place % len(ids)]
    torch.set_num_threads(max(1, available_cpus() // parallel))


def _run(commands: list[list[str]], folder: Path, log: Path) -> str | None:
    """Run commands in a worker process; returns what went wrong, or None."""
    from facemask.cli import main

    with log.open("a", encoding="utf-8") as file:
        # the descriptors, because loggers and loader processes keep the streams they began with
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["facemask"]  # Lightning compares it with the arguments that it is given
    for command in commands:
        print("facemask", *command, flush=True)
        try:
            main(command)
        except SystemExit:  # the sentence of an InputError is the last line
            sys.stderr.flush()
            line = log.read_text(encoding="utf-8").strip().splitlines()[-1]
            return line.removeprefix("facemask: error: ").rstrip(".")
        except Exception as error:  # the other steps go on
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
        if wandb := sys.modules.get("wandb"):
            wandb.finish()  # the next step in this process is a run of its own
        if command[0] == "fit":
            write_atomic(_done(folder, "fit"), b"")
    return None
