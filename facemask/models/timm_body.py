"""Networks from timm: built at an output stride, dilated as in Table 1, and given weights."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.models import FeatureInfo
from torch import Tensor, nn

from facemask.checkpoints import load_weights, read_weights
from facemask.errors import InputError, cause_of, system_cause
from facemask.models.convolution import TunedConv2d
from facemask.models.lite0 import BodyFacts


def create(
    name: str, output_stride: int, pretrained: bool | str | Path | None, all_levels: bool
) -> nn.Module:
    """Build a timm network that gives features.

    Args:
        name: A timm model name.
        output_stride: Image pixels to a pixel of the last level along each side.
        pretrained: Its weights, see `facemask.models.backbone.Encoder`.
        all_levels: Whether it gives the features of all levels, or of the last one alone.

    Returns:
        A network of images (N, 3, H, W) to a list of features.

    Raises:
        InputError: timm does not know the name or cannot build the model at this stride, or the
            weights cannot be loaded.
    """
    options: dict[str, Any] = {"features_only": True, "output_stride": output_stride}
    if not all_levels:
        options["out_indices"] = (-1,)
    body = _create(name, options)
    if pretrained is None:
        strides = _known_strides(name)
    else:  # one seed has always drawn these networks' weights, and kept the third's of all levels
        for _ in range(2 if all_levels else 0):
            body = timm.create_model(name, **options)
        if pretrained is True:
            try:
                body = timm.create_model(name, pretrained=True, **options)
            except Exception as error:  # it builds, so this is the network, the hub or its cache
                raise InputError(
                    f"timm's weights of {name!r} could not be downloaded ({cause_of(error)}): "
                    "see to that, or give a local checkpoint, pretrained=PATH"
                ) from error
        elif pretrained is not False:
            load_checkpoint(body, pretrained)
        strides = plain_strides(name)
    dilate_destrided(body, strides)
    tune_convolutions(body)
    return body


def tune_convolutions(body: nn.Module) -> None:
    """Put `TunedConv2d` in place of a network's convolutions; parameters and their names stay."""
    for module in list(body.modules()):
        for name, child in module.named_children():
            if type(child) not in (nn.Conv2d, Conv2dSame):
                continue
            if isinstance(child, nn.Conv2d) and child.padding_mode == "zeros":
                setattr(module, name, TunedConv2d.like(child, same=isinstance(child, Conv2dSame)))


def facts(body: nn.Module) -> BodyFacts:
    """Return what timm says of a network's feature levels, and of its pretrained weights."""
    info = cast("FeatureInfo", body.feature_info)
    config = cast("dict[str, tuple[float, ...]]", body.pretrained_cfg)
    return BodyFacts(info.reduction(), info.channels(), config["mean"], config["std"])


def _create(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a timm network with random weights, or say why timm cannot."""
    output_stride = options["output_stride"]
    if not timm.is_model(name.partition(".")[0]):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see timm.list_models()"
        raise InputError(f"timm has no model named {name!r}; {hint}")
    try:
        body: nn.Module = timm.create_model(name, **options)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        if system_cause(error):
            raise
        reason = f" ({error})" if str(error) else ""
        raise InputError(
            f"timm cannot build {name!r} at output stride {output_stride}{reason}: choose a model "
            "whose stride can be reduced by dilation, such as resnet50 or mobilenetv3_small_100"
        ) from error
    stride = facts(body).strides[-1]
    if stride != output_stride:
        raise InputError(
            f"timm builds {name!r} at stride {stride} only, not at output stride {output_stride}: "
            "give that stride, or choose another model such as resnet50"
        )
    return body


def plain_strides(name: str) -> dict[str, int]:
    """Return the stride of each convolution of timm's plain network, by its name."""
    plain = timm.create_model(name, features_only=True, out_indices=(-1,))
    return {n: m.stride[0] for n, m in plain.named_modules() if isinstance(m, nn.Conv2d)}


@functools.cache
def _known_strides(name: str) -> dict[str, int]:
    with torch.random.fork_rng(devices=()):
        return plain_strides(name)


def dilate_destrided(body: nn.Module, strides: Mapping[str, int]) -> None:
    """Dilate, in place, every convolution whose stride timm took away to reach its output stride.

    When timm trades a stage's stride for dilation it dilates the convolutions *after* the one that
    had the stride, and leaves that one as it is (`layer4[0].conv2` of a ResNet-50 keeps dilation
    1). Table 1 dilates every 3 × 3 convolution of the stage. So each convolution with an odd
    kernel above 1 that has a smaller stride here than in timm's plain model gets its dilation
    multiplied by the stride it lost. Networks that reduce by a pooling or an even (patch) kernel
    have no such convolution and stay as timm builds them.

    Args:
        body: A network made by `timm.create_model(name, features_only=True, output_stride=...)`.
        strides: Those of the plain network's convolutions, see `plain_strides`.
    """
    for name, conv in body.named_modules():
        if not isinstance(conv, nn.Conv2d) or name not in strides:
            continue
        lost = strides[name] // conv.stride[0]
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
        path: A file that `facemask.checkpoints.read_weights` reads, with the tensors of the timm
            model, or of an encoder made of it. Those of later layers are ignored.

    Raises:
        InputError: The file is missing, holds no weights or more than weights, or lacks weights of
            the encoder or has them in another shape.
    """
    weights = read_weights(Path(path))
    names = {key: _find(key, weights) for key in body.state_dict()}
    found = {key: weights[name] for key, name in names.items() if name is not None}
    load_weights(body, found, Path(path))


def _find(key: str, weights: Mapping[str, Tensor]) -> str | None:
    """Return the name in `weights` of the encoder's tensor `key`.

    timm's feature wrappers rename the children of the model they wrap: `stages.3` becomes
    `stages_3`, and some keep the whole model as `body` or `model`.
    """
    child, _, rest = key.partition(".")
    parent, _, index = child.rpartition("_")
    names = [key, f"{parent}.{index}.{rest}"]
    if child in ("body", "model"):
        names.append(rest)
    return next((name for name in names if name in weights), None)
