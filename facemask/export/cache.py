"""Exports that are made once for a model and kept, for `facemask extract --backend`."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from facemask import __version__
from facemask.errors import Notice
from facemask.export.folder import FORMAT_VERSION, export_networks, read_manifest
from facemask.export.formats import Format, open_graph
from facemask.export.graphs import GraphName
from facemask.files import remove, temporary_name
from facemask.models.cascade.cascade import Cascade
from facemask.models.runtime_network import RuntimeNetwork

_VARIABLE: Final = "FACEMASK_CACHE"
"""Variable of another folder for them."""


def cache_folder(cascade: Cascade, kind: Format, graph: GraphName) -> Path:
    """Return where a cascade's export is kept, or would be.

    It lies in FACEMASK_CACHE, else in `facemask` in XDG_CACHE_HOME or ~/.cache, under a name of
    weights, sizes and versions.
    """
    total = hashlib.sha256(
        json.dumps([FORMAT_VERSION, __version__, cascade.settings.size, kind, graph]).encode()
    )
    for role, network in cascade.networks().items():
        for name, value in network.state_dict().items():
            total.update(f"{role}.{name} {value.dtype} {tuple(value.shape)}".encode())
            total.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        total.update(repr(network).encode())  # activations, dilations: what no weight tells
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get(_VARIABLE) or users / "facemask")
    return base / f"{kind}-{graph}-{total.hexdigest()[:32]}"


def make_export(
    cascade: Cascade, kind: Format, graph: GraphName, check: Callable[[Path], None]
) -> Path:
    """Return the folder of a cascade's export, made now if it is not there.

    Args:
        cascade: On the CPU.
        kind: The format.
        graph: The graph of networks with a memory.
        check: Called with the folder of a new export before that has its name; may refuse it.

    Raises:
        InputError: As `export_networks`, or what `check` raises.
    """
    folder = cache_folder(cascade, kind, graph)
    if not folder.is_dir():
        warnings.warn(
            f"The networks are exported for {kind}, once for this model, to {folder}: a minute.",
            Notice,
            stacklevel=2,
        )
        settings, new = cascade.settings, temporary_name(folder)
        export_networks(cascade.networks(), settings, new, kind, size=settings.size, graphs=[graph])
        try:
            check(new)
            new.replace(folder)
        except BaseException:
            remove(new)
            raise
    return folder


def open_networks(folder: Path, threads: int, bf16: bool) -> dict[str, RuntimeNetwork]:
    """Open the networks of an export that has one graph of each.

    Args:
        folder: As `make_export` returns it.
        threads: Number of threads that each network computes with.
        bf16: Whether OpenVINO computes in bfloat16.

    Raises:
        InputError: The folder was changed, or a package is missing.
    """
    content = read_manifest(folder)
    networks = {}
    for role, described in content["networks"].items():
        (graph,) = described["graphs"].values()
        run = open_graph(folder / graph["file"], content["format"], threads, bf16)
        state = graph["inputs"].get("h")
        size = None if state is None else (state["shape"][2], state["shape"][3])
        networks[role] = RuntimeNetwork(run, len(described["classes"]), size, content["format"])
    return networks
