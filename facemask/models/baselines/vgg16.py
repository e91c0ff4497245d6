"""VGG-16 as an encoder: what FCN-VGG16 and DeepLab-v2 are made of (Table 2)."""

from pathlib import Path
from typing import Final

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from facemask.checkpoints import load_weights
from facemask.errors import InputError, cause_of
from facemask.models.backbone import check_images, read_weights

_CONVOLUTIONS: Final = (2, 2, 3, 3, 3)
"""3 × 3 convolutions of each block."""
_MULTIPLES: Final = (1, 2, 4, 8, 8)
"""Channels of each block over those of the first."""
# where torchvision and timm keep the first two fully connected layers: name here, kernel size
_FULLY_CONNECTED: Final = {
    "classifier.0": ("fc6", 7),
    "classifier.3": ("fc7", 1),
    "pre_logits.fc1": ("fc6", 7),
    "pre_logits.fc2": ("fc7", 1),
}


class VGG16(nn.Module):
    """Features of VGG-16 (Simonyan and Zisserman 2014), at stride 32 or dilated at stride 8.

    With `fc_channels`, the first two fully connected layers follow as convolutions of 7 × 7 and
    1 × 1 with "same" padding and dropout 0.5, as in the paper's code base.

    Dilated as DeepLab does it (Chen et al. 2016): all pools are 3 × 3, the last two have no stride,
    and the convolutions between them are dilated by 2. Feature i is then centred on pixel 8 i;
    otherwise the pools are 2 × 2 and it is centred on the edge between pixels 32 i + 15 and
    32 i + 16.

    Images go in already normalised with `mean` and `std`, which are those of the ImageNet weights
    of timm and torchvision: buffers (3, 1, 1), not part of the state_dict.

    Attributes:
        name: "vgg16".
        stride: Image pixels to a feature pixel along each side, 32 or 8.
        channels: Channels of the features.
        base_channels: Channels of the first block.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, base_channels: int = 64, fc_channels: int | None = None, dilated: bool = False
    ) -> None:
        """Build the layers with random weights.

        Args:
            base_channels: Channels of the first block; the next have 2, 4, 8 and 8 times as many.
                VGG-16 has 64; fewer make it small.
            fc_channels: Channels of the convolutional fully connected layers, 4096 in VGG-16; None
                leaves them out.
            dilated: Whether to keep stride 8.

        Raises:
            InputError: A number of channels is below 1.
        """
        super().__init__()
        for what, number in (("base_channels", base_channels), ("fc_channels", fc_channels)):
            if number is not None and number < 1:
                raise InputError(f"VGG-16 got {what}={number}: give at least 1")
        self.name = "vgg16"
        self.stride = 8 if dilated else 32
        self.base_channels = base_channels
        self.channels = base_channels * _MULTIPLES[-1] if fc_channels is None else fc_channels
        self.features = nn.Sequential(*_blocks(base_channels, dilated))
        if fc_channels is not None:
            self.fc6 = nn.Conv2d(base_channels * _MULTIPLES[-1], fc_channels, 7, padding=3)
            self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
            self.dropout = nn.Dropout(0.5)
        self.has_fc = fc_channels is not None
        start_weights(self)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for key, value in (("mean", IMAGENET_DEFAULT_MEAN), ("std", IMAGENET_DEFAULT_STD)):
            self.register_buffer(key, torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of images or clips.

        Args:
            images: Floating point, normalised, (B, 3, H, W) or (B, T, 3, H, W).

        Returns:
            Features (B, channels, h, w) or (B, T, channels, h, w), h = ⌈H / stride⌉.

        Raises:
            InputError: The images have another shape or hold integers.
        """
        check_images(images)
        leading = images.shape[:-3]
        images = images.reshape(-1, *images.shape[-3:])  # (N, 3, H, W)
        features: Tensor = self.features(images.contiguous(memory_format=torch.channels_last))
        if self.has_fc:
            features = self.dropout(self.fc6(features).relu())
            features = self.dropout(self.fc7(features).relu())
        return features.reshape(*leading, *features.shape[1:])  # (..., C, h, w)

    def load_imagenet(self, pretrained: bool | str | Path) -> None:
        """Load ImageNet weights, in place.

        Args:
            pretrained: False: nothing happens. True: timm's weights of `vgg16`, downloaded on first
                use. A path: a local file with the state_dict of timm's or torchvision's `vgg16`
                (`.safetensors`, or what `torch.save` wrote). Their linear fully connected layers
                become convolutions; the last one is left out.

        Raises:
            InputError: The weights cannot be downloaded or read, or do not fit.
        """
        if pretrained is False:
            return
        if pretrained is not True:
            load_weights(self, _as_convolutions(read_weights(Path(pretrained))), Path(pretrained))
            return
        if self.base_channels != 64 or (self.has_fc and self.channels != 4096):
            raise InputError(
                "pretrained is true, but there are ImageNet weights of VGG-16 with base_channels=64"
                " and, in FCN-VGG16, fc_channels=4096 only: give these, or pretrained=False."
            )
        try:
            weights = timm.create_model("vgg16", pretrained=True).state_dict()
        except Exception as error:  # the model builds, so this is the network, the hub or its cache
            raise InputError(
                f"timm's weights of 'vgg16' could not be downloaded ({cause_of(error)}): "
                "see to that, or give a local checkpoint, pretrained=PATH"
            ) from error
        load_weights(self, _as_convolutions(weights), Path("timm's vgg16"))


class VGG16Network(nn.Module):
    """What FCN-VGG16 and DeepLab share: an encoder, its normalisation and a number of classes.

    Attributes:
        encoder: Images to features.
        num_classes: Number of classes C, background included.
        fc_channels: Channels of the fully connected layers.
    """

    def __init__(self, encoder: VGG16, num_classes: int, fc_channels: int) -> None:
        """Keep the encoder.

        Raises:
            InputError: `num_classes` or `fc_channels` is below 1.
        """
        super().__init__()
        for what, number in (("num_classes", num_classes), ("fc_channels", fc_channels)):
            if number < 1:
                raise InputError(f"{type(self).__name__} got {what}={number}: give at least 1")
        self.encoder = encoder
        self.num_classes = num_classes
        self.fc_channels = fc_channels

    @property
    def mean(self) -> Tensor:
        """Mean (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.mean

    @property
    def std(self) -> Tensor:
        """Standard deviation (3, 1, 1) that images in [0, 1] are normalised with."""
        return self.encoder.std


def start_weights(module: nn.Module) -> None:
    """Draw all convolutions' weights so that signals keep their variance (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _blocks(base_channels: int, dilated: bool) -> list[nn.Module]:
    """The layers in the order, and so with the names, of timm and torchvision."""
    layers: list[nn.Module] = []
    inputs = 3
    for block, (count, multiple) in enumerate(zip(_CONVOLUTIONS, _MULTIPLES, strict=True), start=1):
        outputs = base_channels * multiple
        dilation = 2 if dilated and block == 5 else 1
        for _ in range(count):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
            layers += [convolution, nn.ReLU(inplace=True)]
            inputs = outputs
        if dilated:
            layers.append(nn.MaxPool2d(3, stride=1 if block >= 4 else 2, padding=1))
        else:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))  # sizes round up: none vanishes
    return layers


def _as_convolutions(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of timm's or torchvision's `vgg16` by the names and in the shapes of `VGG16`."""
    found = dict(weights)
    for name, (here, size) in _FULLY_CONNECTED.items():
        for part in ("weight", "bias"):
            value = weights.get(f"{name}.{part}")
            if value is None:
                continue
            if value.ndim == 2 and value.shape[1] % size**2 == 0:  # of flattened (C, size, size)
                value = value.reshape(value.shape[0], -1, size, size)
            found[f"{here}.{part}"] = value
    return found
