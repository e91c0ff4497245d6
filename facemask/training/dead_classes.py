"""A warning of classes that a training has lost."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

from collections.abc import Callable
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from facemask.errors import InputError
from facemask.metrics import MaskIoU
from facemask.metrics.open_labels import never_settled


class DeadClassWarning(Callback):
    """Warns of a class that occurs in the true masks and whose IoU has been 0 for some epochs.

    It warns once of a class, and again only if it has come alive meanwhile. What has been counted
    is in the checkpoint, so that a resumed training goes on counting.

    Every [`MaskModule`][facemask.training.mask_module.MaskModule] brings one along; one that is
    among the Trainer's callbacks takes its place.

    Args:
        patience: Number of epochs of training, or of runs over the validation side, at least 1.

    Raises:
        InputError: `patience` is below 1.
    """

    def __init__(self, patience: int = 3) -> None:
        super().__init__()
        if patience < 1:
            raise InputError(f"DeadClassWarning got patience {patience}: give at least 1.")
        self.patience = patience
        self._missed: dict[str, dict[str, int]] = {"training": {}, "validation": {}}
        self._told: list[str] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the epoch's training, before the module forgets it."""
        self._count("training", pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count a validation in training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._count("validation", pl_module)

    def _count(self, side: str, module: LightningModule) -> None:
        metric = cast("MaskIoU", module.train_iou if side == "training" else module.val_iou)
        with metric.sync_context():  # over all processes
            confusion: Tensor = metric.confusion.cpu().clone()
            confusion[never_settled(metric.labelled, metric.possible).cpu()] = 0
        missed = self._missed[side]
        for name, row, hits in zip(
            metric.class_names, confusion, confusion.diagonal().tolist(), strict=True
        ):
            if hits:
                missed[name] = 0
                if name in self._told and not any(m.get(name) for m in self._missed.values()):
                    self._told.remove(name)
            elif row.sum():  # it occurs
                missed[name] = missed.get(name, 0) + 1
                if missed[name] >= self.patience and name not in self._told:
                    self._told.append(name)
                    advice = cast("Callable[[], str]", module.dead_class_advice)()
                    rank_zero_warn(
                        f"The class {name!r} occurs in the masks, but its IoU has been 0 in the "
                        f"last {missed[name]} epochs of {side}. {advice}"
                    )

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted, in plain values."""
        missed = {side: dict(counts) for side, counts in self._missed.items()}
        return {"missed": missed, "told": list(self._told)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a checkpoint has counted."""
        self._missed |= {side: dict(counts) for side, counts in state_dict["missed"].items()}
        self._told = list(state_dict["told"])
