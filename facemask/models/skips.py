"""Skip connections: finer feature levels of the encoder, added on the way up."""

from collections.abc import Sequence
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from facemask.errors import InputError

SKIP_KEYS: Final = ("skips", "skip_channels")
"""What a checkpoint says of skips."""


class SkipFusion(nn.Module):
    """Narrow features of the deepest level and of finer ones, added from coarse to fine.

    The paper's single 1 × 1 classifier at stride 16 is coarse for eyes. The FCN paper (Long et
    al. 2015, section 4.2) adds the scores of finer levels on the way up; here narrow features are
    added instead, each sum followed by a 3 × 3 convolution, so that the classifier, or the
    ConvLSTM that takes its place, comes last and works at the finest stride.

    Args:
        channels: Channels of the levels, from the finest skip to the deepest level.
        width: Channels of the narrow features.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        """Make the layers."""
        super().__init__()
        *finer, deepest = channels
        self.reduce = _convolution(deepest, width, kernel_size=1)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, kernel_size=1) for count in finer)
        self.mix = nn.ModuleList(_convolution(width, width, kernel_size=3) for _ in finer)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Fuse the levels.

        Args:
            levels: From the finest skip to the deepest level, (N, channels, h, w).

        Returns:
            (N, width, h, w) at the size of the finest one.
        """
        *finer, deepest = levels
        fused: Tensor = self.reduce(deepest)
        for level, lateral, mix in reversed(list(zip(finer, self.lateral, self.mix, strict=True))):
            upsampled = F.interpolate(fused, level.shape[-2:], mode="bilinear", align_corners=False)
            fused = mix(upsampled + lateral(level))
        return fused


def check_skips(skips: Sequence[int], width: int, output_stride: int) -> tuple[int, ...]:
    """The strides of skip connections, from fine to coarse.

    Raises:
        InputError: One is not below the output stride, is given twice, or the width is below 1.
    """
    strides = tuple(sorted(skips))
    if len(set(strides)) < len(strides) or any(not 1 < s < output_stride for s in strides):
        raise InputError(
            f"skips is {list(skips)}, expected different strides above 1 and below the output "
            f"stride {output_stride}, such as [8, 4]."
        )
    if width < 1:
        raise InputError(f"skip_channels is {width}, expected at least 1.")
    return strides


def describe_skips(encoder: nn.Module) -> dict[str, object]:
    """What a checkpoint says of an encoder's skips; nothing without, as before there were any."""
    skips: tuple[int, ...] = getattr(encoder, "skips", ())
    return dict(zip(SKIP_KEYS, (list(skips), encoder.channels), strict=True)) if skips else {}


def _convolution(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
