"""LightningModules of the baselines on VGG-16 (Table 2)."""

import torch
from torch import Tensor, nn

from facemask.data.clips import ClipBatch
from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.dense_crf import DenseCRF
from facemask.models.baselines.fcn_vgg16 import FCNVGG16
from facemask.models.baselines.vgg16 import VGG16Network
from facemask.models.smoothing import TemporalSmoothing
from facemask.regions import Region
from facemask.training.mask_module import MaskModule, OptimizerFactory
from facemask.training.modules import class_count, warn_if_unbounded

__all__ = ["DeepLabModule", "FCNVGG16Module"]


class _VGG16Module(MaskModule):
    """Trains a network on VGG-16, whose weights are loaded when training starts."""

    network: VGG16Network
    pretrained: bool | str

    def load_initial_weights(self) -> None:
        """Load the pretrained encoder."""
        self.network.encoder.load_imagenet(self.pretrained)


class FCNVGG16Module(_VGG16Module):
    """Trains FCN-VGG16 on single frames, or on the frames of clips independently."""

    network: FCNVGG16

    def __init__(
        self,
        num_classes: int | None = None,
        pretrained: bool | str = False,
        base_channels: int = 64,
        fc_channels: int = 4096,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-4,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
        compile_network: bool = False,
    ) -> None:
        """Build the network; ImageNet weights are loaded when training starts.

        Args:
            num_classes: Number of classes, background included; null takes the region's.
            pretrained: ImageNet weights to start training from: false for random ones, true for
                timm's download, or the path of a local checkpoint of timm's or torchvision's vgg16.
            base_channels: Channels of VGG-16's first block; fewer make a small network.
            fc_channels: Channels of fc6 and fc7.
            loss: Called with scores (N, C, H, W) and class ids (N, H, W), int64, where 255 is to
                be ignored. Null is cross-entropy.
            optimizer: Optimiser class.
            learning_rate: Learning rate at the start; it falls linearly to 0.
            region: What the images show, as the data module's: face, eyes or mouth.
            smoothing: Averages the probabilities of neighbouring frames when clips are scored or
                predicted; null leaves each frame as it is.
            compile_network: Run the network through `torch.compile`, which takes a minute at the
                start and needs a C++ compiler; checkpoints are the same with and without.
        """
        classes = class_count(num_classes, region)
        network = FCNVGG16(classes, base_channels=base_channels, fc_channels=fc_channels)
        super().__init__(network, loss, optimizer, learning_rate, False, region, smoothing)
        self.save_hyperparameters(ignore=["loss", "optimizer", "smoothing"])
        self.pretrained = pretrained
        self.compile_network = compile_network
        warn_if_unbounded(loss)


class DeepLabModule(_VGG16Module):
    """Trains DeepLab-v2 on single frames, or on the frames of clips independently."""

    network: DeepLab

    def __init__(
        self,
        num_classes: int | None = None,
        pretrained: bool | str = False,
        base_channels: int = 64,
        fc_channels: int = 1024,
        crf: DenseCRF | None = None,
        loss: nn.Module | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        learning_rate: float = 1e-4,
        region: Region = "face",
        smoothing: TemporalSmoothing | None = None,
        compile_network: bool = False,
    ) -> None:
        """Build the network; ImageNet weights are loaded when training starts.

        Args:
            num_classes: Number of classes, background included; null takes the region's.
            pretrained: ImageNet weights to start training from: false for random ones, true for
                timm's download, or the path of a local checkpoint of timm's or torchvision's vgg16.
            base_channels: Channels of VGG-16's first block; fewer make a small network.
            fc_channels: Channels of fc6 and fc7 in each branch.
            crf: Draws masks to the image's edges when a data set is tested or predicted (not in
                validation, nor when the network is part of a cascade); null leaves them.
            loss: Called with scores (N, C, H, W) and class ids (N, H, W), int64, where 255 is to
                be ignored. Null is cross-entropy.
            optimizer: Optimiser class.
            learning_rate: Learning rate at the start; it falls linearly to 0.
            region: What the images show, as the data module's: face, eyes or mouth.
            smoothing: Averages the probabilities of neighbouring frames when clips are scored or
                predicted; null leaves each frame as it is.
            compile_network: Run the network through `torch.compile`, which takes a minute at the
                start and needs a C++ compiler; checkpoints are the same with and without.
        """
        classes = class_count(num_classes, region)
        network = DeepLab(classes, base_channels=base_channels, fc_channels=fc_channels)
        super().__init__(network, loss, optimizer, learning_rate, False, region, smoothing)
        self.save_hyperparameters(ignore=["crf", "loss", "optimizer", "smoothing"])
        self.pretrained = pretrained
        self.crf = crf
        self.compile_network = compile_network
        warn_if_unbounded(loss)

    def _original_labels(self, scores: Tensor, batch: ClipBatch) -> list[list[Tensor]]:
        """Label images uint8 (H, W) of every real frame of every clip, at its original size."""
        if self.crf is not None:
            refined = self.crf(scores.flatten(0, -4), batch["images"].flatten(0, -4))
            scores = refined.view(scores.shape)
            if self.smoothing is not None:  # it takes scores before the softmax
                scores = scores.clamp_min(1e-8).log()
        return super()._original_labels(scores, batch)
