"""DeepLab-v2 on VGG-16, a baseline of Table 2."""

from pathlib import Path
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from facemask.models.backbone import check_images
from facemask.models.baselines.vgg16 import VGG16, VGG16Network, start_weights

RATES: Final = (6, 12, 18, 24)
"""Dilation of each branch's 3 × 3 convolution ("ASPP-L")."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling of DeepLab-v2 with large rates (Chen et al. 2016).

    Four branches see the same features, each a 3 × 3 convolution dilated by one of 6, 12, 18 and 24
    (fc6), a 1 × 1 convolution (fc7), both with ReLU and dropout 0.5, and a 1 × 1 convolution to C
    classes (fc8); their scores are summed.

    Attributes:
        branches: One `nn.Sequential` a rate.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        """Build the branches.

        Args:
            in_channels: Channels of the features.
            channels: Channels of fc6 and fc7.
            num_classes: Number of classes C.
        """
        super().__init__()
        self.branches = nn.ModuleList(
            _branch(in_channels, channels, num_classes, rate) for rate in RATES
        )

    def forward(self, features: Tensor) -> Tensor:
        """Score features (N, F, h, w): (N, C, h, w)."""
        scores: list[Tensor] = [branch(features) for branch in self.branches]
        return sum(scores[1:], scores[0])


def _branch(in_channels: int, channels: int, num_classes: int, rate: int) -> nn.Sequential:
    last = nn.Conv2d(channels, num_classes, 1)
    branch = nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(channels, channels, 1),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        last,
    )
    start_weights(branch)
    nn.init.normal_(last.weight, std=0.01)  # as the authors begin: scores near 0
    return branch


class DeepLab(VGG16Network):
    """DeepLab-v2 (Table 2): VGG-16 at stride 8 by dilation, and ASPP (Chen et al. 2016).

    As in the authors' released network: all pools are 3 × 3, pool4 and pool5 without stride, the
    convolutions between them dilated by 2, then four branches of rates 6, 12, 18 and 24 (see
    `ASPP`). Feature i is centred on pixel 8 i, so images are padded with the mean colour, on the
    right and below, to 8 n + 1 pixels, and scores are up-sampled bilinearly with their corners on
    those of the padded image. At 320 × 320 the scores are C × 41 × 41; one depends on 323, 419, 515
    and 611 pixels along each side through the four branches. 37.8 million parameters with five
    classes.

    The dense CRF that may follow is `facemask.models.DenseCRF`.

    Attributes:
        encoder: Images to features.
        classifier: Features to C channels.

    Examples:
        >>> import torch
        >>> model = DeepLab(base_channels=4, fc_channels=8).eval()  # the authors' has 64 and 1024
        >>> model(torch.zeros(2, 3, 64, 80)).shape
        torch.Size([2, 5, 64, 80])
    """

    classifier: ASPP

    def __init__(
        self,
        num_classes: int = 5,
        pretrained: bool | str | Path | None = False,
        base_channels: int = 64,
        fc_channels: int = 1024,
    ) -> None:
        """Build encoder and classifier.

        Args:
            num_classes: Number of classes C, background included.
            pretrained: ImageNet weights of the encoder: False for random ones, True for timm's
                download, or the path of a local checkpoint of timm's or torchvision's `vgg16`; see
                `VGG16.load_imagenet`.
            base_channels: Channels of VGG-16's first block; fewer make a small network.
            fc_channels: Channels of fc6 and fc7 in each branch.

        Raises:
            InputError: A number is below 1, or the weights cannot be loaded.
        """
        super().__init__(VGG16(base_channels, dilated=True), num_classes, fc_channels)
        self.encoder.load_imagenet(pretrained)
        self.classifier = ASPP(self.encoder.channels, fc_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel, as `ClassifierNetwork` does, with corners on corners."""
        check_images(images)
        height, width = images.shape[-2:]
        right, below = -(width - 1) % 8, -(height - 1) % 8
        features = self.encoder(F.pad(images, (0, right, 0, below)))  # 0 is the mean colour
        scores = self.calibrated(self.classifier(features.flatten(0, -4)).float())  # (N, C, h, w)
        scores = F.interpolate(
            scores, (height + below, width + right), mode="bilinear", align_corners=True
        )
        scores = scores[..., :height, :width]
        return scores.reshape(*images.shape[:-3], *scores.shape[1:])
