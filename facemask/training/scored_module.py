"""Scoring and predicting masks at the original size of each frame (section 4.2)."""

from collections.abc import Sequence
from itertools import chain
from typing import ClassVar, Final, Literal, cast

from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn

from facemask.classes import OPEN
from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.lightning_guard import check_trainer, warn_of_lightning
from facemask.metrics import MaskIoU
from facemask.regions import REGIONS, Region, check_region
from facemask.training.means import WeightedMeans

Stage = Literal["val", "test", "predict"]
_VERBS: Final = {"train": "train", "val": "validate", "test": "test"}


class ScoredModule(LightningModule):
    """Base of all LightningModules here: validates, tests and predicts; `MaskModule` trains too.

    Subclasses implement `label`. Logged for val and test, over all processes: `<stage>/miou`,
    `<stage>/iou_<class>`, `<stage>/pixel_accuracy`, and `<stage>/<name>` for each of `means`.

    Args:
        network: Has `num_classes`, background included.
        region: Part of the face in the images; its class names name the metrics.
        means: Names of the values that `label` averages over frames.
    """

    needs_checkpoint: ClassVar[bool] = False  # for validate, test and predict
    not_trained: ClassVar[str] = ""  # error message of `fit`, where there is no training step

    def __init__(self, network: nn.Module, region: Region, means: Sequence[str] = ()) -> None:
        super().__init__()
        warn_of_lightning()
        self.network = network
        self.region = check_region(region)
        names, classes = REGIONS[region].class_names, cast("int", network.num_classes)
        if classes != len(names):
            names = ("background", *(f"class_{i}" for i in range(1, classes)))
        # beyond 128 classes a label from 128 on may be one of them
        self.val_iou, self.test_iou = (MaskIoU(names, class_sets=classes <= OPEN) for _ in range(2))
        self.val_means, self.test_means = WeightedMeans(means), WeightedMeans(means)
        self._said: set[str] = set()  # of which stages it was said what cannot be scored

    def configure_callbacks(self) -> list[Callback]:
        """Raise an `InputError` in `fit`, before Lightning asks for a training step."""
        if self.not_trained and self.trainer.state.fn == "fit":
            raise InputError(self.not_trained)
        return []

    def setup(self, stage: str) -> None:  # noqa: ARG002  # Lightning's hook
        """Raise an `InputError` if the data show another region."""
        check_trainer(self.trainer)
        region = getattr(getattr(self.trainer, "datamodule", None), "region", self.region)
        if region != self.region:
            given = f"model.region is {self.region!r}, but data.region is {region!r}"
            raise InputError(f"{given}: give both the same.")

    def label(self, batch: ClipBatch, stage: Stage) -> list[list[Tensor]]:
        """Label each clip's real frames, uint8 (H, W) at original size; note the stage's means."""
        raise NotImplementedError

    def _step(self, batch: ClipBatch, stage: Stage) -> dict[str, Tensor]:
        labels = list(chain(*self.label(batch, stage))) if batch["names"] else []
        if stage != "predict":
            if not labels:  # this process has no frames left
                getattr(self, f"{stage}_means").update({}, 0)
            for label, mask in zip(labels, chain(*batch["original_masks"]), strict=True):
                getattr(self, f"{stage}_iou").update(label, mask)
        return dict(zip(chain(*batch["names"]), labels, strict=True))

    def _log_epoch(self, stage: str, suffix: str = "") -> None:
        # values of all processes already: nothing is left to be synchronised
        means, metric = getattr(self, f"{stage}_means"), getattr(self, f"{stage}_iou")
        values = {f"{k}{suffix}": v for k, v in means.compute().items()} | metric.compute()
        self._say_unsettled(stage, metric)
        means.reset()
        metric.reset()
        self.log_dict({f"{stage}/{k}": v for k, v in values.items() if k != "miou"})
        self.log(f"{stage}/miou", values["miou"], prog_bar=True)

    def _say_unsettled(self, stage: str, metric: MaskIoU) -> None:
        """Say once which classes the masks of a stage never settle."""
        if metric.unsettled and stage not in self._said:
            self._said.add(stage)
            scored = [name for name in metric.class_names[1:] if name not in metric.unsettled]
            rank_zero_info(
                f"The masks to {_VERBS[stage]} on never tell {', '.join(metric.unsettled)} from "
                "other classes for certain, so that these have no IoU: mIoU is that of "
                f"{', '.join(scored) or 'no class'}."
            )

    def validation_step(self, batch: ClipBatch, _batch_index: int) -> None:
        """Count one batch."""
        self._step(batch, "val")

    def test_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:  # noqa: PT019
        """Count one batch; return its label images as `predict_step` does."""
        return self._step(batch, "test")

    def predict_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:
        """Return label images, uint8 (H, W) at original size, by the names of the frames."""
        return self._step(batch, "predict")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's values."""
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        """Log the epoch's values."""
        self._log_epoch("test")
