"""What a checkpoint says of its network, and networks built from that."""

from collections.abc import Mapping
from typing import Any, Final, cast

import torch
from torch import nn

from facemask import __version__
from facemask.errors import InputError
from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.fcn_vgg16 import FCNVGG16
from facemask.models.baselines.vgg16 import VGG16Network
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN
from facemask.models.own_network import normalisation
from facemask.models.skips import SKIP_KEYS, describe_skips

USE_KEY: Final = "facemask"
"""Where a checkpoint says what it takes to use it."""
_KINDS: Final = (ConvLSTMFCN, FCN, FCNVGG16, DeepLab)
BUILDABLE: Final = "FCN, ConvLSTMFCN, FCNVGG16 and DeepLab"


def describe(network: nn.Module) -> dict[str, Any]:
    """What it takes to build a network like this one, for JSON.

    A subclass of one of this library's networks, and any other network, cannot be built from that:
    it is named as "class". What is compared is the kind, the library's class that it derives from.

    Args:
        network: One with `num_classes`.

    Examples:
        >>> describe(FCN("resnet18", num_classes=2))
        {'network': 'FCN', 'backbone': 'resnet18', 'output_stride': 16, 'num_classes': 2}
        >>> other = nn.Conv2d(3, 2, 1)
        >>> other.num_classes = 2
        >>> describe(other)
        {'network': 'own', 'class': 'torch.nn.modules.conv.Conv2d', 'num_classes': 2}
    """
    kind = next((kind for kind in _KINDS if isinstance(network, kind)), None)
    description: dict[str, Any] = {"network": "own" if kind is None else kind.__name__}
    if type(network) is not kind:
        description["class"] = f"{type(network).__module__}.{type(network).__qualname__}"
    if isinstance(network, (FCN, ConvLSTMFCN, VGG16Network)):
        encoder = network.encoder
        description |= {"backbone": encoder.name, "output_stride": encoder.stride}
        description |= {"num_classes": network.num_classes} | describe_skips(encoder)
    else:
        description["num_classes"] = cast("Any", network).num_classes
    if isinstance(network, VGG16Network):
        description |= {
            "base_channels": network.encoder.base_channels,
            "fc_channels": network.fc_channels,
        }
    if isinstance(network, ConvLSTMFCN):
        layer = network.convlstm
        description |= {
            "kernel_size": layer.kernel_size,
            "peephole": layer.weight_ci is not None,
            "peephole_size": layer.peephole_size,
        }
    return description


def build(description: Mapping[str, Any]) -> FCN | ConvLSTMFCN | VGG16Network:
    """Build the network that `describe`, or a checkpoint, describes, with random weights.

    Raises:
        InputError: A value does not fit, or it is none of this library's own.
        KeyError: One is missing.
        TypeError: One has another type.
    """
    kind, classes = description["network"], description["num_classes"]
    if "class" in description:
        raise InputError(
            f"The network is a {description['class']}, a class of your own, and a file can build "
            f"only {BUILDABLE}."
        )
    if kind in ("FCNVGG16", "DeepLab"):
        network = FCNVGG16 if kind == "FCNVGG16" else DeepLab
        base_channels, fc_channels = description["base_channels"], description["fc_channels"]
        return network(classes, base_channels=base_channels, fc_channels=fc_channels)
    backbone, stride = description["backbone"], description["output_stride"]
    skips, width = description.get("skips", ()), description.get("skip_channels", 64)
    if kind == "FCN":
        return FCN(backbone, classes, output_stride=stride, skips=skips, skip_channels=width)
    if kind != "ConvLSTMFCN":
        raise InputError(f"This facemask {__version__} cannot build a {kind!r}: only {BUILDABLE}.")
    size = description.get("peephole_size")
    return ConvLSTMFCN(
        backbone,
        classes,
        output_stride=stride,
        kernel_size=description["kernel_size"],
        peephole=description["peephole"],
        peephole_size=None if size is None else (size[0], size[1]),
        skips=skips,
        skip_channels=width,
    )


def check_description(found: object, expected: dict[str, Any], source: str) -> None:
    """Compare the network that a checkpoint holds with the one that is being built.

    Raises:
        InputError: They differ; the message says in what.
    """
    if not isinstance(found, dict):
        raise InputError(f"{source} was not written by facemask: it does not say what it holds.")
    found = {"region": "face", **found}  # the first checkpoints, all of faces, do not say it
    keys = [key for key in expected if key != "class"]
    keys += [key for key in SKIP_KEYS if key in found]  # none without skips
    different = [key for key in keys if found.get(key) != expected.get(key)]
    if different:
        different = [key for key in different if key in found] or different
        given = ", ".join(f"{key} {found.get(key)!r}" for key in different)
        wanted = ", ".join(f"{key} {expected.get(key)!r}" for key in different)
        raise InputError(
            f"{source} holds {given}, but the model has {wanted}: give the checkpoint's own "
            "configuration or another checkpoint."
        )


def describe_use(network: nn.Module, seen: Mapping[str, Any], data: object) -> dict[str, Any]:
    """What it takes to use a network beside its weights and its description.

    Args:
        network: Images to scores.
        seen: `input_size`, [height, width], and `clips` of the batches that it was trained on;
            empty if there were none.
        data: A data module, whose `size` and `clip_length` stand in then; None if there is none.

    Returns:
        `facemask_version`, `mean` and `std` (three numbers each), and, where known, `input_size`
        and `clips`, whether the network saw clips or single frames.
    """
    use: dict[str, Any] = {"facemask_version": __version__}
    for key in ("mean", "std"):
        if hasattr(network, key):
            use[key] = normalisation(network, key).flatten().tolist()
    size = getattr(data, "size", None)
    if not seen and isinstance(size, int):
        seen = {"input_size": [size, size], "clips": getattr(data, "clip_length", None) is not None}
    return use | dict(seen)


def use_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says that it takes to use it; empty if it says nothing.

    The first checkpoints had the size in the data module's state, under its class's name.
    """
    use = checkpoint.get(USE_KEY)
    use = dict(use) if isinstance(use, Mapping) else {}
    for state in checkpoint.values():
        if isinstance(state, Mapping) and {"size", "batch_size", "processes"} <= state.keys():
            use.setdefault("input_size", [state["size"], state["size"]])
    return use


def take_normalisation(network: nn.Module, description: Mapping[str, Any]) -> None:
    """Give a network, in place, the mean and std that its weights were trained with, if they say.

    They come with the encoder, and another version of timm may have others.
    """
    for key in ("mean", "std"):
        if key in description:
            value = normalisation(network, key)
            value.copy_(torch.tensor(description[key]).view(3, 1, 1))
