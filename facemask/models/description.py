"""Descriptions of networks in files, and networks built from them."""

from collections.abc import Mapping
from typing import Any, Final, cast

from torch import nn

from facemask import __version__
from facemask.errors import InputError
from facemask.models.baselines.deeplab import DeepLab
from facemask.models.baselines.vgg16 import FCNVGG16
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import FCN, EncoderNetwork
from facemask.models.normalisation import describe_normalisation

USE_KEY: Final = "facemask"
"""Key under which a checkpoint says what it takes to use it."""
_KINDS: Final[dict[str, type[EncoderNetwork]]] = {
    kind.__name__: kind for kind in (FCN, ConvLSTMFCN, FCNVGG16, DeepLab)
}
_OPTIONAL: Final = ("skips", "skip_channels", "peephole_size")  # which not all files have
_FIRST_CELL: Final = {"cell_activation": "tanh", "gate_activation": "sigmoid"}
"""Cell of the ConvLSTM-FCNs in files that do not name it: all had this one."""
BUILDABLE: Final = "FCN, ConvLSTMFCN, FCNVGG16 and DeepLab"


def describe(network: nn.Module) -> dict[str, Any]:
    """Describe what it takes to build a network like this one, for JSON.

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
    own = type(network)
    kind = next((kind for kind in _KINDS.values() if isinstance(network, kind)), None)
    description: dict[str, Any] = {"network": "own" if kind is None else kind.__name__}
    if own is not kind:
        description["class"] = f"{own.__module__}.{own.__qualname__}"
    if isinstance(network, EncoderNetwork):
        return description | network.description()
    return description | {"num_classes": cast("Any", network).num_classes}


def build(description: Mapping[str, Any]) -> EncoderNetwork:
    """Build the network that `describe`, or a checkpoint, describes, for weights to be loaded.

    Raises:
        InputError: A value does not fit, or it is none of this library's own.
        KeyError: One is missing.
        TypeError: One has another type.
    """
    name = description["network"]
    if "class" in description:
        raise InputError(
            f"The network is a {description['class']}, a class of your own, and a file can build "
            f"only {BUILDABLE}."
        )
    if name not in _KINDS:
        raise InputError(f"This facemask {__version__} cannot build a {name!r}: only {BUILDABLE}.")
    kind = _KINDS[name]
    description = with_cell(description)
    arguments: dict[str, Any] = {"pretrained": None}
    arguments |= {key: description[key] for key in kind.described}
    arguments |= {key: description[key] for key in _OPTIONAL if key in description}
    return kind(**arguments)


def with_cell(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description that names a ConvLSTM-FCN's cell: tanh and sigmoid where it does not."""
    is_convlstm = description.get("network") == ConvLSTMFCN.__name__
    return {**(_FIRST_CELL if is_convlstm else {}), **description}


def check_description(found: object, expected: dict[str, Any], source: str) -> None:
    """Compare the network that a checkpoint holds with the one that is being built.

    Raises:
        InputError: They differ; the message says in what.
    """
    if not isinstance(found, dict):
        raise InputError(f"{source} was not written by facemask: it does not say what it holds.")
    # the first checkpoints, all of faces, do not say it
    found = {"region": "face", **with_cell(found)}
    keys = [key for key in expected if key != "class"]
    keys += [key for key in ("skips", "skip_channels") if key in found]  # none without skips
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
    """Describe what it takes to use a network beside its weights and its architecture.

    Args:
        network: Images to scores.
        seen: `input_size`, [height, width], and `clips` of the batches that it was trained on;
            empty if there were none.
        data: A data module, whose `size` and `clip_length` stand in then; None if there is none.

    Returns:
        `facemask_version`, `mean` and `std` (three numbers each), and, where known, `input_size`
        and `clips`, whether the network saw clips or single frames.
    """
    use = {"facemask_version": __version__} | describe_normalisation(network)
    size = getattr(data, "size", None)
    if not seen and isinstance(size, int):
        seen = {"input_size": [size, size], "clips": getattr(data, "clip_length", None) is not None}
    return use | dict(seen)


def use_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint says that it takes to use it; empty if it says nothing.

    The first checkpoints had the size in the data module's state, under its class's name.
    """
    use = checkpoint.get(USE_KEY)
    use = dict(use) if isinstance(use, Mapping) else {}
    for state in checkpoint.values():
        if isinstance(state, Mapping) and {"size", "batch_size", "processes"} <= state.keys():
            use.setdefault("input_size", [state["size"], state["size"]])
    return use


def take_cell(network: nn.Module, description: Mapping[str, Any]) -> None:
    """Give a ConvLSTM-FCN, in place, the activations that its file names; no weight tells them.

    Args:
        network: Any network; others than ConvLSTM-FCNs stay as they are.
        description: What a file says of it.
    """
    if isinstance(network, ConvLSTMFCN):
        described = {**_FIRST_CELL, **description}
        network.convlstm.activation = described["cell_activation"]
        network.convlstm.gate_activation = described["gate_activation"]
