"""VGG-16 as an encoder, and FCN-VGG16, a baseline of Table 2."""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from facemask.checkpoints import load_weights, read_weights
from facemask.errors import InputError, cause_of
from facemask.models.backbone import ImageEncoder
from facemask.models.fcn import ClassifierNetwork, check_positive

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
"""Of ImageNet, as timm and torchvision have them."""

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


class VGG16(ImageEncoder):
    """Features of VGG-16 (Simonyan and Zisserman 2014), at stride 32 or dilated at stride 8.

    With `fc_channels`, the first two fully connected layers follow as convolutions of 7 × 7 and
    1 × 1 with "same" padding and dropout 0.5, as in the paper's code base.

    Dilated as DeepLab does it (Chen et al. 2016): all pools are 3 × 3, the last two have no stride,
    and the convolutions between them are dilated by 2. Feature i is then centred on pixel 8 i;
    otherwise the pools are 2 × 2 and it is centred on the edge between pixels 32 i + 15 and
    32 i + 16.

    Attributes:
        name: "vgg16".
        stride: Image pixels to a feature pixel along each side, 32 or 8.
        base_channels: Channels of the first block.
    """

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
        check_positive("VGG-16", base_channels=base_channels, fc_channels=fc_channels)
        super().__init__("vgg16", 8 if dilated else 32, _MEAN, _STD)
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

    def encode(self, images: Tensor) -> Tensor:
        """Compute the features (N, C, h, w) of images (N, 3, H, W), h = ⌈H / stride⌉."""
        features: Tensor = self.features(images)
        if self.has_fc:
            features = self.dropout(self.fc6(features).relu())
            features = self.dropout(self.fc7(features).relu())
        return features

    def load_imagenet(self, pretrained: bool | str | Path | None) -> None:
        """Load ImageNet weights, in place.

        Args:
            pretrained: False or None: nothing happens. True: timm's weights of `vgg16`, downloaded
                on first use. A path: a local file with the state_dict of timm's or torchvision's
                `vgg16`, see `read_weights`. Their linear fully connected layers
                become convolutions; the last one is left out.

        Raises:
            InputError: The weights cannot be downloaded or read, or do not fit.
        """
        if pretrained is None or pretrained is False:
            return
        if pretrained is not True:
            load_weights(self, _as_convolutions(read_weights(Path(pretrained))), Path(pretrained))
            return
        if self.base_channels != 64 or (self.has_fc and self.channels != 4096):
            raise InputError(
                "pretrained is true, but there are ImageNet weights of VGG-16 with base_channels=64"
                " and, in FCN-VGG16, fc_channels=4096 only: give these, or pretrained=False."
            )
        import timm  # takes seconds

        try:
            weights = timm.create_model("vgg16", pretrained=True).state_dict()
        except Exception as error:  # the model builds, so this is the network, the hub or its cache
            raise InputError(
                f"timm's weights of 'vgg16' could not be downloaded ({cause_of(error)}): "
                "see to that, or give a local checkpoint, pretrained=PATH"
            ) from error
        load_weights(self, _as_convolutions(weights), Path("timm's vgg16"))


class VGG16Network(ClassifierNetwork):
    """Base of FCN-VGG16 and DeepLab.

    Attributes:
        encoder: Images to features.
        fc_channels: Channels of the fully connected layers.
    """

    described = ("num_classes", "base_channels", "fc_channels")
    encoder: VGG16

    def __init__(self, encoder: VGG16, num_classes: int, fc_channels: int) -> None:
        super().__init__(encoder, num_classes)
        check_positive(type(self).__name__, fc_channels=fc_channels)
        self.fc_channels = fc_channels

    def description(self) -> dict[str, Any]:
        """Return what a file says of the network, for JSON."""
        channels = {"base_channels": self.encoder.base_channels, "fc_channels": self.fc_channels}
        return super().description() | channels


class FCNVGG16(VGG16Network):
    """FCN-VGG16 (Table 2): VGG-16 whose fully connected layers are convolutions (FCN-32s).

    Long et al. (2015) in the form of the paper's code base (Keras-FCN): all convolutions padded to
    keep the size, fc6 of 7 × 7 and fc7 of 1 × 1 with 4096 channels and dropout 0.5, a 1 × 1
    convolution to C classes, bilinear up-sampling by 32. At 320 × 320 the scores are C × 10 × 10; a
    score depends on 404 × 404 pixels. 134.3 million parameters with five classes, 103 million of
    them in fc6.

    Attributes:
        encoder: Images to features, fc6 and fc7 included.
        classifier: 1 × 1 convolution, features to C channels.

    Examples:
        >>> import torch
        >>> model = FCNVGG16(base_channels=4, fc_channels=8).eval()  # VGG-16 has 64 and 4096
        >>> model(torch.zeros(2, 3, 64, 80)).shape
        torch.Size([2, 5, 64, 80])
    """

    classifier: nn.Conv2d

    def __init__(
        self,
        num_classes: int = 5,
        pretrained: bool | str | Path | None = False,
        base_channels: int = 64,
        fc_channels: int = 4096,
    ) -> None:
        """Build encoder and classifier.

        Args:
            num_classes: Number of classes C, background included.
            pretrained: ImageNet weights of all layers but the classifier: False for random ones,
                True for timm's download, or the path of a local checkpoint of timm's or
                torchvision's `vgg16`; see `VGG16.load_imagenet`.
            base_channels: Channels of VGG-16's first block; fewer make a small network.
            fc_channels: Channels of fc6 and fc7.

        Raises:
            InputError: A number is below 1, or the weights cannot be loaded.
        """
        super().__init__(VGG16(base_channels, fc_channels), num_classes, fc_channels)
        self.encoder.load_imagenet(pretrained)
        self.classifier = nn.Conv2d(fc_channels, num_classes, kernel_size=1)
        start_weights(self.classifier)


def start_weights(module: nn.Module) -> None:
    """Draw all convolutions' weights so that signals keep their variance (He et al. 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _blocks(base_channels: int, dilated: bool) -> list[nn.Module]:
    """Return the layers in the order, and so with the names, of timm and torchvision."""
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
    """Return weights of timm's or torchvision's `vgg16` with the names and shapes of `VGG16`."""
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
