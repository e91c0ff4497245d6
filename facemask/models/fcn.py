"""Fully convolutional network for single frames (Table 1)."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from facemask.errors import InputError
from facemask.models.backbone import Encoder
from facemask.models.upsample import upsample_bilinear


class FCN(nn.Module):
    """Baseline FCN (Table 1): dilated encoder, 1 × 1 convolution, bilinear up-sampling.

    With the default ResNet-50 and 320 × 320 images: features 2048 × 20 × 20, scores C × 20 × 20,
    up-sampled to C × 320 × 320. `skips` makes the scores finer (not in the paper).

    Attributes:
        encoder: Images to features.
        classifier: 1 × 1 convolution, features to C channels (`Conv6`).

    Examples:
        >>> import torch
        >>> model = FCN("resnet18").eval()
        >>> model(torch.zeros(2, 3, 64, 80)).shape
        torch.Size([2, 5, 64, 80])
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int = 5,
        pretrained: bool | str | Path = False,
        output_stride: int = 16,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
    ) -> None:
        """Build encoder and classifier.

        Args:
            backbone: A timm model name; see `facemask.models.backbone.Encoder`.
            num_classes: Number of classes C, background included.
            pretrained: Encoder weights: False for random ones, True for timm's download, or the
                path of a local checkpoint of the timm model (.pth, .pt, .bin or .safetensors).
            output_stride: Image pixels to a pixel of the encoder's last level along each side.
            skips: Strides of finer feature levels to add on the way up, such as (8, 4), so that
                the scores have the finest one's stride (`facemask.models.skips`). The paper has
                none.
            skip_channels: Channels of the features with skips.

        Raises:
            InputError: The backbone is unknown or does not support the stride or the skips, its
                weights cannot be loaded, or `num_classes` is below 1.
        """
        super().__init__()
        if num_classes < 1:
            raise InputError(f"FCN got num_classes={num_classes}: give at least 1")
        self.num_classes = num_classes
        self.encoder = Encoder(backbone, pretrained, output_stride, skips, skip_channels)
        self.classifier = nn.Conv2d(self.encoder.channels, num_classes, kernel_size=1)

    @property
    def mean(self) -> Tensor:
        """Mean (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.mean

    @property
    def std(self) -> Tensor:
        """Standard deviation (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.std

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel.

        Args:
            images: Floating point, normalised with `mean` and `std`, (B, 3, H, W) or
                (B, T, 3, H, W); the frames of a clip are scored independently.

        Returns:
            Scores (logits) (B, C, H, W) or (B, T, C, H, W), unbounded, float32 under autocast.

        Raises:
            InputError: The images have another shape or hold integers.
        """
        features = self.encoder(images)  # (..., F, h, w)
        scores = self.classifier(features.flatten(0, -4))  # (N, C, h, w)
        scores = upsample_bilinear(scores, (images.shape[-2], images.shape[-1]))  # (N, C, H, W)
        return scores.reshape(*images.shape[:-3], *scores.shape[1:])
