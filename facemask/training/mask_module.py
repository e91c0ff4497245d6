"""What all LightningModules share: how masks are trained, scored and predicted (section 4.2)."""

import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from facemask.data.datamodule import ClipBatch
from facemask.errors import InputError
from facemask.lightning_trees import check_trainer
from facemask.losses import CompositeLoss, CrossEntropyLoss
from facemask.metrics import MaskIoU, labels_at_size
from facemask.models.own_network import first_output, normalisation, takes_clips
from facemask.models.smoothing import TemporalSmoothing
from facemask.regions import REGIONS, Region
from facemask.training.callbacks import SyncBatchNorm
from facemask.training.means import WeightedMeans
from facemask.training.network_module import NetworkModule

OptimizerFactory: TypeAlias = Callable[[Iterable[Any]], Optimizer]


class MaskModule(NetworkModule):
    """Trains and scores a network that gives one score a class and pixel, of ours or your own.

    Images come as uint8 and are normalised here, on the device, with the encoder's own mean and
    standard deviation. Training is scored at the network's size, validation and test at each
    frame's original size: the scores are resized there before the arg-max (section 4.2).

    Logged: `<stage>/loss`, `<stage>/loss_<term>` for each term of a `CompositeLoss`,
    `<stage>/miou`, `<stage>/iou_<class>` and `<stage>/pixel_accuracy` for train, val and test.
    An epoch's losses are means over its frames, each batch's loss weighted by its frames; all
    values are those of all processes together, exchanged once when the epoch ends.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-3,
        freeze_bn: bool = False,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
    ) -> None:
        """Keep the parts; subclasses say which network.

        Args:
            network: Images (N, 3, H, W) to scores (N, C, H, W), or a tuple that begins with them;
                has `num_classes`, and `mean` and `std`, three numbers each for images in [0, 1].
                One that takes clips (B, T, 3, H, W) gets them whole, others frame by frame.
            loss: Called with scores (N, C, H, W) and class ids (N, H, W), int64, where 255 is to
                be ignored. None is cross-entropy.
            optimizer: Makes the optimiser from parameter groups.
            learning_rate: Learning rate at the start; it falls linearly to 0.
            freeze_bn: Keep BatchNorm in eval mode, so that running statistics stay as they are.
            region: What the network looks at; its class names name the metrics.
            smoothing: Averages neighbouring frames' probabilities when clips are scored or
                predicted; training does without.

        Raises:
            InputError: The learning rate is not positive, the region is unknown, or the network
                lacks an attribute.
        """
        super().__init__(network, region)
        if not learning_rate > 0:
            raise InputError(f"model.learning_rate is {learning_rate}, expected more than 0.")
        if type(self) is MaskModule:
            self.save_hyperparameters(ignore=["network", "loss", "optimizer", "smoothing"])
        self._whole_clips: bool | None = None  # whether the network takes them; None is unknown
        self.loss = CrossEntropyLoss() if loss is None else loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.freeze_bn = freeze_bn
        self.smoothing = smoothing
        self.compile_network = False
        names = REGIONS[self.region].class_names
        classes: Any = network.num_classes
        if classes != len(names):
            names = ("background", *(f"class_{i}" for i in range(1, classes)))
        self.train_iou = MaskIoU(names)
        self.val_iou = MaskIoU(names)
        self.test_iou = MaskIoU(names)
        terms = self.loss.terms if isinstance(self.loss, CompositeLoss) else ()
        losses = ("loss", *(f"loss_{name}" for name in terms))
        self.train_means = WeightedMeans(losses)
        self.val_means = WeightedMeans(losses)
        self.test_means = WeightedMeans(losses)
        self._rate_shares: list[float] = []
        self.train()  # Lightning leaves each layer's mode as it finds it

    def setup(self, stage: str) -> None:  # noqa: ARG002  # Lightning's hook
        """Check that model and data show the same region, and clips where they are smoothed.

        Raises:
            InputError: They do not, or the trainer or a callback is `lightning.pytorch`'s.
        """
        check_trainer(self.trainer)
        data: object = self.trainer.datamodule  # type: ignore[attr-defined]  # the data connector's
        region = getattr(data, "region", self.region)
        if region != self.region:
            raise InputError(
                f"model.region is {self.region!r}, but data.region is {region!r}: give both the "
                "same."
            )
        if getattr(self.trainer.strategy, "_layer_sync", None) is not None:
            if self.trainer.strategy.root_device.type == "cpu":
                raise InputError(
                    "trainer.sync_batchnorm is true, but torch counts BatchNorm over processes on "
                    "GPUs only: leave it out."
                )
            self.trainer.strategy._layer_sync = SyncBatchNorm()  # type: ignore[attr-defined]
        if self.smoothing is not None and getattr(data, "clip_length", 0) is None:
            raise InputError(
                "model.smoothing averages neighbouring frames, but data.clip_length is null: give "
                "--data.clip_length 5."
            )

    def forward(self, images: Tensor) -> Tensor:
        """Score uint8 images (B, 3, H, W) or clips (B, T, 3, H, W): (B, [T,] C, H, W)."""
        mean, std = (normalisation(self.network, key, images) for key in ("mean", "std"))
        pixels = (images.float() / 255 - mean) / std
        if pixels.ndim == 5 and self._whole_clips is None:
            self._whole_clips = takes_clips(self.network, pixels)
        if pixels.ndim == 4 or self._whole_clips:
            return first_output(self.network(pixels))
        scores = first_output(self.network(pixels.flatten(0, 1)))
        return scores.reshape(*pixels.shape[:2], *scores.shape[1:])

    def score_batch(self, batch: ClipBatch) -> Tensor:
        """Scores (B, [T,] C, S, S) of a batch."""
        return cast("Tensor", self(batch["images"]))

    def _score(
        self, batch: ClipBatch, means: WeightedMeans
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Scores (B, [T,] C, S, S) of a batch, their loss, and what of it is logged."""
        scores = self.score_batch(batch)
        # every loss sees single frames: (N, C, S, S) and (N, S, S)
        frames, masks = scores.flatten(0, -4), batch["masks"].flatten(0, -3).long()
        terms: dict[str, Tensor] = {}
        loss: Tensor
        if isinstance(self.loss, CompositeLoss):
            loss, terms = self.loss.with_terms(frames, masks)
        else:
            loss = self.loss(frames, masks)
        values = {"loss": loss.detach()} | {f"loss_{name}": value for name, value in terms.items()}
        means.update(values, sum(map(len, batch["names"])))
        return scores, loss, values

    def _log_epoch(self, metric: MaskIoU, means: WeightedMeans, stage: str) -> None:
        # computed here, not by Lightning: a dict of values from one metric. They are those of all
        # processes already, so nothing is left to be synchronised.
        values, losses = metric.compute(), means.compute()
        metric.reset()
        means.reset()
        if stage == "train":  # beside the steps' own; "train/loss" is for callbacks
            self.log_dict({f"train/{k}": v for k, v in losses.items()}, logger=False)
            losses = {f"{name}_epoch": value for name, value in losses.items()}
        miou = values.pop("miou")
        self.log_dict({f"{stage}/{name}": value for name, value in (losses | values).items()})
        self.log(f"{stage}/miou", miou, prog_bar=True)

    def training_step(self, batch: ClipBatch, _batch_index: int) -> Tensor:
        """Loss of one batch."""
        scores, loss, values = self._score(batch, self.train_means)
        self.note_use(batch["masks"])
        for name, value in values.items():
            # of this process alone: exchanging it at each step would make the devices wait
            self.log(
                f"train/{name}_step",
                value,
                prog_bar=name == "loss",
                on_epoch=False,
                batch_size=len(batch["names"]),
            )
        self.train_iou.update(scores.detach(), batch["masks"])
        return loss

    def validation_step(self, batch: ClipBatch, _batch_index: int) -> None:
        """Count one batch at original size."""
        if not batch["names"]:
            self.val_means.update({}, 0)
            return
        scores, _, _ = self._score(batch, self.val_means)
        clips = self._real_frames(scores, batch)
        for clip, masks in zip(clips, batch["original_masks"], strict=True):
            self.val_iou.update(clip, masks)

    def test_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:  # noqa: PT019
        """Count one batch at original size; returns its label images as `predict_step` does."""
        if not batch["names"]:
            self.test_means.update({}, 0)
            return {}
        scores, _, _ = self._score(batch, self.test_means)
        labels = self._original_labels(scores, batch)
        for clip_labels, masks in zip(labels, batch["original_masks"], strict=True):
            for label, mask in zip(clip_labels, masks, strict=True):
                self.test_iou.update(label, mask)
        return labels_by_name(labels, batch)

    def _original_labels(self, scores: Tensor, batch: ClipBatch) -> list[list[Tensor]]:
        """Label images uint8 (H, W) of every real frame of every clip, at its original size."""
        return [
            [labels_at_size(frame, *size) for frame, size in zip(clip, sizes, strict=True)]
            for clip, sizes in zip(
                self._real_frames(scores, batch), batch["original_sizes"], strict=True
            )
        ]

    def _real_frames(self, scores: Tensor, batch: ClipBatch) -> list[Tensor]:
        """Each clip's scores (t, C, S, S) without padding, smoothed where that was asked for."""
        clips = scores if scores.ndim == 5 else scores.unsqueeze(1)  # (B, T, C, S, S)
        real = [
            clip[: len(sizes)]  # padding comes last
            for clip, sizes in zip(clips, batch["original_sizes"], strict=True)
        ]
        return real if self.smoothing is None else [self.smoothing(clip) for clip in real]

    def predict_step(self, batch: ClipBatch, _batch_index: int) -> dict[str, Tensor]:
        """Label image, uint8 (H, W) at original size, of each frame by its name."""
        if not batch["names"]:
            return {}
        return labels_by_name(self._original_labels(self(batch["images"]), batch), batch)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's IoU and losses."""
        self._log_epoch(self.train_iou, self.train_means, "train")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's IoU and losses."""
        self._log_epoch(self.val_iou, self.val_means, "val")

    def on_test_epoch_end(self) -> None:
        """Log the test IoU and losses."""
        self._log_epoch(self.test_iou, self.test_means, "test")

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Trainable parameters with their learning rates."""
        return [{"params": list(self.network.parameters()), "lr": self.learning_rate}]

    def configure_optimizers(self) -> Any:  # noqa: ANN401  # Lightning's union of many forms
        """The optimiser, its learning rates falling linearly to 0 over the run."""
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
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
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


def labels_by_name(labels: list[list[Tensor]], batch: ClipBatch) -> dict[str, Tensor]:
    """Label image of each frame by the frame's name, of the label images of clips."""
    return {
        name: label
        for clip_names, clip_labels in zip(batch["names"], labels, strict=True)
        for name, label in zip(clip_names, clip_labels, strict=True)
    }
