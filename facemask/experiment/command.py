"""`facemask experiment`: a whole recipe of trainings and tests in one command."""

import time
from pathlib import Path

import torch

from facemask import __version__
from facemask.errors import InputError
from facemask.experiment.job import Job
from facemask.experiment.plan import chosen_steps, read_plan
from facemask.experiment.run import check_data, run_steps
from facemask.experiment.tables import BESIDE_PAPER, experiment_page
from facemask.files import make_folder, write_atomic
from facemask.naming import counted
from facemask.terminal import console_for_words


def experiment(
    plan: str,
    *,
    data: str,
    out: str,
    only: list[str] | str | None = None,
    fast: bool = False,
    logging: str | None = None,
    parallel: int = 1,
    groups: int = 10,
    seed: list[int] | int = 0,
) -> None:
    """Run a plan of trainings and tests: the paper's tables, or fine-tuning of shipped weights.

    Run again, it skips what is done and goes on with what was begun.

    Args:
        plan: YAML file of the plan: configs/experiments/ijcv2019.yaml has the paper's tables, put
            beside its numbers, and configs/finetune.yaml lets the shipped weights go on learning.
        data: The data set's folder, from `facemask prepare`.
        out: Folder for checkpoints, logs, records and the report.
        only: Do only these tables ("Table 5"), rows ("Table 5: IoU loss (Eq. 3)") or steps, and
            what they need. Default: everything.
        fast: Take small networks and few epochs: the configurations that the plan calls fast.
        logging: YAML file that is laid over each training's configuration, such as
            configs/logging/wandb.yaml; every step is a run of its name. Default: CSV files.
        parallel: Steps at a time. Each has a GPU of its own where there are several, else a share
            of the CPUs.
        groups: Groups of sequences of the significance test (10 in the paper).
        seed: Seed of training and order of data (groups and bootstrap take the first). Several, as
            in "[0, 1, 2]", run everything once with each, into OUT/seed_0 and so on; the tables
            are then of all of them together, with intervals over the seeds.

    Raises:
        InputError: The plan, an option or the data is wrong, a step was run with other settings in
            `out`, or a step failed.
    """
    seeds = [seed] if isinstance(seed, int) else seed
    given = [("parallel", parallel, 1), ("groups", groups, 2), *(("seed", s, 0) for s in seeds)]
    for option, value, least in given:
        if value < least:
            raise InputError(f"{option} is {value}, expected at least {least}.")
    if len(set(seeds)) < max(1, len(seeds)):
        raise InputError(f"seed is {seeds}, expected one or more different seeds.")
    if not fast and (gpus := torch.cuda.device_count()) and parallel > gpus:
        raise InputError(f"parallel is {parallel}, but there are {gpus} GPUs: give at most {gpus}.")
    path, root, folder = Path(plan), Path(data), Path(out)
    read = read_plan(path)
    steps = chosen_steps(read, [only] if isinstance(only, str) else only)
    if not (root / "data_splits").is_dir():
        raise InputError(f"{root}: not a data set; give the folder that `facemask prepare` wrote.")
    logging_file = None if logging is None else Path(logging)
    job = Job(read, path.parent, root.resolve(), folder.resolve(), fast, seeds[0], logging_file)
    check_data(job, steps)
    make_folder(folder)
    console = console_for_words()
    start, count = time.monotonic(), 0

    def say(line: str) -> None:
        nonlocal count
        count += 1
        console.print(f"{count:>3} of {len(steps) * len(seeds)}  {line}")

    failed: dict[str, str] = {}
    finished = []  # each seed's folders by step
    for number in seeds:
        place = folder if len(seeds) == 1 else folder / f"seed_{number}"
        make_folder(place)
        job = Job(read, path.parent, root.resolve(), place.resolve(), fast, number, logging_file)
        lost = run_steps(job, steps, parallel, say)
        finished.append({name: job.folder(name) for name in steps if name not in lost})
        failed |= {f"{place / 'logs' / name}.log": f"{name}: {why}" for name, why in lost.items()}

    facts = {
        "Command": f"facemask experiment {plan} --data {data} --out {out} --seed {seed}"
        + (" --fast" if fast else ""),
        "Written by": f"facemask {__version__}",
    }
    page = experiment_page(read, finished, facts, groups, seeds[0])
    if page.sections:
        for name, content in page.files().items():
            write_atomic(folder / name, content)
        taken = counted(round((time.monotonic() - start) / 60), "minute")
        for section in page.sections:
            if section.text not in ("", BESIDE_PAPER):
                console.print(section.text)
        console.print(f"The tables are in {folder / 'report.html'} ({taken}).")
    if failed:
        log, reason = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {len(steps) * len(seeds)} steps failed, first {reason} (see {log}); "
            "the same command tries them again."
        )
