"""EfficientNet-Lite0 without timm, whose import takes longer than all else of an extraction.

Only for weights that are loaded afterwards, such as the shipped ones: tensors have timm's names,
and results are equal bit by bit. Whatever else an encoder may be is built by timm.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from torch import Tensor, nn

from facemask.models.convolution import TunedConv2d

NAME: Final = "tf_efficientnet_lite0"
"""timm's name of it; `tf_`: with TensorFlow's padding."""
STRIDE: Final = 32
"""Output stride, the only one here."""
_STEM: Final = 32
_EXPANSION: Final = 6
_BN_EPSILON: Final = 1e-3  # TensorFlow's


class BodyFacts(NamedTuple):
    """Facts about a network that gives features of several levels.

    Attributes:
        strides: Image pixels to a pixel of each level.
        channels: Channels of each level.
        mean: Mean, of three colours in [0, 1], that its images are normalised with.
        std: Standard deviation, likewise.
    """

    strides: Sequence[int]
    channels: Sequence[int]
    mean: Sequence[float]
    std: Sequence[float]


FACTS: Final = BodyFacts((2, 4, 8, 16, 32), (16, 24, 40, 112, 320), (0.5,) * 3, (0.5,) * 3)


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    channels: int


_STAGES: Final = (
    _Stage(1, 3, 1, 16),
    _Stage(2, 3, 2, 24),
    _Stage(2, 5, 2, 40),
    _Stage(3, 3, 2, 80),
    _Stage(3, 5, 1, 112),
    _Stage(4, 5, 2, 192),
    _Stage(1, 3, 1, 320),
)


def builds(name: str, output_stride: int) -> bool:
    """Return whether `Lite0` is this network of timm's at this stride."""
    return (name, output_stride) == (NAME, STRIDE)


class Lite0(nn.Module):
    """EfficientNet-Lite0 (tensorflow/tpu, 2020) without its head, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _convolution(3, _STEM, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(_STEM, _BN_EPSILON)
        self.act = nn.ReLU6(inplace=True)
        stages: list[nn.Module] = []
        channels = _STEM
        for blocks, kernel, stride, width in _STAGES:
            kind = _Block if stages else _FirstBlock
            stage = [kind(channels, width, kernel, stride)]
            stage += [kind(width, width, kernel, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*stage))
            channels = width
        self.blocks = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features (N, channels, h, w) of all levels of images (N, 3, H, W)."""
        x: Tensor = self.act(self.bn1(self.conv_stem(images)))
        levels: list[Tensor] = []
        for stage, after in zip(self.blocks, [*_STAGES[1:], None], strict=True):
            x = stage(x)
            if after is None or after.stride == 2:
                levels.append(x)
        return levels


class _FirstBlock(nn.Module):
    """Depthwise convolution, then one across channels."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(channels, channels, kernel, stride, groups=channels)
        self.bn1 = nn.BatchNorm2d(channels, _BN_EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pw = _convolution(channels, width, 1)
        self.bn2 = nn.BatchNorm2d(width, _BN_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv_dw(x)))
        result: Tensor = self.bn2(self.conv_pw(x))
        return result


class _Block(nn.Module):
    """Inverted residual: wide, depthwise, narrow, and the input added where the sizes agree."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = channels * _EXPANSION
        self._is_residual = stride == 1 and channels == width
        self.conv_pw = _convolution(channels, wide, 1)
        self.bn1 = nn.BatchNorm2d(wide, _BN_EPSILON)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = _convolution(wide, wide, kernel, stride, groups=wide)
        self.bn2 = nn.BatchNorm2d(wide, _BN_EPSILON)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = _convolution(wide, width, 1)
        self.bn3 = nn.BatchNorm2d(width, _BN_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.act2(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self._is_residual else y  # type: ignore[no-any-return]


def _convolution(
    channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> TunedConv2d:
    """Return a convolution with TensorFlow's padding, which is that of PyTorch at stride 1."""
    padding = kernel // 2 if stride == 1 else 0
    layer = TunedConv2d(channels, width, kernel, stride, padding, groups=groups, bias=False)
    layer.same = stride > 1
    return layer
