"""Fully convolutional network for single frames (Table 1), and what all networks share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.models.backbone import Encoder, ImageEncoder
from facemask.models.convolution import TunedConv2d
from facemask.models.sharing import SharedNetwork


class EncoderNetwork(SharedNetwork, nn.Module):
    """Base of this library's networks: an encoder, and layers that score its features.

    Attributes:
        described: Arguments of the constructor that `description` gives; a file may say more.
        encoder: Images to features.
        num_classes: Number of classes C, background included.
        offsets: What is added to each class's scores, float (C,), zeros unless the network is
            calibrated (`facemask calibrate`): where it draws the line between classes.
    """

    described: ClassVar[tuple[str, ...]] = ("backbone", "num_classes", "output_stride")
    encoder: ImageEncoder
    offsets: Tensor

    def __init__(self, encoder: ImageEncoder, num_classes: int) -> None:
        super().__init__()
        check_positive(type(self).__name__, num_classes=num_classes)
        self.encoder = encoder
        self.num_classes = num_classes
        self.register_buffer("offsets", torch.zeros(num_classes))
        self.register_load_state_dict_pre_hook(_uncalibrated)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        """Mean (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.mean

    @property
    def std(self) -> Tensor:
        """Standard deviation (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.std

    def calibrated(self, scores: Tensor) -> Tensor:
        """Add the classes' offsets to scores (..., C, h, w).

        Before up-sampling: bilinear interpolation keeps what is the same everywhere.
        """
        return scores + self.offsets[:, None, None]

    def description(self) -> dict[str, Any]:
        """Return what a file says of the network, for JSON, by names of the constructor's."""
        encoder = self.encoder
        skips = {"skips": list(encoder.skips), "skip_channels": encoder.channels}
        return {
            "backbone": encoder.name,
            "output_stride": encoder.stride,
            "num_classes": self.num_classes,
            **(skips if encoder.skips else {}),  # files were written before there were any
        }


class ClassifierNetwork(EncoderNetwork):
    """Base of networks that classify each place of the features and up-sample the scores.

    Attributes:
        classifier: Features to C channels.
    """

    classifier: nn.Module

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
        scores = self.calibrated(self.classifier(features.flatten(0, -4)))  # (N, C, h, w)
        scores = upsample_bilinear(scores, (images.shape[-2], images.shape[-1]))  # (N, C, H, W)
        return scores.reshape(*images.shape[:-3], *scores.shape[1:])


class FCN(ClassifierNetwork):
    """Baseline FCN (Table 1): dilated encoder, 1 × 1 convolution, bilinear up-sampling.

    With the default ResNet-50 and 320 × 320 images: features 2048 × 20 × 20, scores C × 20 × 20,
    up-sampled to C × 320 × 320. `skips` makes the scores finer (not in the paper).

    Attributes:
        encoder: Images to features.
        classifier: 1 × 1 convolution, features to C channels (`Conv6`).

    Examples:
        >>> model = FCN("resnet18").eval()
        >>> model(torch.zeros(2, 3, 64, 80)).shape
        torch.Size([2, 5, 64, 80])
    """

    encoder: Encoder
    classifier: nn.Conv2d

    def __init__(
        self,
        backbone: str = "resnet50",
        num_classes: int = 5,
        pretrained: bool | str | Path | None = False,
        output_stride: int = 16,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
    ) -> None:
        """Build encoder and classifier.

        Args:
            backbone: A timm model name; see `facemask.models.backbone.Encoder`.
            num_classes: Number of classes C, background included.
            pretrained: Encoder weights: False for random ones, True for timm's download, the path
                of a local checkpoint of the timm model (.pth, .pt, .bin or .safetensors), or None
                where all weights are loaded afterwards.
            output_stride: Image pixels to a pixel of the encoder's last level along each side.
            skips: Strides of finer feature levels to add on the way up, such as (8, 4), so that
                the scores have the finest one's stride (`facemask.models.backbone.SkipFusion`).
                The paper has none.
            skip_channels: Channels of the features with skips.

        Raises:
            InputError: The backbone is unknown or does not support the stride or the skips, its
                weights cannot be loaded, or `num_classes` is below 1.
        """
        check_positive("FCN", num_classes=num_classes)
        encoder = Encoder(backbone, pretrained, output_stride, skips, skip_channels)
        super().__init__(encoder, num_classes)
        self.classifier = TunedConv2d(encoder.channels, num_classes, kernel_size=1)


def _uncalibrated(
    network: EncoderNetwork,
    state_dict: dict[str, Any],
    prefix: str,
    *_: Any,  # noqa: ANN401  # what else torch hands to such hooks
) -> None:
    """Let a state_dict that has no offsets, as all had before there were any, stand for zeros."""
    state_dict.setdefault(f"{prefix}offsets", torch.zeros_like(network.offsets))


def check_positive(owner: str, **numbers: int | None) -> None:
    """Check numbers of classes or channels by name; None is left out.

    Raises:
        InputError: One is below 1.
    """
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise InputError(f"{owner} got {name}={number}: give at least 1")


def upsample_bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the last two dimensions of `x` bilinearly, pixel centres at half-integers.

    Bilinear interpolation is separable and linear: out = A_h · x · A_wᵀ, with one small matrix for
    each axis. The result is that of `F.interpolate(mode="bilinear", align_corners=False)`, at about
    a quarter of its time on a CPU with gradients (`UpSampling` of the paper's Table 1).

    Half-precision maps are up-sampled and returned in float32, under autocast too: rounded to
    bfloat16 after up-sampling, neighbouring pixels' scores would tie and class edges turn to steps.

    Args:
        x: Floating point maps (..., h, w), any leading dimensions and any memory format.
        size: Height and width of the output; need not be multiples of h and w.

    Returns:
        Maps (..., H, W), contiguous, in the dtype of `x`, but float32 for float16 and bfloat16.
        Every value is a convex combination of values of `x`, so bounds of `x` hold.

    Examples:
        >>> upsample_bilinear(torch.tensor([[[0.0, 4.0]]]), (1, 4))
        tensor([[[0., 1., 3., 4.]]])
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        A_h = _interpolation_matrix(x.shape[-2], size[0], x)  # (H, h)
        A_w = _interpolation_matrix(x.shape[-1], size[1], x)  # (W, w)
        return A_h @ (x @ A_w.T)  # (..., h, w) -> (..., h, W) -> (..., H, W)


def _interpolation_matrix(length: int, new_length: int, like: Tensor) -> Tensor:
    """Return the matrix (new_length, length) of 1-D linear interpolation, in the dtype of `like`.

    Its columns are the unit vectors, interpolated.
    """
    unit = torch.eye(length, dtype=like.dtype, device=like.device)
    return F.interpolate(unit[None], size=new_length, mode="linear", align_corners=False)[0].T
