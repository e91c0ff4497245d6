"""Models of extractions, from whatever file holds them, and the devices that they run on."""

import copy
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError, cause_of
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import network_of
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.description import use_of
from facemask.models.folding import fold_batchnorm, fold_padding
from facemask.models.own_network import FrameNetwork, takes_clips
from facemask.weights.catalog import find_weights


def load_model(
    path: str | Path, size: int | None = None, network: nn.Module | None = None
) -> Cascade:
    """Read a saved cascade, or a checkpoint of whole faces as a cascade of one network.

    Args:
        path: A file of `Cascade.save` (.safetensors), or a checkpoint of `facemask fit`, whose
            input size is kept; or, as a string, the name of shipped weights ("default") or a
            Hugging Face repository id (`facemask.weights.find_weights`).
        size: Side of the pictures that the network of a checkpoint sees; None is that of training.
        network: For a checkpoint of a network of your own, which a file cannot build: one like it,
            into which the weights are loaded.

    Returns:
        A cascade in eval mode on the CPU.

    Raises:
        InputError: The file is missing, is neither, holds a model of eyes or mouth alone, or a
            network of your own that was not given or does not fit.
    """
    path = find_weights(path)
    if path.suffix == ".safetensors":
        if size is not None or network is not None:
            raise InputError(f"{path}: a saved cascade has its size and networks: give it alone.")
        return Cascade.load(path)
    checkpoint = read_checkpoint(path)
    loaded = network_of(checkpoint, path, "face", network)
    use = use_of(checkpoint)
    size = size or _size_of(use, path)
    if network is not None:  # it sees what it saw in training: clips, or single frames
        clip = torch.zeros(1, 2, 3, size, size)
        if not use.get("clips") or not takes_clips(loaded, clip):
            loaded = FrameNetwork(loaded)
    return Cascade(loaded, settings=CascadeSettings(size=size)).eval()


def _size_of(use: Mapping[str, Any], path: Path) -> int:
    """Return the side of the pictures that a network was trained on; warn where it is a choice."""
    if "input_size" not in use:
        size = CascadeSettings().size
        warnings.warn(
            f"{path}: does not say what size of pictures its network was trained on: {size} pixels "
            "are taken; load_model(path, size=...) takes another.",
            stacklevel=3,
        )
        return size
    height, width = use["input_size"]
    if height != width:
        warnings.warn(
            f"{path}: its network was trained on pictures of {height} × {width} pixels; faces are "
            f"square, so {max(height, width)} × {max(height, width)} are taken.",
            stacklevel=3,
        )
    return int(max(height, width))


def network_from_config(path: Path) -> nn.Module:
    """Return the network of a training, with random weights, from the YAML of its run.

    Args:
        path: A file given to `facemask fit`, or the config.yaml that it wrote. Its classes are
            imported and called.

    Raises:
        InputError: The file cannot be read, or has no such model.
    """
    import yaml  # a cascade needs none of these

    from facemask.configuration import read_configuration
    from facemask.parser_errors import SentenceParser
    from facemask.training.mask_module import MaskModule

    parser = SentenceParser()
    parser.add_subclass_arguments(MaskModule, "model")
    try:
        section = read_configuration(path)["model"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot read a `model` from it ({cause_of(error)}); give the YAML of the "
            "network's training."
        ) from error
    module: MaskModule = parser.instantiate_classes(parser.parse_object({"model": section})).model
    return module.network


def for_inference(cascade: Cascade) -> Cascade:
    """Return a cascade that gives the same masks faster: convolutions do BatchNorm and padding too.

    Args:
        cascade: A cascade in eval mode, on its device; it stays as it is.
    """
    parameter = next(cascade.parameters(), None)
    if parameter is None:
        return cascade
    size = cascade.settings.size
    frame = torch.zeros(1, 1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    networks = {}
    for name, network in cascade.networks().items():
        folded = fold_batchnorm(network, frame)
        networks[name] = fold_padding(copy.deepcopy(network) if folded is network else folded)
    return Cascade(**networks, settings=cascade.settings).eval()


def has_fast_bf16(device: torch.device) -> bool:
    """Tell if a device computes in bfloat16 by itself; CPUs that emulate it are slower with it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_device(device: str) -> torch.device:
    """Return a device by its name; "auto" takes a GPU if there is one.

    Raises:
        InputError: torch does not know it or cannot use it here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"device {device!r} cannot be used here ({reason}): give cpu, cuda or auto."
        ) from error
    return chosen


def own_device(device: str) -> str:
    """Return the device, which under torchrun is this process's own GPU for "auto"."""
    gpus = torch.cuda.device_count()
    if device == "auto" and gpus > 1 and "LOCAL_RANK" in os.environ:
        return f"cuda:{int(os.environ['LOCAL_RANK']) % gpus}"
    return device
