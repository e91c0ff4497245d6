"""LightningModules of the baselines on VGG-16 (Table 2)."""

from typing import Any, Literal

from torch import Tensor

from facemask.data.clips import ClipBatch
from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.dense_crf import DenseCRF
from facemask.models.baselines.vgg16 import FCNVGG16, VGG16Network
from facemask.regions import Region
from facemask.training.pretrained_module import PretrainedModule, class_count
from facemask.training.scored_module import Stage

__all__ = ["DeepLabModule", "FCNVGG16Module"]


class _VGG16Module(PretrainedModule):
    """Trains a network on VGG-16."""

    network: VGG16Network

    def load_pretrained(self, source: Literal[True] | str) -> None:
        """Load the encoder's ImageNet weights."""
        self.network.encoder.load_imagenet(source)


class FCNVGG16Module(_VGG16Module):
    """Trains FCN-VGG16 on single frames, or on the frames of clips independently.

    Args:
        num_classes: Number of classes, background included; null takes the region's.
        base_channels: Channels of VGG-16's first block; fewer make a small network.
        fc_channels: Channels of fc6 and fc7.
        learning_rate: Learning rate at the start; it falls linearly to 0.
        region: What the images show, as the data module's: face, eyes or mouth.
        training: Options of `PretrainedModule` and `MaskModule`.
    """

    network: FCNVGG16

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        base_channels: int = 64,
        fc_channels: int = 4096,
        learning_rate: float = 1e-4,
        region: Region = "face",
        **training: Any,  # noqa: ANN401  # options of PretrainedModule, which checks them
    ) -> None:
        classes = class_count(num_classes, region)
        network = FCNVGG16(classes, base_channels=base_channels, fc_channels=fc_channels)
        super().__init__(network, learning_rate=learning_rate, region=region, **training)


class DeepLabModule(_VGG16Module):
    """Trains DeepLab-v2 on single frames, or on the frames of clips independently.

    Args:
        num_classes: Number of classes, background included; null takes the region's.
        base_channels: Channels of VGG-16's first block; fewer make a small network.
        fc_channels: Channels of fc6 and fc7 in each branch.
        crf: Draws masks to the image's edges when a data set is tested or predicted (not in
            validation, nor when the network is part of a cascade); null leaves them.
        learning_rate: Learning rate at the start; it falls linearly to 0.
        region: What the images show, as the data module's: face, eyes or mouth.
        training: Options of `PretrainedModule` and `MaskModule`.
    """

    network: DeepLab

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        base_channels: int = 64,
        fc_channels: int = 1024,
        crf: DenseCRF | None = None,
        learning_rate: float = 1e-4,
        region: Region = "face",
        **training: Any,  # noqa: ANN401  # options of PretrainedModule, which checks them
    ) -> None:
        classes = class_count(num_classes, region)
        network = DeepLab(classes, base_channels=base_channels, fc_channels=fc_channels)
        super().__init__(network, learning_rate=learning_rate, region=region, **training)
        self.crf = crf

    def refine(self, scores: Tensor, batch: ClipBatch, stage: Stage) -> Tensor:
        """Refine scores by the CRF, but for validation: (B, [T,] C, S, S)."""
        if self.crf is None or stage == "val":
            return scores
        refined: Tensor = self.crf(scores.flatten(0, -4), batch["images"].flatten(0, -4))
        refined = refined.view(scores.shape)
        # smoothing takes scores before the softmax
        return refined if self.smoothing is None else refined.clamp_min(1e-8).log()
