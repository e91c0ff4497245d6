"""Runtimes that compute a cascade's networks: torch, ONNX Runtime or OpenVINO."""

import importlib.util
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

import torch

from facemask.boxes import face_crop_box
from facemask.errors import InputError
from facemask.export.cache import cache_folder, make_export, open_networks
from facemask.export.formats import Format, check_format
from facemask.export.graphs import GraphName
from facemask.extraction.choices import Backend, Temporal
from facemask.extraction.load import for_inference
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.settings import temperature_for
from facemask.models.runtime_network import RuntimeNetwork

_PACKAGES: Final[dict[Format, str]] = {"openvino": "openvino", "onnx": "onnxruntime"}
"""Backends beside torch, the fastest first, and their packages."""
_GRAPHS: Final[dict[Temporal, GraphName]] = {"clip": "clip", "stream": "step"}
"""Graph of each way to use time; of the others that of windows, which are single frames where a
clip has one."""

LEAST_EQUAL: Final = 0.995
"""Share of labels that a backend must keep to be offered."""
_FACES: Final = 6

_logger: Final = logging.getLogger(__name__)


def prepare_cascade(
    cascade: Cascade,
    backend: Backend,
    temporal: Temporal,
    bf16: bool,
) -> Cascade:
    """Return a cascade that gives the same masks, its networks computed by a backend.

    Args:
        cascade: A cascade in eval mode, on its device; it stays as it is.
        backend: The runtime. "auto" is OpenVINO or ONNX Runtime where an export of the cascade is
            there already, on a CPU, and else torch: an export takes a minute, and is made when one
            of them is named.
        temporal: The way to use time.
        bf16: Whether networks compute in bfloat16 where the backend can.

    Raises:
        InputError: The backend is unknown or not installed, the cascade is on a GPU, or an export
            gives other labels.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend is {backend!r}: give one of {', '.join(get_args(Backend))}.")
    graph = _GRAPHS.get(temporal, "window")
    device = next(cascade.parameters(), torch.empty(0)).device
    kind: Format | None = None
    if backend == "auto":
        kind, why = _choose(cascade, graph, device)
    elif backend == "torch":
        why = "as was asked for"
    else:
        kind, why = check_format(backend), "as was asked for"
        if device.type != "cpu":
            raise InputError(
                f"backend {backend!r} computes on the CPU, not on {device}: give torch."
            )
    _logger.info("backend: %s (%s)", kind or "torch", why)
    if kind is None:
        return for_inference(cascade, bf16)
    exported = kind

    def check(folder: Path) -> None:
        equal = labels_equal(cascade, _opened(folder, cascade, exported == "openvino"))
        _logger.info("%s: %.2f %% of labels as torch's", exported, 100 * equal)
        if equal < LEAST_EQUAL:
            raise InputError(
                f"backend {exported!r} gives {100 * equal:.2f} % of the labels that torch gives on "
                f"made-up faces, expected {100 * LEAST_EQUAL} %: give torch."
            )

    return _opened(make_export(cascade, kind, graph, check), cascade, bf16)


def _opened(folder: Path, cascade: Cascade, bf16: bool) -> Cascade:
    """Return a cascade of exported networks."""
    networks = open_networks(folder, torch.get_num_threads(), bf16)
    # what follows from the network's kind, which is not seen any more
    temperature = temperature_for(cascade.settings, cascade.primary)
    settings = replace(cascade.settings, temperature=temperature)
    return Cascade(**networks, settings=settings).eval()


def what_computes(cascade: Cascade, bf16: bool) -> tuple[str, str]:
    """Return the backend of a prepared cascade, and the numbers that it computes with.

    Args:
        cascade: As `prepare_cascade` returned it.
        bf16: As `prepare_cascade` was told; ONNX Runtime does not heed it.
    """
    network = cascade.primary
    backend = network.backend if isinstance(network, RuntimeNetwork) else "torch"
    return backend, "bf16" if bf16 and backend != "onnx" else "float32"


def labels_equal(one: Cascade, other: Cascade) -> float:
    """Return the share of made-up faces' pixels that two cascades label alike, 0 to 1.

    Pixels count that either of them calls a part of a face.
    """
    from facemask.data.synthetic.render import render_video  # only where an export is made

    faces = []
    for index in range(_FACES):
        image, points = next(iter(render_video(0, index, frames=1)))
        crop = face_crop_box(points, *image.shape[:2])
        faces.append([torch.from_numpy(image[crop.pixels]).permute(2, 0, 1)])
    with torch.inference_mode():
        pairs = [(a[0], b[0]) for a, b in zip(one(faces).labels, other(faces).labels, strict=True)]
    inside = torch.cat([((a > 0) | (b > 0)).flatten() for a, b in pairs])
    equal = torch.cat([(a == b).flatten() for a, b in pairs])
    return float(equal[inside].float().mean()) if bool(inside.any()) else 1.0


def _choose(cascade: Cascade, graph: GraphName, device: torch.device) -> tuple[Format | None, str]:
    """Return the fastest backend that is there, None for torch, and the reason."""
    if device.type != "cpu":
        return None, f"the networks are on {device}"
    installed = [k for k, package in _PACKAGES.items() if importlib.util.find_spec(package)]
    if not installed:
        return None, "neither OpenVINO nor ONNX Runtime is installed"
    for kind in installed:
        if cache_folder(cascade, kind, graph).is_dir():
            return kind, "the fastest one that this model was exported for"
    return None, f"this model was not exported yet; --backend {installed[0]} does so once"
