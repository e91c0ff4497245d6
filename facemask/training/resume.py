"""The checkpoint that a run goes on from."""

import re
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError
from facemask.training.private_api import epochs_done


def model_checkpoints(trainer: Trainer) -> list[ModelCheckpoint]:
    """Return the trainer's `ModelCheckpoint` callbacks."""
    return [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]


def checkpoint_folders(trainer: Trainer) -> list[Path]:
    """Return the local folders that the trainer's `ModelCheckpoint` callbacks name."""
    given = [str(c.dirpath) for c in model_checkpoints(trainer) if c.dirpath]
    return [Path(folder).resolve() for folder in given if "://" not in folder]


def last_checkpoint(callback: ModelCheckpoint) -> Path | None:
    """Return the path of a callback's `last.ckpt`, or None while its folder is unknown."""
    if callback.dirpath is None:
        return None
    return Path(callback.dirpath, f"{callback.CHECKPOINT_NAME_LAST}{callback.FILE_EXTENSION}")


def find_last(trainer: Trainer, folders: list[Path], *, auto: bool) -> str | None:
    """Find the newest `last.ckpt` (or `last-v1.ckpt` and so on) that training can go on from.

    Args:
        trainer: Its limits say whether a run is finished.
        folders: Folders to look in.
        auto: Whether a new run may start where there is none.

    Returns:
        The path, or None for a new run.

    Raises:
        InputError: There is none, and no new run may start.
        SystemExit: With status 0: the run that was found is finished.
    """
    option = "--resume auto" if auto else "--ckpt_path last"
    if not folders:
        raise InputError(
            f"{option} looks in the folder of the ModelCheckpoint, and none has a dirpath: give "
            "one with `dirpath` and `save_last: true`."
        )
    found = [path for folder in folders for path in folder.glob("last*.ckpt")]
    named = [path for path in found if re.fullmatch(r"last(-v\d+)?", path.stem) and path.is_file()]
    for path in sorted(named, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            checkpoint = read_checkpoint(path)
            check_training_state(checkpoint, str(path))
        except InputError as error:
            rank_zero_warn(f"Passed over: {error}")
            continue
        if auto and is_finished(checkpoint, trainer):
            rank_zero_info(
                f"The run of {path} is finished (epoch {epochs_done(checkpoint)}, step "
                f"{checkpoint['global_step']}): nothing is left to do."
            )
            raise SystemExit(0)
        return str(path)
    if auto:
        rank_zero_info("There is no checkpoint to go on from: a new run starts.")
        return None
    raise InputError(
        f"--ckpt_path last: there is no last.ckpt in {', '.join(map(str, folders))}: give a "
        "checkpoint's path, or start with --resume auto."
    )


def check_training_state(checkpoint: dict[str, Any], path: str) -> None:
    """Raise an `InputError` if training cannot go on from a checkpoint."""
    missing = [k for k in ("loops", "optimizer_states", "lr_schedulers") if k not in checkpoint]
    if missing:
        raise InputError(
            f"{path}: holds no state of a training to go on with ({missing[0]} is missing): give a "
            "checkpoint that `facemask fit` wrote with save_weights_only=false."
        )


def is_finished(checkpoint: dict[str, Any], trainer: Trainer) -> bool:
    """Return whether nothing is left to do of a checkpoint's run, by the trainer's limits."""
    states = checkpoint.get("callbacks", {}).values()
    # an EarlyStopping's, whatever its subclass is called
    stopped = any(isinstance(s, dict) and s.get("stopped_epoch", 0) > 0 for s in states)
    limit = trainer.max_epochs
    if limit is None and trainer.max_steps == -1:
        limit = 1000  # Lightning's default
    by_epochs = limit not in (None, -1) and epochs_done(checkpoint) >= limit
    by_steps = trainer.max_steps != -1 and checkpoint["global_step"] >= trainer.max_steps
    return stopped or by_epochs or by_steps


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed while writing left under temporary names."""
    for pattern in (".*.ckpt.*.tmp", ".metrics.csv.*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
