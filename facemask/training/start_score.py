"""A training told at its end how its weights compare with those that it started from."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import Notice

_METRIC = "val/miou"


class NotBetterNotice(Notice):
    """Says that a training has not made the weights better that it started from."""


class StartScore(Callback):
    """Says at the end of a training whether it is better than the weights that it started from.

    What these score is known where Lightning validates them before the first step, on the whole
    validation side: `trainer.num_sanity_val_steps: -1`. Every
    [`MaskModule`][facemask.training.mask_module.MaskModule] that starts from weights (`init_from`)
    brings one along.

    Attributes:
        before: `val/miou` of the weights at the start; None if it was not measured.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before: float | None = None

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the score, if all of the validation side was counted, and not of a resumed run."""
        score = trainer.callback_metrics.get(_METRIC)
        if self.before is None and score is not None and math.isinf(trainer.num_sanity_val_steps):
            self.before = float(score)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what was gained, by the best checkpoint where the ModelCheckpoint looks at mIoU."""
        checkpoint = trainer.checkpoint_callback
        score = trainer.callback_metrics.get(_METRIC)
        if isinstance(checkpoint, ModelCheckpoint) and checkpoint.monitor == _METRIC:
            score = checkpoint.best_model_score if score is not None else None
        if self.before is None or score is None or math.isnan(self.before):
            return
        after = float(score)
        numbers = f"{100 * after:.1f} % after training, {100 * self.before:.1f} % before"
        if after > self.before:
            rank_zero_info(f"mIoU on the validation side: {numbers}.")
        else:
            rank_zero_warn(
                f"The training has not made the weights better: mIoU on the validation side is "
                f"{numbers}. Keep those that it started from ({_source(pl_module)}), or train with "
                "another learning_rate, for longer, or on more data.",
                category=NotBetterNotice,
            )
        if _same_people(trainer.datamodule):  # type: ignore[attr-defined]
            rank_zero_warn(
                "The validation side shows videos that were trained on, split by time: it says "
                "nothing about other people or recordings."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the score at the start, which a resumed training does not measure again."""
        return {"before": self.before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the score from a checkpoint."""
        self.before = state_dict["before"]


def _source(module: LightningModule) -> str:
    return str(getattr(module, "init_from", "init_from"))


def _same_people(data: object) -> bool:
    """Tell whether a video is on both sides."""
    if not isinstance(data, FaceMaskDataModule) or not {"train", "val"} <= data.datasets.keys():
        return False
    train, val = (
        {clip[0].video for clip in data.datasets[side].clips} for side in ("train", "val")
    )
    return not train.isdisjoint(val)
