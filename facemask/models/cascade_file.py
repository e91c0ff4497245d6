"""Cascades as files, and networks from training's checkpoints."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor, nn

from facemask import __version__
from facemask.errors import InputError, cause_of
from facemask.files import write_atomic
from facemask.models.cascade_header import CARD_KEY, KEY, open_cascade, read_content
from facemask.models.cascade_settings import CascadeSettings
from facemask.models.checkpoints import load_weights, read_checkpoint, weights_below
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.deeplab import DeepLab
from facemask.models.fcn import FCN
from facemask.models.fcn_vgg16 import FCNVGG16
from facemask.models.skips import describe_skips
from facemask.models.vgg16 import VGG16Network
from facemask.regions import REGIONS, Region

FORMAT_VERSION: Final = 1
_REGIONS: Final[dict[str, Region]] = {"primary": "face", "eyes": "eyes", "mouth": "mouth"}
_BUILDABLE: Final = "FCN, ConvLSTMFCN, FCNVGG16 and DeepLab"
_DTYPES: Final = (None, torch.float32, torch.float16, torch.bfloat16)


def write_cascade(
    path: Path,
    networks: Mapping[str, nn.Module],
    settings: CascadeSettings,
    dtype: torch.dtype | None,
    card: str | None = None,
) -> None:
    """Write networks and settings into one safetensors file; see `Cascade.save`.

    Its metadata has JSON under the key `facemask_cascade`: `format_version`, `facemask_version`,
    `networks` (how to build each), `class_names` of each, and `settings`. Tensors are named as in
    the networks' state_dicts after `primary.`, `eyes.` or `mouth.`. A model card is beside the
    JSON, under the key `facemask_card`.
    """
    if dtype not in _DTYPES:
        raise InputError(
            f"A cascade cannot be saved as {dtype}: give torch.float16 or leave it out."
        )
    content = {
        "format_version": FORMAT_VERSION,
        "facemask_version": __version__,
        "networks": {name: describe(network) for name, network in networks.items()},
        "class_names": {name: REGIONS[_REGIONS[name]].class_names for name in networks},
        "settings": asdict(settings),
    }
    tensors = {
        f"{name}.{key}": _stored(value, dtype, f"{name}.{key}")
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    metadata = {KEY: json.dumps(content)} | ({} if card is None else {CARD_KEY: card})
    write_atomic(path, safetensors.torch.save(tensors, metadata))


def read_cascade(path: Path) -> tuple[dict[str, nn.Module], CascadeSettings]:
    """Read what `write_cascade` wrote; see `Cascade.load`."""
    tensors, content = _read(path)
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: is a cascade of format version {content.get('format_version')!r}, and this "
            f"facemask {__version__} reads version {FORMAT_VERSION}: save it again, or use "
            f"facemask {content.get('facemask_version')!r}."
        )
    try:
        settings = CascadeSettings(**content["settings"])
        described: dict[str, Any] = content["networks"]
        for name in described:
            found, expected = content["class_names"][name], REGIONS[_REGIONS[name]].class_names
            if tuple(found) != expected:
                raise InputError(
                    f"{path}: its {name} network has the classes {', '.join(map(str, found))}, "
                    f"expected {', '.join(expected)}: give a cascade of this library's classes."
                )
        networks: dict[str, nn.Module] = {
            name: build(description) for name, description in described.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: its description of networks and settings is damaged ({cause_of(error)}): "
            "save the cascade again."
        ) from error
    if "primary" not in networks:
        raise InputError(f"{path}: has no primary network: save the cascade again.")
    for name, network in networks.items():
        load_weights(network, weights_below(tensors, f"{name}."), path)
    return networks, settings


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description in a cascade's file."""
    with open_cascade(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
        metadata = file.metadata() or {}
    return tensors, read_content(metadata, path)


def _stored(value: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    stored = value.detach().cpu().contiguous()
    if dtype is None or not value.is_floating_point():
        return stored
    stored = stored.to(dtype)
    if not bool(stored.isfinite().all()) and bool(value.isfinite().all()):
        raise InputError(
            f"{name} has values too large for {str(dtype).removeprefix('torch.')}: save the "
            "cascade as torch.bfloat16, or leave dtype out."
        )
    return stored


def describe(network: nn.Module) -> dict[str, Any]:
    """What it takes to build a network like this one, for JSON.

    Raises:
        InputError: The network is none of those that `build` knows.

    Examples:
        >>> describe(FCN("resnet18", num_classes=2))
        {'network': 'FCN', 'backbone': 'resnet18', 'output_stride': 16, 'num_classes': 2}
    """
    if not isinstance(network, (FCN, ConvLSTMFCN, FCNVGG16, DeepLab)):
        raise InputError(
            f"A cascade with a {type(network).__name__} cannot be saved: only {_BUILDABLE} can be "
            "built from a file."
        )
    description = {
        "network": type(network).__name__,
        "backbone": network.encoder.name,
        "output_stride": network.encoder.stride,
        "num_classes": network.num_classes,
    } | describe_skips(network.encoder)
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
        InputError: A value does not fit.
        KeyError: One is missing.
        TypeError: One has another type.
    """
    kind, classes = description["network"], description["num_classes"]
    if kind in ("FCNVGG16", "DeepLab"):
        network = FCNVGG16 if kind == "FCNVGG16" else DeepLab
        base_channels, fc_channels = description["base_channels"], description["fc_channels"]
        return network(classes, base_channels=base_channels, fc_channels=fc_channels)
    backbone, stride = description["backbone"], description["output_stride"]
    skips, width = description.get("skips", ()), description.get("skip_channels", 64)
    if kind == "FCN":
        return FCN(backbone, classes, output_stride=stride, skips=skips, skip_channels=width)
    if kind != "ConvLSTMFCN":
        raise InputError(f"This facemask {__version__} cannot build a {kind!r}: only {_BUILDABLE}.")
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


def read_network(path: Path, region: Region) -> FCN | ConvLSTMFCN | VGG16Network:
    """Read the network of a checkpoint that one of the LightningModules wrote.

    Args:
        path: The checkpoint; read without running code from it.
        region: What it must have been trained on.

    Raises:
        InputError: The file is missing or damaged, was not written by facemask, or holds a model
            of another region or class set.
    """
    return network_of(read_checkpoint(path), path, region)


def network_of(
    checkpoint: Mapping[str, Any], path: Path, region: Region
) -> FCN | ConvLSTMFCN | VGG16Network:
    """The network of a checkpoint that has been read; see `read_network`.

    Args:
        checkpoint: What `read_checkpoint` returned.
        path: The file it comes from, for the error message.
        region: What it must have been trained on.
    """
    description = checkpoint.get("facemask")
    weights = checkpoint.get("state_dict")
    if not isinstance(description, dict) or not isinstance(weights, Mapping):
        raise InputError(
            f"{path}: was not written by facemask: it does not say what it holds; give a "
            "checkpoint of `facemask fit`."
        )
    found = description.get("region", "face")
    if found != region:
        raise InputError(
            f"{path}: holds a model of the region {found!r}, expected {region!r}: give the "
            f"checkpoint of a run with data.region={region}."
        )
    names = REGIONS[region].class_names
    if description.get("num_classes") != len(names):
        raise InputError(
            f"{path}: holds a model of {description.get('num_classes')} classes, expected "
            f"{len(names)} ({', '.join(names)}): give a checkpoint of the region {region!r}."
        )
    try:
        network = build(description)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path}: its description of the network is damaged or of another version of facemask "
            f"({cause_of(error)})."
        ) from error
    load_weights(network, weights_below(weights, "network."), path)
    return network
