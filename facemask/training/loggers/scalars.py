"""Scalars about training that the module does not know: speed, waiting, gradients."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

from collections import deque
from collections.abc import Iterable
from time import perf_counter
from typing import Any, NamedTuple

from pytorch_lightning import Callback, LightningModule, Trainer
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from facemask.errors import InputError
from facemask.training.loggers import names


class BatchTime(NamedTuple):
    """One training batch of this process.

    Attributes:
        frames: Number of its frames, without those that pad short clips.
        wait: Seconds from the end of the batch before to the start of this one.
        work: Seconds that this one took.
    """

    frames: int
    wait: float
    work: float


class TrainingScalars(Callback):
    """Logs the gradient's norm, frames a second and the share of time spent waiting for data.

    `train/gradient_norm` is the Euclidean norm over all parameters together, before clipping
    (after unscaling with fp16). `train/frames_per_second` counts the frames of all processes,
    without those that pad short clips. `train/data_wait` is between 0 and 1: the time between two
    batches over all time; moving the batch to the device and writing logs are part of it. Time
    spent in validation counts as neither. Values with `_step` are over the last
    `trainer.log_every_n_steps` batches, those with `_epoch` over the epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended: float | None = None  # when the batch before ended; None after a validation
        self._started = 0.0
        self._wait: float | None = None
        self._epoch: list[BatchTime] = []
        self._recent: deque[BatchTime] = deque()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._epoch = []
        # Lightning's 0 is "never log on steps"
        self._recent = deque(maxlen=max(1, trainer.log_every_n_steps))  # type: ignore[attr-defined]
        self._ended = perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time until the next batch out."""
        self._ended = None

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Note when the batch was there."""
        self._started = perf_counter()
        self._wait = None if self._ended is None else self._started - self._ended

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Log the norm; Lightning clips after this."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            pl_module.log(
                names.GRADIENT_NORM,
                get_total_norm(gradients),
                on_step=True,
                on_epoch=True,
                batch_size=1,  # every step weighs the same
                sync_dist=True,
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Log speed and waiting of the last batches.

        Raises:
            InputError: The batch does not say how many frames it has.
        """
        self._ended, frames = perf_counter(), _count_frames(batch)
        if self._wait is None:
            return
        time = BatchTime(frames, self._wait, self._ended - self._started)
        self._epoch.append(time)
        self._recent.append(time)
        speed, wait = _rates(self._recent)
        # all processes take as long, because they wait for one another in each step
        speed *= trainer.world_size
        pl_module.log(f"{names.FRAMES_PER_SECOND}_step", speed, on_step=True, batch_size=1)
        pl_module.log(f"{names.DATA_WAIT}_step", wait, on_step=True, batch_size=1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log speed and waiting of the epoch."""
        # on all processes or none: they exchange the values
        speed, wait = _rates(self._epoch)
        name = f"{names.FRAMES_PER_SECOND}_epoch"
        pl_module.log(name, speed, reduce_fx="sum", sync_dist=True)
        pl_module.log(f"{names.DATA_WAIT}_epoch", wait, sync_dist=True)


def _count_frames(batch: object) -> int:
    if isinstance(batch, dict) and isinstance(batch.get("names"), list):
        return sum(len(clip) for clip in batch["names"])
    raise InputError(
        f"TrainingScalars got a batch of type {type(batch).__name__} without names: leave the "
        "callback out, or give a data module whose batches are like facemask.data.ClipBatch."
    )


def _rates(times: Iterable[BatchTime]) -> tuple[float, float]:
    """Frames a second, and waiting over all time; 0 and 0 without a batch.

    Examples:
        >>> _rates([BatchTime(10, wait=0.5, work=1.0), BatchTime(2, wait=0.0, work=0.5)])
        (6.0, 0.25)
    """
    listed = list(times)
    wait = sum(time.wait for time in listed)
    total = wait + sum(time.work for time in listed)
    if total == 0:
        return 0.0, 0.0
    return sum(time.frames for time in listed) / total, wait / total
