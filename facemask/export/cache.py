"""Exports that are made once for a model and kept, for `facemask extract --backend`."""

import copy
import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import nn

from facemask import __version__
from facemask.errors import Notice
from facemask.export.folder import FORMAT_VERSION, export_networks, read_manifest
from facemask.export.formats import Format, needed, open_graph
from facemask.export.int8 import quantise
from facemask.files import remove, temporary_name
from facemask.models.cascade.cascade import Cascade
from facemask.models.fcn import EncoderNetwork
from facemask.models.runtime_network import RuntimeEncoder, RuntimeNetwork

_VARIABLE: Final = "FACEMASK_CACHE"
"""Variable of another folder for them."""


def model_id(cascade: Cascade) -> str:
    """Return 32 hexadecimal digits of weights, size and version."""
    total = hashlib.sha256(
        json.dumps([FORMAT_VERSION, __version__, cascade.settings.size]).encode()
    )
    for role, network in cascade.networks().items():
        for name, value in network.state_dict().items():
            total.update(f"{role}.{name} {value.dtype} {tuple(value.shape)}".encode())
            total.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        total.update(repr(network).encode())  # activations, dilations: what no weight tells
    return total.hexdigest()[:32]


def cache_base() -> Path:
    """Return the folder of all exports: FACEMASK_CACHE, or `facemask` in the user's cache."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(_VARIABLE) or users / "facemask")


def cache_folder(cascade: Cascade, kind: Format, int8: bool = False) -> Path:
    """Return where a cascade's export is kept, or would be."""
    return cache_base() / f"{kind}-{'int8-' * int8}{model_id(cascade)}"


def make_export(
    cascade: Cascade, kind: Format, check: Callable[[Path], None], int8: bool = False
) -> Path:
    """Return the folder of a cascade's export, made now if it is not there.

    Args:
        cascade: On the CPU.
        kind: The format.
        check: Called with the folder of a new export before that has its name; may refuse it.
        int8: Whether the export is quantised; OpenVINO's can be.

    Raises:
        InputError: As `export_networks`, or what `check` raises.
    """
    folder = cache_folder(cascade, kind, int8)
    if not folder.is_dir():
        if int8:
            needed("nncf", "int8")  # rather than after a minute
        warnings.warn(
            f"The networks are exported for {kind}, once for this model, to {folder}: a minute.",
            Notice,
            stacklevel=2,
        )
        settings, new = cascade.settings, temporary_name(folder)
        networks = cascade.networks()
        export_networks(networks, settings, new, kind, size=settings.size, graphs=["frames"])
        try:
            if int8:
                quantise(cascade, new)
            check(new)
            new.replace(folder)
        except BaseException:
            remove(new)
            raise
    return folder


def open_networks(folder: Path, cascade: Cascade, bf16: bool) -> Cascade:
    """Return a cascade whose encoders, and networks of a user's own, are those of an export.

    Args:
        folder: As `make_export` returns it.
        cascade: What was exported; it stays as it is.
        bf16: Whether OpenVINO computes in bfloat16.

    Raises:
        InputError: The folder was changed, or a package is missing.
    """
    content, threads = read_manifest(folder), torch.get_num_threads()
    kind: Format = content["format"]
    networks: dict[str, nn.Module] = {}
    for role, network in cascade.networks().items():
        (graph,) = content["networks"][role]["graphs"].values()
        run = open_graph(folder / graph["file"], kind, True, threads, bf16)
        if isinstance(network, EncoderNetwork):
            kept = {id(network.encoder): RuntimeEncoder(network.encoder, run, threads, kind)}
            networks[role] = copy.deepcopy(network, kept)  # the rest is small
        else:
            networks[role] = RuntimeNetwork(network, run, threads, kind)
    return Cascade(**networks, settings=cascade.settings).eval()
