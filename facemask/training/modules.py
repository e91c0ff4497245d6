"""LightningModules: how the FCN and the ConvLSTM-FCN are trained (section 4.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from facemask.checkpoints import load_weights, read_checkpoint, weights_below
from facemask.data.clips import ClipBatch
from facemask.data.datamodule import FaceMaskDataModule
from facemask.data.features import FeatureBatch
from facemask.errors import InputError
from facemask.losses import SegmentationLoss
from facemask.models.backbone import Encoder
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.description import check_description
from facemask.models.fcn import FCN
from facemask.models.smoothing import TemporalSmoothing
from facemask.regions import REGIONS, Region, check_region
from facemask.training.feature_cache import FeatureCache
from facemask.training.mask_module import MaskModule, OptimizerFactory

__all__ = ["ConvLSTMFCNModule", "FCNModule"]


def class_count(num_classes: int | None, region: Region) -> int:
    """Number of classes of a network: the given one, or that of the region.

    Raises:
        InputError: The region is unknown, or eyes or mouth with another number.
    """
    names = REGIONS[check_region(region)].class_names
    if region != "face" and num_classes not in (None, len(names)):
        raise InputError(
            f"model.num_classes is {num_classes}, but the region {region!r} has {len(names)} "
            f"classes ({', '.join(names)}): leave num_classes out."
        )
    return len(names) if num_classes is None else num_classes


def warn_if_unbounded(loss: nn.Module | None) -> None:
    """Warn of a loss that has no lower bound on free scores, which a ConvLSTM would not give."""
    if isinstance(loss, SegmentationLoss) and (loss.form, loss.activation) == ("linear", None):
        rank_zero_warn(
            "The FCN's scores are free and SegmentationLoss(form='linear') is unbounded below "
            "on them: give it activation='tanh', or form='hinge'."
        )


def fcn_weights(path: str, expected: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of the network in an `FCNModule`'s checkpoint, by their names in the `FCN`.

    Args:
        path: The checkpoint.
        expected: Description of the network that they are for.

    Raises:
        InputError: The checkpoint is missing or holds another architecture or class count.
    """
    checkpoint = read_checkpoint(Path(path))
    check_description(checkpoint.get("facemask"), expected, path)
    return weights_below(checkpoint["state_dict"], "network.")


class FCNModule(MaskModule):
    """Trains the FCN on single frames, or on the frames of clips independently."""

    network: FCN

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int | None = None,
        pretrained: bool | str = False,
        output_stride: int = 16,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-3,
        freeze_bn: bool = False,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
        compile_network: bool = False,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
        init_from: str | None = None,
    ) -> None:
        """Build the network; weights to start from are loaded when training starts.

        Args:
            backbone: A timm model name.
            num_classes: Number of classes, background included; null takes the region's.
            pretrained: Encoder weights to start training from: false for random ones, true for
                timm's download, or the path of a local checkpoint of the timm model.
            output_stride: Image pixels to a feature pixel along each side.
            loss: Called with scores (N, C, H, W) and class ids (N, H, W), int64, where 255 is to
                be ignored. Null is cross-entropy.
            optimizer: Optimiser class, Adam as in the paper.
            learning_rate: Learning rate at the start; it falls linearly to 0.
            freeze_bn: Keep BatchNorm's running statistics as they are.
            region: What the images show, as the data module's: face, eyes or mouth.
            smoothing: Averages the probabilities of neighbouring frames when clips are scored or
                predicted; null leaves each frame as it is.
            compile_network: Run the network through `torch.compile`, which takes a minute at the
                start and needs a C++ compiler; checkpoints are the same with and without.
            skips: Strides of finer feature levels to add on the way up, such as [8, 4]; the
                paper has none.
            skip_channels: Channels of the features with skips.
            init_from: Checkpoint of an `FCNModule` with the same network, all of whose weights
                training starts from: another stage of training, or fine-tuning on other data.

        Raises:
            InputError: Both `pretrained` and `init_from` are given.
        """
        if init_from is not None and pretrained is not False:
            raise InputError(
                f"model.pretrained is {pretrained} and model.init_from {init_from}: a checkpoint "
                "holds the encoder too; set pretrained to false, or leave init_from out."
            )
        super().__init__(
            FCN(
                backbone,
                class_count(num_classes, region),
                output_stride=output_stride,
                skips=skips,
                skip_channels=skip_channels,
            ),
            loss,
            optimizer,
            learning_rate,
            freeze_bn,
            region,
            smoothing,
        )
        self.save_hyperparameters(ignore=["loss", "optimizer", "smoothing"])
        self.pretrained = pretrained
        self.init_from = init_from
        self.compile_network = compile_network
        warn_if_unbounded(loss)

    def load_initial_weights(self) -> None:
        """Load the pretrained encoder, or a whole network.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count.
        """
        if self.init_from is not None:
            weights = fcn_weights(self.init_from, self.describe_network())
            load_weights(self.network, weights, Path(self.init_from))
        elif self.pretrained is not False:
            encoder = self.network.encoder
            pretrained = Encoder(encoder.name, self.pretrained, encoder.stride)
            encoder.body.load_state_dict(pretrained.body.state_dict())


class ConvLSTMFCNModule(MaskModule):
    """Trains the ConvLSTM-FCN on clips, starting from an FCN."""

    network: ConvLSTMFCN

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int | None = None,
        init_from: str | None = None,
        classifier_scale: float | None = None,
        gamma: float = 0.05,
        kernel_size: int = 1,
        peephole: bool = True,
        output_stride: int = 16,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-3,
        freeze_bn: bool = True,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
        compile_network: bool = False,
        feature_cache: str | None = None,
        feature_variants: int = 1,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
    ) -> None:
        """Build the network; `init_from` is read when training starts.

        Args:
            backbone: A timm model name.
            num_classes: Number of classes, background included; null takes the region's.
            init_from: Checkpoint of an `FCNModule` whose weights training starts from, all but
                the classifier's (section 3.1).
            classifier_scale: Null starts the ConvLSTM at random, as the paper does. A number,
                such as 0.1, starts it from the FCN's classifier scaled by it, so that training
                begins near the FCN's masks.
            gamma: Learning rate of all other layers over that of the ConvLSTM (the paper's γ,
                Table 6); 0 freezes them (Tables 3 and 5).
            kernel_size: Side of the ConvLSTM's kernels, odd.
            peephole: Whether the ConvLSTM has peepholes.
            output_stride: Image pixels to a feature pixel along each side.
            loss: Called with scores (N, C, H, W) in (-1, 1) and class ids (N, H, W), int64, where
                255 is to be ignored. Null is cross-entropy.
            optimizer: Optimiser class, Adam as in the paper (RMSprop in Table 3).
            learning_rate: Learning rate of the ConvLSTM at the start; it falls linearly to 0.
            freeze_bn: Keep BatchNorm's running statistics as they are: ten frames of two clips
                say too little about all faces.
            region: What the images show, as the data module's: face, eyes or mouth.
            smoothing: Averages the probabilities of neighbouring frames when clips are scored or
                predicted; null leaves each frame as it is.
            compile_network: Run the network through `torch.compile`, which takes a minute at the
                start and needs a C++ compiler; checkpoints are the same with and without.
            feature_cache: With `gamma` 0 and `freeze_bn`: a folder for the encoder's features, in
                bfloat16, of training and validation, so that an epoch costs what the ConvLSTM
                costs. They are computed when training starts, where they are not there already.
                Null computes them anew at every step.
            feature_variants: How many augmented draws of each training clip the cache holds; epoch
                e sees draw e mod this number. 0 leaves augmentation out.
            skips: Strides of finer feature levels to add on the way up, as in the FCN.
            skip_channels: Channels of the features with skips.

        Raises:
            InputError: `gamma` or `feature_variants` is negative, or features are to be cached
                though the encoder changes.
        """
        if gamma < 0:
            raise InputError(f"model.gamma is {gamma}, expected 0 (freeze) or more.")
        if feature_variants < 0:
            raise InputError(f"model.feature_variants is {feature_variants}, expected 0 or more.")
        if feature_cache is not None and (gamma or not freeze_bn):
            raise InputError(
                f"model.feature_cache needs an encoder that stays as it is, but gamma is {gamma} "
                f"and freeze_bn {freeze_bn}: give gamma 0 and freeze_bn true, or leave it out."
            )
        network = ConvLSTMFCN(
            backbone,
            class_count(num_classes, region),
            output_stride=output_stride,
            kernel_size=kernel_size,
            peephole=peephole,
            skips=skips,
            skip_channels=skip_channels,
        )
        super().__init__(network, loss, optimizer, learning_rate, freeze_bn, region, smoothing)
        self.save_hyperparameters(ignore=["loss", "optimizer", "smoothing"])
        self.init_from = init_from
        self.classifier_scale = classifier_scale
        self.gamma = gamma
        self.compile_network = compile_network
        self.feature_cache = feature_cache
        self.feature_variants = feature_variants
        if gamma == 0:
            network.encoder.requires_grad_(False)

    def load_initial_weights(self) -> None:
        """Take over the FCN's weights.

        Raises:
            InputError: The checkpoint is missing or holds another architecture or class count.
        """
        if self.init_from is None:
            return
        path = Path(self.init_from)
        own = {"class", "kernel_size", "peephole", "peephole_size"}
        expected = {k: v for k, v in self.describe_network().items() if k not in own}
        expected["network"] = FCN.__name__
        weights = fcn_weights(self.init_from, expected)
        encoder = self.network.encoder
        classifier = nn.Conv2d(encoder.channels, self.network.num_classes, kernel_size=1)
        for name, module in (("encoder", encoder), ("classifier", classifier)):
            load_weights(module, weights_below(weights, f"{name}."), path)
        if self.classifier_scale is not None:
            self.network.convlstm.start_from_convolution(classifier, self.classifier_scale)

    def prepare_weights(self) -> None:
        """Load the weights to start from, and cache the encoder's features where asked for.

        Raises:
            InputError: As `FeatureCache.fill`.
        """
        super().prepare_weights()
        trainer = self.trainer
        if self.feature_cache is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # a fast_dev_run leaves nothing on disk
        data: object = trainer.datamodule  # type: ignore[attr-defined]  # the data connector's
        if not isinstance(data, FaceMaskDataModule):
            raise InputError(
                f"model.feature_cache got a {type(data).__name__}: give a FaceMaskDataModule."
            )
        folder = Path(self.feature_cache)
        cache = FeatureCache(folder, self.network.encoder, trainer, self.feature_variants)
        data.use_features(cache, ["train", "val"] if trainer.limit_val_batches else ["train"])

    def score_batch(self, batch: ClipBatch) -> Tensor:
        """Scores (B, [T,] C, S, S) of a batch of images, or of features if these are cached."""
        if "features" not in batch:
            return super().score_batch(batch)
        features = cast("FeatureBatch", batch)["features"]
        device = features.device.type
        # as the encoder's own would be: autocast's dtype, or that of the weights
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        else:
            dtype = self.network.convlstm.bias.dtype
        size = batch["masks"].shape
        return self.network.score_features(features.to(dtype), (size[-2], size[-1]))[0]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The ConvLSTM's parameters, and all others at γ times its learning rate."""
        groups = [{"params": list(self.network.convlstm.parameters()), "lr": self.learning_rate}]
        if self.gamma:
            others = list(self.network.encoder.parameters())
            groups.append({"params": others, "lr": self.learning_rate * self.gamma})
        return groups
