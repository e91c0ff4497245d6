"""Folders of exported networks, and the JSON that says what is in them."""

import itertools
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from facemask import __version__
from facemask.boxes import FACE_CROP_SCALE
from facemask.classes import CLASS_NAMES, PALETTE
from facemask.errors import InputError
from facemask.export.check import check_graph
from facemask.export.formats import Format, check_format, open_graph, write_graph
from facemask.export.graphs import WHOLE, WINDOW, Graph, GraphName, for_export, graphs_of, names_of
from facemask.files import make_folder, remove, remove_left_over, sha256_of, temporary_name
from facemask.models.cascade.file import ROLES
from facemask.models.cascade.rules import LEAST
from facemask.models.cascade.settings import CascadeSettings, temperature_for
from facemask.models.cascade.zoom import box_rules
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.normalisation import normalisation
from facemask.models.own_network import check_network, evaluating
from facemask.regions import REGIONS

FORMAT_VERSION: Final = 1
MANIFEST: Final = "facemask.json"
"""Name of the JSON in an exported folder."""
_STEP: Final = (
    "h and c are zeros for a video's first frame, then next_h and next_c of the frame before; a "
    "specialist's are tied to its box, and begin anew where that moves."
)


def export_networks(
    networks: Mapping[str, nn.Module],
    settings: CascadeSettings,
    folder: str | Path,
    kind: Format = "onnx",
    *,
    size: int | None = None,
    graphs: Collection[GraphName] = WHOLE,
    about: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write networks in a format that other runtimes read, each file checked against torch.

    Args:
        networks: By "primary", "eyes" and "mouth", as `Cascade.networks()` returns them, or some
            of them.
        settings: The cascade's.
        folder: Where to; it must not be there yet, and is there whole or not at all.
        kind: "onnx", "openvino" or "torch" (torch.export).
        size: Side of the images that graphs take, which makes them a little faster; None leaves
            height and width open where the network does.
        graphs: Which of "clip", "window", "step" and "frames" to write of each network; a network
            without memory has "clip" and "frames" alone.
        about: More to say of them in the JSON, such as a licence.
        say: Called with a line for each graph.

    Returns:
        What the JSON holds.

    Raises:
        InputError: The folder is there, a package is missing, the size does not fit, or a written
            graph does not give what torch gives.
    """
    check_format(kind)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already: give another folder, or remove it.")
    for role, network in networks.items():
        _check_size(role, network, settings.size if size is None else size)
        if not set(graphs).intersection(names_of(network)):
            raise InputError(
                f"The {role} network has no memory, so there is no {' and no '.join(graphs)} of "
                "it: export its clip, too."
            )
    make_folder(folder.parent)
    remove_left_over(folder)
    temporary = temporary_name(folder)
    make_folder(temporary)
    total = sum(name in graphs for network in networks.values() for name in names_of(network))
    done, began = itertools.count(1), time.monotonic()

    def tell(line: str) -> None:
        say(f"{line} ({next(done)} of {total} after {time.monotonic() - began:.0f} s)")

    try:
        described = {
            role: _export(role, network, temporary, kind, settings.size, size, graphs, tell)
            for role, network in networks.items()
        }
        content = {
            "format_version": FORMAT_VERSION,
            "facemask_version": __version__,
            "torch_version": torch.__version__,
            "format": kind,
            **(about or {}),
            "images": "uint8, RGB, channels last; normalised in the graphs",
            "scores": "float32, before softmax; temperature and rules: see cascade",
            "classes": dict(enumerate(CLASS_NAMES)),
            "palette": {i: list(map(int, color)) for i, color in enumerate(PALETTE)},
            "window": WINDOW,
            "step": _STEP,
            "networks": described,
            "cascade": _rules(networks, settings),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (temporary / MANIFEST).write_text(text, encoding="utf-8")
        temporary.replace(folder)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            raise InputError(f"{folder}: cannot write there: {error.strerror}.") from error
        raise
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read the JSON of an exported folder, and check its files.

    Raises:
        InputError: There is none, another version of facemask wrote it, or a file is missing or
            changed.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = content.get("format_version")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder}: has no readable {MANIFEST}: give a folder that `facemask export` wrote."
        ) from error
    if found != FORMAT_VERSION:
        raise InputError(
            f"{folder}: is an export of format version {found!r}, and this facemask {__version__} "
            f"reads version {FORMAT_VERSION}: export the model again, or use facemask "
            f"{content.get('facemask_version')!r}."
        )
    for network in content["networks"].values():
        for graph in network["graphs"].values():
            for name, sha256 in graph["sha256"].items():
                if sha256_of(folder / name) != sha256:
                    raise InputError(
                        f"{folder / name}: is not the file that was exported (another SHA-256): "
                        "export the model again."
                    )
    return content


def _export(
    role: str,
    network: nn.Module,
    folder: Path,
    kind: Format,
    own_size: int,
    size: int | None,
    wanted: Collection[GraphName],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the graphs of one network, and return what the JSON says of it."""
    any_size = size is None and getattr(_layer(network), "peephole_size", None) is None
    side = own_size if size is None else size
    graphs = {}
    with evaluating(network):
        for graph in graphs_of(for_export(network, side), side, any_size):
            if graph.name not in wanted:
                continue
            name = f"{role}.{graph.name}"
            paths = write_graph(graph, folder, name, kind)
            run = open_graph(paths[0], kind)
            difference = check_graph(graph, run, network, side, any_size)
            megabytes = sum(path.stat().st_size for path in paths) / 1e6
            say(f"{paths[0].name}: {megabytes:.1f} MB, differs from torch by {difference:.1g}")
            graphs[graph.name] = _described(graph, paths, difference)
    return {
        "region": ROLES[role],
        "classes": REGIONS[ROLES[role]].classes,
        "class_names": REGIONS[ROLES[role]].class_names,
        "size": own_size,
        "any_size": any_size,
        "mean": normalisation(network, "mean").flatten().tolist(),
        "std": normalisation(network, "std").flatten().tolist(),
        "memory": isinstance(network, ConvLSTMFCN),
        # sides of h and c are those of the images over it, rounded up
        "state_stride": network.encoder.feature_stride
        if isinstance(network, ConvLSTMFCN)
        else None,
        "graphs": graphs,
    }


def _described(graph: Graph, paths: list[Path], difference: float) -> dict[str, Any]:
    examples = zip(graph.inputs, graph.example, strict=True)
    dtypes = {name: str(example.dtype).removeprefix("torch.") for name, example in examples}
    return {
        "file": paths[0].name,
        "sha256": {path.name: sha256_of(path) for path in paths},
        **{
            key: {
                name: {"dtype": dtypes.get(name, "float32"), "shape": list(axes)}
                for name, axes in values.items()
            }
            for key, values in (("inputs", graph.inputs), ("outputs", graph.outputs))
        },
        "largest_difference": difference,
    }


def _layer(network: nn.Module) -> nn.Module | None:
    return network.convlstm if isinstance(network, ConvLSTMFCN) else None


def _check_size(role: str, network: nn.Module, size: int) -> None:
    """Check that a network can see images of a size.

    Raises:
        InputError: It cannot; the message says what it takes.
    """
    if size < 1:
        raise InputError(f"size is {size}: give a number of pixels.")
    check_network(network)
    try:
        with evaluating(network):
            network(torch.zeros(1, 1, 3, size, size))
    except (InputError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"The {role} network cannot see images of {size} × {size} pixels ({reason}): give "
            "another --size, or none for that of its training."
        ) from error


def _rules(networks: Mapping[str, nn.Module], settings: CascadeSettings) -> dict[str, Any]:
    """Return what it takes to put the networks' scores together as a cascade does."""
    values = asdict(settings)
    if "primary" in networks:
        values["temperature"] = temperature_for(settings, networks["primary"])
    return values | {
        "face_crop": f"a square of {FACE_CROP_SCALE} × (width + height) / 2 of the 68 landmarks' "
        "bounding box, centred on it, clipped to the frame and resized to size × size",
        "face_crop_scale": FACE_CROP_SCALE,
        "least_probability": LEAST,
        "boxes": box_rules(),
        "rules": "docs/cascade.md says them, examples/onnx_cascade.py carries them out",
    }
