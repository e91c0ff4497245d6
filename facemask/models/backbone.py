"""Encoder: a timm classification network without its head, at a smaller stride.

Layers and their places are here, all that is asked of timm is in `facemask.models.timm_body`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask._distribution import missing_library
from facemask.errors import InputError
from facemask.models import lite0
from facemask.models.convolution import TunedConv2d
from facemask.workers import in_these_modes, in_threads

_AT_ONCE: Final = 10
"""Frames that a CPU encodes together, at most: more leave its cache, fewer cost more calls."""
_LEAST_AT_ONCE: Final = 4
"""Frames for which a thread of its own pays: with fewer, threads of Python wait for each other."""


class ImageEncoder(nn.Module):
    """Base of the encoders: takes normalised images or clips and gives features.

    Images go in already normalised with `mean` and `std`, which are those of the encoder's
    pretrained weights: buffers (3, 1, 1) for images in [0, 1], not part of the state_dict.

    Attributes:
        name: Name of the network in timm.
        stride: Image pixels to a pixel of the last feature level, along each side.
        channels: Channels of the features.
        skips: Strides of the finer levels that are fused with the last one.
    """

    channels: int
    skips: tuple[int, ...] = ()
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, stride: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.name = name
        self.stride = stride
        for key, value in (("mean", mean), ("std", std)):
            self.register_buffer(key, torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of images or clips.

        Args:
            images: Floating point, normalised, (B, 3, H, W) or (B, T, 3, H, W).

        Returns:
            Features (B, channels, h, w) or (B, T, channels, h, w), h = ⌈H / s⌉ at the features'
            stride s; each image's are channels-last in memory.

        Raises:
            InputError: The images have another shape or hold integers.
        """
        check_images(images)
        frames = images.flatten(0, -4)  # (N, 3, H, W)
        count, threads = self._parts(frames)
        encode = in_these_modes(self._encode_part) if threads > 1 else self._encode_part
        parts = in_threads(encode, frames.tensor_split(count), threads)
        features = parts[0] if len(parts) == 1 else torch.cat(parts)  # (N, C, h, w)
        return features.reshape(*images.shape[:-3], *features.shape[1:])  # (..., C, h, w), a view

    def _parts(self, frames: Tensor) -> tuple[int, int]:
        """Return in how many parts frames are encoded, and by how many threads.

        A CPU's cache holds what is new of a part. Threads of Python with a part each take half the
        time of torch's, which have little to do in a layer.
        """
        together = self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
        if together or frames.device.type != "cpu":
            return 1, 1
        parts = max(1, -(-len(frames) // _AT_ONCE))
        threads = min(torch.get_num_threads(), len(frames) // _LEAST_AT_ONCE)
        if threads < 2:
            return parts, 1
        return -(-parts // threads) * threads, threads

    def _encode_part(self, images: Tensor) -> Tensor:
        return self.encode(images.contiguous(memory_format=torch.channels_last))

    def encode(self, images: Tensor) -> Tensor:
        """Compute the features (N, C, h, w) of images (N, 3, H, W), channels-last."""
        raise NotImplementedError


def check_images(images: Tensor) -> None:
    """Check the images or clips that an encoder gets.

    Raises:
        InputError: They are neither (B, 3, H, W) nor (B, T, 3, H, W), or hold integers.
    """
    if images.ndim not in (4, 5) or images.shape[-3] != 3:
        raise InputError(
            f"the encoder got images of shape {tuple(images.shape)}: "
            "give (B, 3, H, W) or (B, T, 3, H, W)"
        )
    if not images.is_floating_point():
        raise InputError(
            f"the encoder got images of dtype {images.dtype}: "
            "divide them by 255 and normalise them with the encoder's mean and std"
        )


class Encoder(ImageEncoder):
    """Last feature level of a timm network, its stride reduced by dilation (Table 1, Conv1–Conv5).

    Every convolution that gives up its stride is dilated like the rest of its stage, as in the
    paper's Table 1 (see `dilate_destrided`). For `resnet50` at stride 16 and 320 × 320 images the
    stages give 160, 80, 40, 20 and 20 pixels; the paper has 79 for the second, because its
    max-pooling is unpadded. Later layers and the classification head are not built.

    With `skips`, finer levels are fused with the last one (`SkipFusion`), and the features have
    the finest skip's stride.

    Attributes:
        body: The timm network, or `Lite0` in its place.
        fusion: Layers that fuse its levels; None without skips.
        feature_stride: Image pixels to a pixel of the features.
    """

    def __init__(
        self,
        name: str = "resnet50",
        pretrained: bool | str | Path | None = False,
        output_stride: int = 16,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
    ) -> None:
        """Build the network through timm.

        Args:
            name: A timm model name, such as `resnet50` or `mobilenetv3_small_100`.
            pretrained: False: random weights. True: timm's default weights of this model,
                downloaded on first use. A path: a local checkpoint, see `load_checkpoint`. None:
                weights that are loaded afterwards; the network is built faster then, with random
                weights that are not those of a seed.
            output_stride: Image pixels to a pixel of the last level along each side.
            skips: Strides of the finer levels to fuse with the last one, such as (8, 4).
            skip_channels: Channels of the features with skips.

        Raises:
            InputError: timm does not know the name or cannot build the model at this stride or
                with these skips, is not installed, or the weights cannot be loaded.
        """
        skips = _check_skips(skips, skip_channels, output_stride)
        body: nn.Module
        if pretrained is None and lite0.builds(name, output_stride):
            body, facts = lite0.Lite0(), lite0.FACTS
        else:
            try:
                from facemask.models import timm_body  # timm takes seconds to import
            except ModuleNotFoundError as error:
                raise missing_library(error, f"the backbone {name!r}") or error from error
            body = timm_body.create(name, output_stride, pretrained, all_levels=bool(skips))
            facts = timm_body.facts(body)
        levels = _levels(name, facts.strides, skips)
        super().__init__(name, output_stride, facts.mean, facts.std)
        self.body = body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.skips = skips
        self.feature_stride = skips[0] if skips else output_stride
        channels = [facts.channels[level] for level in levels]
        self.channels = skip_channels if skips else channels[-1]
        self.fusion: SkipFusion | None = None
        if skips:
            self.fusion = SkipFusion(channels, skip_channels)
            self.fusion.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._levels = levels

    def encode(self, images: Tensor) -> Tensor:
        """Compute the features (N, C, h, w) of images (N, 3, H, W), channels-last."""
        levels = self.body(images)
        chosen: list[Tensor] = [levels[level] for level in self._levels]
        return chosen[-1] if self.fusion is None else self.fusion(chosen)


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
        super().__init__()
        *finer, deepest = channels
        self.reduce = _convolution(deepest, width, kernel_size=1)
        self.lateral = nn.ModuleList(TunedConv2d(count, width, kernel_size=1) for count in finer)
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


def _convolution(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    return nn.Sequential(
        TunedConv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _check_skips(skips: Sequence[int], width: int, output_stride: int) -> tuple[int, ...]:
    """Return the strides of skip connections, from fine to coarse.

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


def _levels(name: str, strides: Sequence[int], skips: Sequence[int]) -> list[int]:
    """Return the positions of the skips' levels, each stride's deepest, and of the last level.

    Raises:
        InputError: There is no level of such a stride.
    """
    missing = [stride for stride in skips if stride not in strides]
    if missing:
        raise InputError(
            f"{name!r} has no features of stride {missing[0]} to skip from, only of "
            f"{', '.join(map(str, sorted(set(strides))))}: give some of these below "
            f"{strides[-1]}."
        )
    last = len(strides) - 1
    return [*(last - strides[::-1].index(stride) for stride in skips), last]
