"""Weights that a training starts from: a checkpoint's, or those of a cascade's network."""

from pathlib import Path
from typing import Any

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError
from facemask.models.cascade.file import ROLES, read_cascade
from facemask.models.description import USE_KEY, describe
from facemask.regions import Region
from facemask.weights.catalog import find_weights


def read_initial_weights(source: str, region: Region) -> dict[str, Any]:
    """Read a checkpoint, or a cascade's network of one region as if it were one.

    Args:
        source: A checkpoint; or weights that come with facemask (default, open), a file of
            `Cascade.save` (.safetensors), or a Hugging Face repository id.
        region: The region that is to be trained.

    Returns:
        What a checkpoint holds: a description of the network (`USE_KEY`) and its "state_dict".

    Raises:
        InputError: There is no such thing, or it cannot be read.
    """
    path = Path(source)
    if not path.is_file() and path.suffix != ".ckpt":
        path = find_weights(source)
    if path.suffix != ".safetensors":
        return read_checkpoint(path)
    networks, _ = read_cascade(path)
    by_region = {ROLES[role]: network for role, network in networks.items()}
    network = by_region.get(region)
    if network is None:
        have = ", ".join(by_region)
        raise InputError(f"{source}: has no network of {region}, only of {have}: train that anew.")
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    return {USE_KEY: describe(network) | {"region": region}, "state_dict": weights}
