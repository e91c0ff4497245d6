"""Runtimes that compute a cascade's networks: torch, ONNX Runtime or OpenVINO."""

import hashlib
import importlib.util
import json
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final, get_args

import torch

from facemask.errors import InputError
from facemask.export.cache import cache_base, cache_folder, make_export, model_id, open_networks
from facemask.export.formats import Format, check_format
from facemask.export.int8 import check_int8, made_up_faces
from facemask.extraction.choices import Backend, Precision
from facemask.extraction.load import for_inference, has_fast_bf16
from facemask.files import make_folder, write_atomic
from facemask.models.cascade.cascade import Cascade
from facemask.models.normalisation import normalise
from facemask.models.runtime_network import RuntimeEncoder, RuntimeNetwork

_PACKAGES: Final[dict[Format, str]] = {"openvino": "openvino", "onnx": "onnxruntime"}
"""Backends beside torch, and their packages."""

LEAST_EQUAL: Final = 0.995
"""Share of labels that a backend must keep to be offered."""
_FACES: Final = 12
_FRAMES: Final = 4
_ROUNDS: Final = 5

_logger: Final = logging.getLogger(__name__)


def computes_bf16(precision: Precision, device: torch.device) -> bool:
    """Tell if networks compute in bfloat16, but for what is in 8-bit integers.

    Raises:
        InputError: The precision is unknown, or this CPU has no instructions for it.
    """
    if precision not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise InputError(f"precision is {precision!r}: give one of {known}.")
    if precision == "int8":
        check_int8()
    return precision == "bf16" or (precision != "float32" and has_fast_bf16(device))


def prepare_cascade(cascade: Cascade, backend: Backend, bf16: bool, int8: bool = False) -> Cascade:
    """Return a cascade that gives the same masks, its networks computed by a backend.

    Args:
        cascade: A cascade in eval mode, on its device; it stays as it is.
        backend: The runtime. "auto" is the fastest of torch and those that an export of the cascade
            is there for already, on a CPU: an export takes a minute, and is made when its runtime
            is named.
        bf16: Whether networks compute in bfloat16 where the backend can.
        int8: Whether OpenVINO computes encoders in 8-bit integers.

    Raises:
        InputError: The backend is unknown, not installed, or cannot compute like that, or an export
            gives other labels.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend is {backend!r}: give one of {', '.join(get_args(Backend))}.")
    device = next(cascade.parameters(), torch.empty(0)).device
    if int8 and (backend not in ("auto", "openvino") or device.type != "cpu"):
        raise InputError(
            f"precision is 'int8', which is OpenVINO's, on a CPU, but backend is {backend!r} and "
            f"device {device.type}: leave out one of them."
        )
    if backend == "auto" and not int8:
        return _fastest(cascade, bf16, device)
    _logger.info("backend: %s (as was asked for)", "openvino" if int8 else backend)
    if backend == "torch":
        return for_inference(cascade, bf16)
    kind = check_format("openvino" if int8 else backend)
    if device.type != "cpu":
        raise InputError(f"backend {backend!r} computes on the CPU, not on {device}: give torch.")

    def check(folder: Path) -> None:
        # bfloat16 rounds, so that is checked, too
        equal = labels_equal(cascade, open_networks(folder, cascade, kind == "openvino"))
        _logger.info("%s: %.2f %% of labels as torch's", kind, 100 * equal)
        if equal < LEAST_EQUAL:
            what, instead = ("int8", "auto") if int8 else (f"backend {kind!r}", "torch")
            raise InputError(
                f"{what} gives {100 * equal:.2f} % of the labels that torch gives on made-up "
                f"faces, expected {100 * LEAST_EQUAL} %: give {instead}."
            )

    return open_networks(make_export(cascade, kind, check, int8), cascade, bf16)


def what_computes(cascade: Cascade, bf16: bool, int8: bool) -> tuple[str, str]:
    """Return the backend of a prepared cascade, and the numbers that it computes with.

    Args:
        cascade: As `prepare_cascade` returned it.
        bf16: As `prepare_cascade` was told.
        int8: The same.
    """
    numbers = "int8" if int8 else "bf16" if bf16 else "float32"
    for module in (cascade.primary, getattr(cascade.primary, "encoder", None)):
        if isinstance(module, (RuntimeEncoder, RuntimeNetwork)):
            return module.backend, numbers
    return "torch", numbers


def labels_equal(one: Cascade, other: Cascade) -> float:
    """Return the share of made-up faces' pixels that two cascades label alike, 0 to 1.

    Pixels count that either of them calls a part of a face.
    """
    faces = made_up_faces(0, _FACES)
    with torch.inference_mode():
        pairs = [(a[0], b[0]) for a, b in zip(one(faces).labels, other(faces).labels, strict=True)]
    inside = torch.cat([((a > 0) | (b > 0)).flatten() for a, b in pairs])
    equal = torch.cat([(a == b).flatten() for a, b in pairs])
    return float(equal[inside].float().mean()) if bool(inside.any()) else 1.0


def _fastest(cascade: Cascade, bf16: bool, device: torch.device) -> Cascade:
    """Return a cascade computed by the fastest backend that is there, and log the reason."""
    by_torch = for_inference(cascade, bf16)
    installed = [kind for kind, package in _PACKAGES.items() if importlib.util.find_spec(package)]
    there = [kind for kind in installed if cache_folder(cascade, kind).is_dir()]
    if device.type != "cpu":
        why = f"the networks are on {device}"
    elif not installed:
        why = "neither OpenVINO nor ONNX Runtime is installed"
    elif not there:
        why = f"this model was not exported yet; --backend {installed[0]} does so once"
    else:
        opened: dict[str, Callable[[], Cascade]] = {"torch": lambda: by_torch}
        for kind in there:
            folder = cache_folder(cascade, kind)
            opened[kind] = partial(open_networks, folder, cascade, bf16)
        times = _times(cascade, opened, bf16)
        best = min(times, key=lambda name: times[name])
        shown = ", ".join(f"{name} {spent:.1f}" for name, spent in times.items())
        _logger.info("backend: %s (ms a frame: %s)", best, shown)
        return opened[best]()
    _logger.info("backend: torch (%s)", why)
    return by_torch


def _times(
    cascade: Cascade, opened: Mapping[str, Callable[[], Cascade]], bf16: bool
) -> dict[str, float]:
    """Return each backend's milliseconds a frame, measured now or, on this machine, before."""
    packages = ["torch", *(_PACKAGES[kind] for kind in _PACKAGES if kind in opened)]
    about = {
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "bf16": bf16,
        "versions": {package: version(package) for package in packages},
    }
    digits = hashlib.sha256(json.dumps([model_id(cascade), about]).encode()).hexdigest()[:32]
    path = cache_base() / f"times-{digits}.json"
    try:
        known = json.loads(path.read_bytes())["ms a frame"]
        return {name: float(known[name]) for name in opened}
    except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
        times = measure({name: of_name() for name, of_name in opened.items()}, bf16)
        make_folder(path.parent)
        write_atomic(path, (json.dumps({**about, "ms a frame": times}) + "\n").encode())
        return times


def measure(cascades: Mapping[str, Cascade], bf16: bool, rounds: int = _ROUNDS) -> dict[str, float]:
    """Return the milliseconds a frame of each cascade's networks, the least of rounds in turn."""
    least = dict.fromkeys(cascades, float("inf"))
    for turn in range(rounds + 1):
        for name, cascade in cascades.items():
            size = cascade.settings.size
            clip = torch.zeros(1, _FRAMES, 3, size, size, dtype=torch.uint8)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                start = time.perf_counter()
                for network in cascade.networks().values():
                    network(normalise(clip, network))
                spent = 1000 * (time.perf_counter() - start) / _FRAMES
            if turn:  # the first call is slower
                least[name] = min(least[name], spent)
    return least


def _cpu() -> str:
    """Return the name of this machine's CPU, and its kind."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return f"{known.get('cpu_name')} {torch.backends.cpu.get_cpu_capability()}"
