"""A cascade of whatever file holds it."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import ROLES, network_of
from facemask.models.cascade.settings import CascadeSettings
from facemask.models.description import use_of
from facemask.models.own_network import FrameNetwork, takes_clips
from facemask.origin import origins_of, terms_of
from facemask.weights.catalog import find_weights, tell_licence


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
    tell_licence(path.name, terms_of(origins_of(loaded)))
    use = use_of(checkpoint)
    size = size or _size_of(use, path)
    if network is not None:  # it sees what it saw in training: clips, or single frames
        clip = torch.zeros(1, 2, 3, size, size)
        if not use.get("clips") or not takes_clips(loaded, clip):
            loaded = FrameNetwork(loaded)
    return Cascade(loaded, settings=CascadeSettings(size=size)).eval()


def load_networks(path: str | Path) -> tuple[dict[str, nn.Module], CascadeSettings]:
    """Read the networks of a saved cascade, or the one of a checkpoint of any region.

    Args:
        path: A file of `Cascade.save` (.safetensors), or a checkpoint of `facemask fit`; or, as a
            string, a name as `load_model` takes it.

    Returns:
        Networks in eval mode on the CPU, by "primary", "eyes" or "mouth", and their settings.

    Raises:
        InputError: The file is missing, is neither, or holds a network of your own.
    """
    path = find_weights(path)
    if path.suffix != ".safetensors":
        checkpoint = read_checkpoint(path)
        region = use_of(checkpoint).get("region", "face")
        for role, own_region in ROLES.items():
            if region == own_region != "face":
                size = _size_of(use_of(checkpoint), path)
                network = network_of(checkpoint, path, own_region).eval()
                return {role: network}, CascadeSettings(size=size)
    cascade = load_model(path)
    return cascade.networks(), cascade.settings


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
