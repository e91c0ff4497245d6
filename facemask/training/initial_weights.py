"""Weights that a training starts from: a checkpoint's, or those of a cascade's network."""

from pathlib import Path
from typing import Any

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError
from facemask.files import sha256_of
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import ROLES
from facemask.models.description import USE_KEY, describe
from facemask.origin import Origin, describe_origins, origins_of, read_origins
from facemask.regions import Region
from facemask.weights.catalog import find_weights, shipped


def read_initial_weights(source: str, region: Region) -> dict[str, Any]:
    """Read a checkpoint, or a cascade's network of one region as if it were one.

    Args:
        source: A checkpoint; or weights that come with facemask (default, open), a file of
            `Cascade.save` (.safetensors), or a Hugging Face repository id.
        region: The region that is to be trained.

    Returns:
        What a checkpoint holds: a description of the network (`USE_KEY`), with the descent of what
        is trained from it, and its "state_dict".

    Raises:
        InputError: There is no such thing, or it cannot be read.
    """
    path = Path(source)
    if not path.is_file() and path.suffix != ".ckpt":
        path = find_weights(source)
    if path.suffix != ".safetensors":
        checkpoint = read_checkpoint(path)
        if isinstance(use := checkpoint.get(USE_KEY), dict):
            checkpoint[USE_KEY] = use | _descent(path, read_origins(use))
        return checkpoint
    cascade = Cascade.load(path)
    networks, origins = cascade.networks(), origins_of(cascade)
    by_region = {ROLES[role]: network for role, network in networks.items()}
    network = by_region.get(region)
    if network is None:
        have = ", ".join(by_region)
        raise InputError(f"{source}: has no network of {region}, only of {have}: train that anew.")
    weights = {f"network.{name}": value for name, value in network.state_dict().items()}
    descent = describe_origins(origins) if source in shipped() else _descent(path, origins)
    return {USE_KEY: describe(network) | {"region": region} | descent, "state_dict": weights}


def _descent(path: Path, origins: tuple[Origin, ...]) -> dict[str, Any]:
    """Return the descent of what is trained from a file: the file, and what it comes from."""
    name = "/".join(path.parts[-2:])  # a whole path would tell where the user's files lie
    return describe_origins([Origin(name, sha256_of(path)), *origins])
