"""The encoder: a timm classification network without its head, at a smaller stride."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import timm
import torch
from timm.models import FeatureInfo, clean_state_dict
from torch import Tensor, nn

from facemask.checkpoints import load_weights, read_checkpoint
from facemask.errors import InputError, cause_of, system_cause
from facemask.models.skips import SkipFusion, check_skips


class Encoder(nn.Module):
    """Last feature level of a timm network, its stride reduced by dilation (Table 1, Conv1–Conv5).

    Every convolution that gives up its stride is dilated like the rest of its stage, as in the
    paper's Table 1 (see `dilate_destrided`). For `resnet50` at stride 16 and 320 × 320 images the
    stages give 160, 80, 40, 20 and 20 pixels; the paper has 79 for the second, because its
    max-pooling is unpadded. Later layers and the classification head are not built.

    With `skips`, finer levels are fused with the last one (`facemask.models.skips`), and the
    features have the finest skip's stride.

    Images go in already normalised with `mean` and `std`, which are those of the timm weights:
    buffers (3, 1, 1) for images in [0, 1], not part of the state_dict.

    Attributes:
        body: The timm network.
        fusion: What fuses its levels; None without skips.
        stride: Image pixels to a pixel of the last level, along each side.
        feature_stride: Image pixels to a pixel of the features.
        channels: Channels of the features.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str = "resnet50",
        pretrained: bool | str | Path = False,
        output_stride: int = 16,
        skips: Sequence[int] = (),
        skip_channels: int = 64,
    ) -> None:
        """Build the network through timm.

        Args:
            name: A timm model name, such as `resnet50` or `mobilenetv3_small_100`.
            pretrained: False: random weights. True: timm's default weights of this model,
                downloaded on first use. A path: a local checkpoint, see `load_checkpoint`.
            output_stride: Image pixels to a pixel of the last level along each side.
            skips: Strides of the finer levels to fuse with the last one, such as (8, 4).
            skip_channels: Channels of the features with skips.

        Raises:
            InputError: timm does not know the name or cannot build the model at this stride or
                with these skips, or the weights cannot be loaded.
        """
        super().__init__()
        self.name = name
        self.stride = output_stride
        self.skips = check_skips(skips, skip_channels, output_stride)
        body = _create(name, output_stride, self.skips)
        if pretrained is True:
            body = _create_pretrained(name, output_stride, self.skips)
        elif pretrained is not False:
            load_checkpoint(body, pretrained)
        dilate_destrided(body, name)
        self.body = body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        channels = cast("FeatureInfo", body.feature_info).channels()
        self.fusion: SkipFusion | None = None
        if self.skips:
            self.fusion = SkipFusion(channels, skip_channels)
            self.fusion.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.channels: int = skip_channels if self.skips else channels[-1]
        self.feature_stride = self.skips[0] if self.skips else output_stride
        for key in ("mean", "std"):
            value = cast("dict[str, tuple[float, ...]]", body.pretrained_cfg)[key]
            self.register_buffer(key, torch.tensor(value).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of images or clips.

        Args:
            images: Floating point, normalised, (B, 3, H, W) or (B, T, 3, H, W).

        Returns:
            Features (B, channels, h, w) or (B, T, channels, h, w), h = ⌈H / feature_stride⌉; each
            image's are channels-last in memory.

        Raises:
            InputError: The images have another shape or hold integers.
        """
        check_images(images)
        leading = images.shape[:-3]
        images = images.reshape(-1, *images.shape[-3:])  # (N, 3, H, W)
        levels = self.body(images.contiguous(memory_format=torch.channels_last))
        features: Tensor = levels[-1] if self.fusion is None else self.fusion(levels)
        return features.reshape(*leading, *features.shape[1:])  # (..., C, h, w), a view


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


def _create(name: str, output_stride: int, skips: Sequence[int] = ()) -> nn.Module:
    if not timm.is_model(name.partition(".")[0]):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see timm.list_models()"
        raise InputError(f"timm has no model named {name!r}; {hint}")
    try:
        body: nn.Module = timm.create_model(
            name, features_only=True, out_indices=(-1,), output_stride=output_stride
        )
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        if system_cause(error):
            raise
        reason = f" ({error})" if str(error) else ""
        raise InputError(
            f"timm cannot build {name!r} at output stride {output_stride}{reason}: choose a model "
            "whose stride can be reduced by dilation, such as resnet50 or mobilenetv3_small_100"
        ) from error
    stride = cast("FeatureInfo", body.feature_info).reduction()[-1]
    if stride != output_stride:
        raise InputError(
            f"timm builds {name!r} at stride {stride} only, not at output stride {output_stride}: "
            "give that stride, or choose another model such as resnet50"
        )
    if not skips:
        return body
    levels = _levels(name, output_stride, skips)
    return timm.create_model(
        name, features_only=True, out_indices=levels, output_stride=output_stride
    )


def _levels(name: str, output_stride: int, skips: Sequence[int]) -> tuple[int, ...]:
    """Indices in timm of the levels with these strides, each stride's deepest, and of the last.

    Raises:
        InputError: There is no level of such a stride.
    """
    body = timm.create_model(name, features_only=True, output_stride=output_stride)
    strides = cast("FeatureInfo", body.feature_info).reduction()
    missing = [stride for stride in skips if stride not in strides]
    if missing:
        raise InputError(
            f"{name!r} has no features of stride {missing[0]} to skip from, only of "
            f"{', '.join(map(str, sorted(set(strides))))}: give some of these below "
            f"{output_stride}."
        )
    last = len(strides) - 1
    return (*(last - strides[::-1].index(stride) for stride in skips), last)


def _create_pretrained(name: str, output_stride: int, skips: Sequence[int]) -> nn.Module:
    levels = _levels(name, output_stride, skips) if skips else (-1,)
    try:
        body: nn.Module = timm.create_model(
            name,
            pretrained=True,
            features_only=True,
            out_indices=levels,
            output_stride=output_stride,
        )
    except Exception as error:  # the model builds, so this is the network, the hub or its cache
        raise InputError(
            f"timm's weights of {name!r} could not be downloaded ({cause_of(error)}): "
            "see to that, or give a local checkpoint, pretrained=PATH"
        ) from error
    return body


def dilate_destrided(body: nn.Module, name: str) -> None:
    """Dilate, in place, every convolution whose stride timm took away to reach its output stride.

    When timm trades a stage's stride for dilation it dilates the convolutions *after* the one that
    had the stride, and leaves that one as it is (`layer4[0].conv2` of a ResNet-50 keeps dilation
    1). Table 1 dilates every 3 × 3 convolution of the stage. So each convolution with an odd
    kernel above 1 that has a smaller stride here than in timm's plain model gets its dilation
    multiplied by the stride it lost. Networks that reduce by a pooling or an even (patch) kernel
    have no such convolution and stay as timm builds them.

    Args:
        body: A network made by `timm.create_model(name, features_only=True, output_stride=...)`.
        name: Its timm name.
    """
    plain = timm.create_model(name, features_only=True, out_indices=(-1,))
    plain_convs = {n: m for n, m in plain.named_modules() if isinstance(m, nn.Conv2d)}
    for conv_name, conv in body.named_modules():
        if not isinstance(conv, nn.Conv2d) or conv_name not in plain_convs:
            continue
        lost = plain_convs[conv_name].stride[0] // conv.stride[0]
        k = conv.kernel_size[0]
        if lost == 1 or k == 1 or k % 2 == 0:
            continue
        dilation = conv.dilation[0] * lost
        conv.dilation = (dilation, dilation)
        if conv.padding != (0, 0):  # timm's "same" convolutions pad by themselves
            conv.padding = (dilation * (k - 1) // 2,) * 2


def load_checkpoint(body: nn.Module, path: str | Path) -> None:
    """Load a local file with weights of the whole timm model into an encoder, in place.

    Args:
        body: A network made by `timm.create_model(..., features_only=True)`.
        path: A `.safetensors` file or one that `torch.save` wrote (read with `weights_only=True`,
            so that it cannot run code). It holds the state_dict of the timm model, or of an encoder
            made of it, bare or under the key "state_dict". Weights of later layers are ignored.

    Raises:
        InputError: The file is missing, holds no weights or more than weights, or lacks weights of
            the encoder or has them in another shape.
    """
    path = Path(path)
    weights = read_weights(path)
    names = {key: _find(key, weights) for key in body.state_dict()}
    found = {key: weights[name] for key, name in names.items() if name is not None}
    load_weights(body, found, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a local file with weights of a timm or torchvision model.

    Args:
        path: A `.safetensors` file or one that `torch.save` wrote, the state_dict bare or under the
            key "state_dict".

    Returns:
        Tensors by name, without the prefixes of DDP and `torch.compile`.

    Raises:
        InputError: The file is missing, or holds no weights or more than weights.
    """
    content = read_checkpoint(path)
    if isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    cleaned: dict[str, Tensor] = clean_state_dict(tensors)  # without "module." and "_orig_mod."
    return cleaned


def _find(key: str, weights: Mapping[str, Tensor]) -> str | None:
    """Name in `weights` of the encoder's tensor `key`.

    timm's feature wrappers rename the children of the model they wrap: `stages.3` becomes
    `stages_3`, and some keep the whole model as `body` or `model`.
    """
    child, _, rest = key.partition(".")
    parent, _, index = child.rpartition("_")
    names = [key, f"{parent}.{index}.{rest}"]
    if child in ("body", "model"):
        names.append(rest)
    return next((name for name in names if name in weights), None)
