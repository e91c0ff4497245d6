"""Lightning callbacks, and one plugin."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

import math
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch
from lightning_utilities.core.rank_zero import rank_zero_info
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.plugins.layer_sync import LayerSync
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn

from facemask.data.clips import ClipBatch
from facemask.data.masks import mask_to_color
from facemask.errors import INTERRUPTED, InputError
from facemask.files import make_folder, write_image
from facemask.lightning_guard import check_trainer
from facemask.training.checkpointing import ResumableRun


class LabelWriter(BasePredictionWriter):
    """Writes predicted label images as PNG files, one a frame, named as the frame's picture.

    Args:
        folder: Where to; made when needed.
        color: Write palette colours (RGB) instead of class ids.
    """

    def __init__(self, folder: str = "predictions", color: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.folder = Path(folder)
        self.color = color

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a trainer of another tree of classes.

        Raises:
            InputError: The trainer or a callback is `lightning.pytorch`'s.
        """
        check_trainer(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the folder, before anything is computed.

        Raises:
            InputError: It cannot be made.
        """
        make_folder(self.folder)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch."""
        for name, label in prediction.items():
            mask = label.cpu().numpy()
            write_image(self.folder / f"{name}.png", mask_to_color(mask) if self.color else mask)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the label images are."""
        rank_zero_info(f"Label images are in {self.folder}.")


@dataclass(frozen=True)
class _Step:
    """A training step that is being looked at.

    Attributes:
        flags: Of any process: whether its loss is not finite, and whether it was interrupted;
            uint8 (2,) on the CPU.
        ready: When `flags` have arrived from the GPU; None is already.
        loss: The loss, a scalar.
        names: Stems of this process's files.
        epoch: From 0.
        batch: Place in the epoch, from 0.
    """

    flags: Tensor
    ready: torch.cuda.Event | None
    loss: Tensor
    names: list[str]
    epoch: int
    batch: int


class TrainingGuard(Callback):
    """Stops a training cleanly: where the loss is not finite, and on Ctrl-C.

    A loss that is not finite ends the run with the files of its batch, before anything is
    validated or saved with what it did to the weights. After Ctrl-C the running step is finished
    and a checkpoint is written, from which the run goes on as if never stopped (with
    `ResumableRun`); then the program ends with status 130. A second Ctrl-C stops at once. Where
    SIGINT is ignored it stays so.

    With several processes both flags are exchanged at every step, so that all stop together. On a
    GPU they are looked at one step later, when they have long been computed, so that no step waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self._step: _Step | None = None
        self._first = True  # of all processes
        self._interrupted = False  # this process
        self._stop = False  # all processes
        self._saved = False  # in the middle of an epoch
        self._handler: Any = None  # of SIGINT, before this one

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a trainer of another tree of classes.

        Raises:
            InputError: The trainer or a callback is `lightning.pytorch`'s.
        """
        check_trainer(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to Ctrl-C, unless it is ignored, as in a shell's background job."""
        self._step, self._interrupted, self._stop, self._saved = None, False, False, False
        self._first = trainer.is_global_zero
        heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if heeded and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._interrupted = True
        self._unlisten()
        if self._first:  # print() may not be called while it is running
            os.write(2, b"\nStopping with a checkpoint; Ctrl-C again stops at once.\n")

    def _unlisten(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Stop, if the step before was the last; by now it has been logged too.

        Raises:
            SystemExit: With status 130.
        """
        if self._saved:
            raise SystemExit(INTERRUPTED)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if the epoch before was the last.

        Raises:
            SystemExit: With status 130.
        """
        if self._stop:
            rank_zero_info("Stopped between two epochs; --resume auto goes on.")
            raise SystemExit(INTERRUPTED)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: ClipBatch,
        batch_idx: int,
    ) -> None:
        """Look at the step before this one on a GPU, at this one elsewhere.

        Raises:
            InputError: The loss is not finite.
        """
        self.check()
        loss = (outputs["loss"] if isinstance(outputs, dict) else outputs).detach()
        interrupted = torch.full_like(loss, self._interrupted, dtype=torch.uint8)
        flags = torch.stack([(~loss.isfinite()).to(torch.uint8), interrupted])
        if trainer.world_size > 1:
            torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        ready = None
        if flags.is_cuda:
            copy = torch.empty_like(flags, device="cpu", pin_memory=True)
            flags = copy.copy_(flags, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        names = [name for clip in batch["names"] for name in clip]
        self._step = _Step(flags, ready, loss, names, trainer.current_epoch, batch_idx)
        if ready is None:
            self.check()
        # an epoch's last batch is followed by the epoch's own checkpoint, and the middle of an
        # accumulation of gradients cannot be saved
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if self._stop and whole and not trainer.is_last_batch:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, ResumableRun):
                    callback.save(trainer)
            rank_zero_info(f"Stopped after step {trainer.global_step}; --resume auto goes on.")
            self._saved = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the epoch's last step."""
        self.check()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last step before the validation."""
        self.check()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look at the last step before it is saved."""
        self.check()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave Ctrl-C to what comes next."""
        self._unlisten()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave Ctrl-C to what comes next."""
        self._unlisten()

    def check(self) -> None:
        """Look at the last step, once.

        Raises:
            InputError: Its loss is not finite, in this process or another one.
        """
        step, self._step = self._step, None
        if step is None:
            return
        if step.ready is not None:
            step.ready.synchronize()
        bad, self._stop = (bool(flag) for flag in step.flags)
        if bad:
            raise InputError(_bad_loss(step))


def _bad_loss(step: _Step) -> str:
    """Describe a step whose loss is not finite in some process; all processes must ask."""
    found = [(float(step.loss), step.names)]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        own = found[0]
        found = [own] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, own)
    bad = [(value, names) for value, names in found if not math.isfinite(value)]
    frames = ", ".join(name for _, names in bad for name in names)
    return (
        f"The training loss is {bad[0][0]} in epoch {step.epoch}, step {step.batch} (both count "
        f"from 0), in the batch of {frames}: look at these frames, or lower model.learning_rate."
    )


class SyncBatchNorm(LayerSync):
    """BatchNorm over all processes, for `Trainer(sync_batchnorm=True)`.

    Lightning would call torch's conversion, which drops the activation inside timm's BatchNorm.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Let every BatchNorm count over all processes."""
        return cast("nn.Module", convert_sync_batchnorm(model))  # type: ignore[no-untyped-call]

    def revert(self, model: nn.Module) -> nn.Module:
        """Leave it: outside training it is plain BatchNorm."""
        return model
