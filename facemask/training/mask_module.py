"""Training networks that give one score per class and pixel (section 4.2)."""

import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, TypeAlias, cast

import torch
from pytorch_lightning import Callback
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.losses import CompositeLoss, CrossEntropyLoss, SegmentationLoss
from facemask.metrics import MaskIoU, labels_at_size
from facemask.models.baselines.vgg16 import VGG16Network
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN
from facemask.models.smoothing import TemporalSmoothing
from facemask.regions import Region
from facemask.training.callbacks import SyncBatchNorm
from facemask.training.dead_classes import DeadClassWarning
from facemask.training.means import WeightedMeans
from facemask.training.merging import merge_labels
from facemask.training.network_module import NetworkModule
from facemask.training.private_api import layer_sync, use_layer_sync
from facemask.training.scored_module import Stage
from facemask.training.start_score import StartScore

OptimizerFactory: TypeAlias = Callable[[Iterable[Any]], Optimizer]

OBJECTS: Final = ("network", "loss", "optimizer", "smoothing", "crf")
"""Arguments that are objects, which a checkpoint's hyperparameters leave out."""


class MaskModule(NetworkModule):
    """Trains and scores any network that gives one score per class and pixel.

    Images come as uint8 and are normalised here, on the device, with the network's own mean and
    standard deviation. Training is scored at the network's size, validation and test at each
    frame's original size: the scores are resized there before the arg-max (section 4.2).

    Logged beside the scores of `ScoredModule`, which training has too: `<stage>/loss` and
    `<stage>/loss_<term>` for each term of a `CompositeLoss`. An epoch's losses are means over its
    frames, each batch's loss weighted by its frames; all values are those of all processes
    together, exchanged once when the epoch ends.

    Args:
        network: Images (N, 3, H, W) to scores (N, C, H, W), or a tuple that begins with them;
            has `num_classes`, and `mean` and `std`, three numbers each for images in [0, 1].
            One that takes clips (B, T, 3, H, W) gets them whole, others frame by frame.
        loss: Called with scores (N, C, H, W) and class ids (N, H, W), int64, where 255 is to
            be ignored. Null is cross-entropy. Labels that leave several classes open are merged
            before, see `merge_class_sets`.
        optimizer: Optimiser class, Adam as in the paper; called with parameter groups.
        learning_rate: Learning rate at the start; it falls linearly to 0.
        freeze_bn: Keep BatchNorm's running statistics as they are.
        region: What the images show, as the data module's: face, eyes or mouth.
        smoothing: Averages the probabilities of neighbouring frames when clips are scored or
            predicted; null leaves each frame as it is.
        compile_network: Run the network through `torch.compile`, which takes a minute at the
            start and needs a C++ compiler; checkpoints are the same with and without.
        init_from: Checkpoint of a module with the same network, all of whose weights training
            starts from: another stage of training, or fine-tuning on other data.

    Raises:
        InputError: The learning rate is not positive, the region is unknown, or the network
            lacks an attribute.
    """

    saves_arguments: ClassVar[bool] = False
    """True in a subclass whose arguments, all plain, are kept as hyperparameters."""

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-3,
        freeze_bn: bool = False,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
        compile_network: bool = False,
        init_from: str | None = None,
    ) -> None:
        loss = CrossEntropyLoss() if loss is None else loss
        terms = loss.terms if isinstance(loss, CompositeLoss) else ()
        means = ("loss", *(f"loss_{name}" for name in terms))
        super().__init__(network, region, means, init_from)
        if not learning_rate > 0:
            raise InputError(f"model.learning_rate is {learning_rate}, expected more than 0.")
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.freeze_bn = freeze_bn
        self.smoothing = smoothing
        self.compile_network = compile_network
        self.train_iou = MaskIoU(self.val_iou.class_names, class_sets=self.val_iou.class_sets)
        self.train_means = WeightedMeans(means)
        self._rate_shares: list[float] = []
        self._score_range: tuple[Tensor, Tensor] | None = None  # of the last batch validated
        if type(self) is MaskModule or self.saves_arguments:
            self.save_hyperparameters(ignore=OBJECTS)
        free = isinstance(network, ConvLSTMFCN) and not network.bounded
        if free or isinstance(network, (FCN, VGG16Network)):
            _warn_if_unbounded(loss)
        self.train()  # Lightning leaves each layer's mode as it finds it

    def setup(self, stage: str) -> None:
        """Check the data and the trainer's options.

        Raises:
            InputError: The data show another region, or single frames though they are to be
                smoothed; `sync_batchnorm` is given for a CPU; or the trainer or a callback is
                `lightning.pytorch`'s.
        """
        super().setup(stage)
        if layer_sync(self.trainer) is not None:
            if self.trainer.strategy.root_device.type == "cpu":
                raise InputError(
                    "trainer.sync_batchnorm is true, but torch counts BatchNorm over processes on "
                    "GPUs only: leave it out."
                )
            use_layer_sync(self.trainer, SyncBatchNorm())
        if self.smoothing is not None and getattr(self._data, "clip_length", 0) is None:
            raise InputError(
                "model.smoothing averages neighbouring frames, but data.clip_length is null: give "
                "--data.clip_length 5."
            )

    def configure_callbacks(self) -> list[Callback]:
        """Return, beside those of `ScoredModule`, what tells of lost classes and of no gain."""
        given: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        kinds = (DeadClassWarning, *(() if self.init_from is None else (StartScore,)))
        own = [kind() for kind in kinds if not any(isinstance(c, kind) for c in given)]
        return [*super().configure_callbacks(), *own]

    def score(self, batch: ClipBatch) -> Tensor:
        """Scores (B, [T,] C, S, S) of a batch."""
        return cast("Tensor", self(batch["images"]))

    def score_to_train(self, batch: ClipBatch) -> Tensor:
        """Scores of a batch of training; those of `score` here."""
        return self.score(batch)

    def label(self, batch: ClipBatch, stage: Stage) -> list[list[Tensor]]:
        """Label each clip's real frames, uint8 (H, W), at original size; note the loss."""
        scores = self.score(batch)
        if stage != "predict":
            self._loss(scores, batch, stage)
        return self._original_labels(self.refine(scores, batch, stage), batch)

    def refine(self, scores: Tensor, batch: ClipBatch, stage: Stage) -> Tensor:  # noqa: ARG002
        """Scores (B, [T,] C, S, S) to take the labels from; unchanged here."""
        return scores

    def _loss(self, scores: Tensor, batch: ClipBatch, stage: str) -> dict[str, Tensor]:
        """Loss, with its gradient, and values of its terms; they go into the stage's means."""
        # every loss sees single frames: (N, C, S, S) and (N, S, S)
        frames, masks = scores.flatten(0, -4), batch["masks"].flatten(0, -3).long()
        if stage == "val" and frames.numel():
            self._score_range = frames.detach().aminmax()
        frames, masks = merge_labels(self.loss, frames, masks, batch["names"])
        terms: dict[str, Tensor] = {}
        if isinstance(self.loss, CompositeLoss):
            loss, terms = self.loss.with_terms(frames, masks)
        else:
            loss = self.loss(frames, masks)
        values = {"loss": loss} | {f"loss_{name}": value for name, value in terms.items()}
        means: WeightedMeans = getattr(self, f"{stage}_means")
        means.update(values, sum(map(len, batch["names"])))
        return values

    def _original_labels(self, scores: Tensor, batch: ClipBatch) -> list[list[Tensor]]:
        """Labels from scores without padding, smoothed where that was asked for."""
        clips = scores if scores.ndim == 5 else scores.unsqueeze(1)  # (B, T, C, S, S)
        labels = []
        for clip, sizes in zip(clips, batch["original_sizes"], strict=True):
            real = clip[: len(sizes)]  # padding comes last
            real = real if self.smoothing is None else self.smoothing(real)
            labels.append(
                [labels_at_size(frame, *size) for frame, size in zip(real, sizes, strict=True)]
            )
        return labels

    def training_step(self, batch: ClipBatch, _batch_index: int) -> Tensor:
        """Return the loss of one batch."""
        scores = self.score_to_train(batch)
        values = self._loss(scores, batch, "train")
        masks = batch["masks"]
        self.seen = {"input_size": list(masks.shape[-2:]), "clips": masks.ndim == 4}
        for name, value in values.items():
            # of this process alone: exchanging it at each step would make the devices wait
            self.log(
                f"train/{name}_step",
                value.detach(),
                prog_bar=name == "loss",
                on_epoch=False,
                batch_size=len(batch["names"]),
            )
        self.train_iou.update(scores.detach(), masks)
        return values["loss"]

    def on_train_epoch_end(self) -> None:
        """Log the epoch's IoU and losses; loggers have the steps' own losses beside them."""
        losses = self.train_means.compute()
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, logger=False)
        self._log_epoch("train", suffix="_epoch")

    def dead_class_advice(self) -> str:
        """Return what a class that is never predicted is trained with, and what helps."""
        terms = self.loss.terms.values() if isinstance(self.loss, CompositeLoss) else [self.loss]
        loss = " + ".join(" ".join(repr(term).split()) for term in terms)
        scores = "scores"
        if self._score_range is not None:
            low, high = map(float, self._score_range)
            scores = f"scores that lie in [{low:.2g}, {high:.2g}] in validation"
        return f"The loss is {loss}, on {scores}. What helps: {'; '.join(self.remedies())}."

    def remedies(self) -> list[str]:
        """Return what helps a class that is never predicted, most likely first."""
        return [
            "trained weights to start from (init_from, pretrained)",
            "a lower learning_rate",
            "more epochs, if the class is small and its loss still falls",
        ]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters with their learning rates."""
        return [{"params": list(self.network.parameters()), "lr": self.learning_rate}]

    def configure_optimizers(self) -> Any:  # noqa: ANN401  # Lightning's union of many forms
        """Make the optimiser, its learning rates falling linearly to 0 over the run."""
        # here, not in on_fit_start: a learning-rate finder's comes before, and trains
        self.prepare_weights()
        groups = self.parameter_groups()
        self._rate_shares = [group["lr"] / groups[0]["lr"] for group in groups]
        optimizer = self.optimizer(groups)

        def remaining(step: int) -> float:
            # not asked at step 0: it would set up the data before a resumed run knows its epoch
            return max(0.0, 1 - step / self.trainer.estimated_stepping_batches) if step else 1.0

        return [optimizer], [{"scheduler": LambdaLR(optimizer, remaining), "interval": "step"}]

    def train(self, mode: bool = True) -> "MaskModule":
        """Set the mode; BatchNorm stays in eval where it is frozen."""
        super().train(mode)
        if mode and self.freeze_bn:
            kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
            for module in self.network.modules():
                if isinstance(module, kinds):
                    module.eval()
        return self

    def configure_model(self) -> None:
        """Compile the network where that was asked for; its weights keep their names.

        Raises:
            InputError: There is no C++ compiler, which torch.compile calls.
        """
        if self.compile_network:
            compilers = (os.environ.get("CXX"), "g++", "clang++", "cl")
            if not any(name and shutil.which(name) for name in compilers):
                raise InputError(
                    "model.compile_network is true, but there is no C++ compiler, which "
                    "torch.compile calls: install g++, or set it to false."
                )
            self.network.compile()

    def on_fit_start(self) -> None:
        """Begin with the learning rate that a learning-rate finder has found."""
        rates = [group["lr"] for group in self.parameter_groups()]
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, LambdaLR):
                config.scheduler.base_lrs = rates
                for group, rate in zip(config.scheduler.optimizer.param_groups, rates, strict=True):
                    group["lr"] = group["initial_lr"] = rate

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Keep each group's share of the learning rate: a finder sets one rate on all."""
        groups = optimizer.param_groups
        if all(group["lr"] == groups[0]["lr"] for group in groups):
            for group, share in zip(groups, self._rate_shares, strict=True):
                group["lr"] = group["lr"] * share


def _warn_if_unbounded(loss: nn.Module) -> None:
    """Warn of a loss without a lower bound on free scores."""
    if isinstance(loss, SegmentationLoss) and (loss.form, loss.activation) == ("linear", None):
        rank_zero_warn(
            "The network's scores are free and SegmentationLoss(form='linear', activation=None) is "
            "unbounded below on them, so that training will fail: leave activation at 'auto' "
            "(softmax), or give form='hinge'."
        )
