"""Checkpoints from which a killed run goes on as if nothing had happened."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

import io
import random
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import Tensor
from torchmetrics import Metric

from facemask.checkpoints import read_checkpoint
from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.lightning_guard import DATA_KEY, MODULE_KEY, check_trainer, keep_known
from facemask.training.metrics_file import (
    MetricsFile,
    csv_loggers,
    put_back_metrics,
    restore_rows,
    save_rows,
)
from facemask.training.private_api import (
    between_epochs,
    end_with_a_batch,
    epoch_counted_back,
    last_logged_step,
    use_csv_writer,
)
from facemask.training.resume import last_checkpoint, model_checkpoints

_STATE: Final = "facemask_run"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name in its own folder and renames it.

    Lightning's own writes it in the system's folder for temporary files, from where it is copied
    if that is another disk: a kill then leaves half a checkpoint in place of a whole one.

    Checkpoints are read with `weights_only=True`, and without hyperparameters that the
    LightningModule or the data module does not know by name.

    Args:
        module: Class of the LightningModule; without it all its hyperparameters are left out.
        data: Class of the data module, likewise.
    """

    def __init__(self, module: type | None = None, data: type | None = None) -> None:
        self._kinds = {MODULE_KEY: module, DATA_KEY: data}

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ANN401  # the CPU
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """A checkpoint, its tensors on the CPU.

        Raises:
            InputError: It cannot be read.
        """
        if "://" in str(path):
            checkpoint: dict[str, Any] = super().load_checkpoint(path, weights_only=True)
        else:
            checkpoint = read_checkpoint(Path(path))
        for key, kind in self._kinds.items():
            keep_known(checkpoint, kind, key)
        return checkpoint

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ANN401
    ) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            InputError: The folder is missing, unwritable or full.
        """
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        make_folder(Path(path).parent)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        try:
            write_atomic(Path(path), buffer.getvalue())
        except InputError as error:
            raise InputError(
                f"{str(error).rstrip('.')}; the checkpoints written before are whole: make room "
                "and go on from the last one with --resume auto."
            ) from error


class ResumableRun(Callback):
    """Makes the rest of a run depend on its checkpoint alone; give it as the first callback.

    With it a checkpoint also holds the state of the random numbers of all processes (Python,
    NumPy, torch, the GPU's) and of the epoch's metrics, so that a resumed run computes what the
    uninterrupted one would have, to the last bit on CPUs. The folder's `last.ckpt` is written
    after every epoch and when training ends, where a `ModelCheckpoint` has `save_last`; Lightning
    itself would write it only with a new best checkpoint. A resumed run goes on with the rows of
    its `metrics.csv`, without those of the part that was lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._saver: ModelCheckpoint | None = None  # whose last.ckpt is written here
        self._saved_step = 0
        self._state: dict[str, Any] | None = None  # of this process, from a checkpoint
        self._last_row: int | None = None  # step of the last row of metrics.csv to keep

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the CSV logger write its file whole, or not at all.

        Raises:
            InputError: The trainer or a callback is `lightning.pytorch`'s.
        """
        check_trainer(trainer)
        self._state = self._last_row = None
        if stage != "fit" or not trainer.is_global_zero:
            return
        for logger in csv_loggers(trainer):
            use_csv_writer(logger, MetricsFile(logger.log_dir))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the writing of `last.ckpt` over from Lightning."""
        taken = self._saver  # in an earlier fit
        savers = [c for c in model_checkpoints(trainer) if c.save_last or c is taken]
        self._saver = savers[0] if savers else None
        if self._saver is not None and self._saver.every_n_epochs:  # else Lightning does, in epochs
            self._saver.save_last = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on where the checkpoint was written."""
        self._saved_step = trainer.global_step
        if trainer.is_global_zero:
            for logger in csv_loggers(trainer):
                restore_rows(logger, self._last_row)
        if self._state is not None:
            set_random_state(self._state["random"])
            _set_metrics(pl_module, self._state["metrics"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch that has just ended: only now all of it has been logged."""
        if self._state is not None:
            set_random_state(self._state["random"])  # callbacks may have drawn since
            self._state = None
        save_rows(trainer)
        saver = self._saver
        if saver and trainer.current_epoch % max(1, saver.every_n_epochs or 1) == 0:
            self._save_epoch(trainer, begun=1)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Write what was logged: a checkpoint of the step before counts on it."""
        self._state = None
        save_rows(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end."""
        save_rows(trainer)
        if self._saver is not None:
            self._save_epoch(trainer, begun=0)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the log as it was found, if nothing was trained."""
        put_back_metrics(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the log as it was found, if nothing was trained."""
        put_back_metrics(trainer)

    def _save_epoch(self, trainer: Trainer, begun: int) -> None:
        """Save what Lightning would have at the end of the epoch, when less of it was logged.

        Args:
            trainer: Its epoch has ended.
            begun: 1 if the next one has begun, else 0.
        """
        with epoch_counted_back(trainer, begun):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Write `last.ckpt` now, beside the checkpoints of any `ModelCheckpoint`."""
        saver = next(iter(model_checkpoints(trainer)), None) if not self._saver else self._saver
        path = None if saver is None else last_checkpoint(saver)
        skip = trainer.fast_dev_run  # type: ignore[attr-defined]  # set in Lightning's set-up
        if path is None or saver is None or skip or trainer.global_step == self._saved_step:
            return
        saver.last_model_path = str(path)
        trainer.save_checkpoint(path, weights_only=False)
        self._saved_step = trainer.global_step

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state of every process; all of them save together."""
        state = {"random": random_state(), "metrics": _metrics(pl_module)}
        states = [state]
        if trainer.world_size > 1:
            states = [{}] * trainer.world_size
            torch.distributed.all_gather_object(states, state)
        checkpoint[_STATE] = states

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the state of this process."""
        if trainer.state.fn != "fit":
            return
        states = checkpoint.get(_STATE, [])
        if len(states) == trainer.world_size:  # else nothing can be the same to the last bit
            self._state = states[trainer.global_rank]
        self._last_row = last_logged_step(checkpoint)
        if between_epochs(checkpoint) and trainer.max_steps != -1:
            end_with_a_batch(checkpoint)


def _metrics(module: LightningModule) -> dict[str, dict[str, Tensor | list[Tensor]]]:
    """Return what the module's metrics have counted in this process, on the CPU."""
    return {
        name: {
            key: value.cpu() if isinstance(value, Tensor) else [part.cpu() for part in value]
            for key, value in metric.metric_state.items()
        }
        for name, metric in module.named_modules()
        if isinstance(metric, Metric)
    }


def _set_metrics(
    module: LightningModule, states: dict[str, dict[str, Tensor | list[Tensor]]]
) -> None:
    for name, metric in module.named_modules():
        if isinstance(metric, Metric):
            for key, value in states.get(name, {}).items():
                if isinstance(value, Tensor):
                    setattr(metric, key, value.to(metric.device))
                else:
                    setattr(metric, key, [part.to(metric.device) for part in value])


def random_state() -> dict[str, Any]:
    """Return the state of this process's random number generators, in plain values and tensors."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    state = {
        "python": random.getstate(),
        "numpy": (str(name), np.asarray(keys).tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set what `random_state` returned."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
