"""Uses of what Lightning keeps private, each with the reason.

Beside these, `data/loaders.py` reads the progress of `Trainer.fit_loop`, public but undocumented.

`tests/training/test_private_api.py` fails when a release of Lightning changes one of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.plugins import LayerSync


def use_csv_writer(logger: CSVLogger, writer: ExperimentWriter) -> None:
    """Let a CSV logger write through this object.

    CSVLogger makes its own, which rewrites `metrics.csv` in place when a new column comes: a kill
    then leaves half a file. It takes no other.
    """
    logger._experiment = writer


def layer_sync(trainer: Trainer) -> LayerSync | None:
    """Return what `Trainer(sync_batchnorm=True)` set up, or None.

    The Trainer keeps no public trace of that option.
    """
    found: LayerSync | None = getattr(trainer.strategy, "_layer_sync", None)
    return found


def use_layer_sync(trainer: Trainer, sync: LayerSync) -> None:
    """Let a strategy convert BatchNorm with this object when it sets up the model.

    `Trainer(plugins=...)` takes one too, but only where the Trainer is built, which is not here.
    """
    trainer.strategy._layer_sync = sync  # type: ignore[attr-defined]


def epochs_done(checkpoint: dict[str, Any]) -> int:
    """Return the number of epochs that a checkpoint's run has done.

    A checkpoint's own "epoch" does not say whether that epoch was over.
    """
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def between_epochs(checkpoint: dict[str, Any]) -> bool:
    """Return whether a checkpoint was written after one epoch had ended and before the next."""
    current = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return bool(current["started"] <= current["processed"])


def last_logged_step(checkpoint: dict[str, Any]) -> int:
    """Return the step, from 0, under which Lightning had logged the last batch at a checkpoint.

    A checkpoint's own "global_step" counts optimiser steps instead.
    """
    steps = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"]
    return int(steps) - between_epochs(checkpoint)


def end_with_a_batch(checkpoint: dict[str, Any]) -> None:
    """Let a checkpoint from between two epochs look like one after the epoch's last batch.

    With `max_steps` Lightning 2.6 takes the former for one in the middle of an epoch: it would
    end that epoch a second time, or skip the next one.
    """
    loops = checkpoint["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    for part in ("total", "current"):
        epochs[part]["ready"] = epochs[part]["started"]
        epochs[part]["processed"] = epochs[part]["completed"] = epochs[part]["started"] - 1
        batches[part]["completed"] = batches[part]["processed"] - 1
    batches["is_last_batch"] = True
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


@contextmanager
def epoch_counted_back(trainer: Trainer, begun: int) -> Iterator[None]:
    """Let checkpoints written in this block hold the counts from when an epoch's last batch ended.

    Lightning writes `last.ckpt` only with a new best one; written later, its counts are ahead.

    Args:
        trainer: Its epoch has ended.
        begun: 1 if the next epoch has begun, else 0.
    """
    progress = trainer.fit_loop.epoch_progress
    for part in (progress.total, progress.current):
        part.ready -= begun
        part.completed -= 1
    try:
        yield
    finally:
        for part in (progress.total, progress.current):
            part.ready += begun
            part.completed += 1
