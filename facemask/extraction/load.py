"""Networks as extraction runs them, and the devices that they run on."""

import copy
import os
from pathlib import Path

import torch
from torch import nn

from facemask.errors import InputError, cause_of
from facemask.models.cascade.cascade import Cascade
from facemask.models.folding import fold_batchnorm, fold_padding, quicken


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


def for_inference(cascade: Cascade, bf16: bool = False) -> Cascade:
    """Return a cascade that gives the same masks faster: convolutions do BatchNorm and padding too.

    Args:
        cascade: A cascade in eval mode, on its device; it stays as it is.
        bf16: Whether it is called under autocast to bfloat16; it must be then.
    """
    parameter = next(cascade.parameters(), None)
    if parameter is None:
        return cascade
    size = cascade.settings.size
    frame = torch.zeros(1, 1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    networks = {}
    for name, network in cascade.networks().items():
        folded = fold_batchnorm(network, frame)
        folded = copy.deepcopy(network) if folded is network else folded
        networks[name] = fold_padding(quicken(folded, bf16))
    return Cascade(**networks, settings=cascade.settings).eval()


def has_fast_bf16(device: torch.device) -> bool:
    """Tell if networks are faster in bfloat16 on a device.

    CPUs without instructions for it emulate it. Of those with AVX-512's alone, AMD's multiply twice
    as many numbers at once as in float32; Intel's as many, and a cast costs more than is gained.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    known = torch.cpu.get_capabilities()
    by_intel = str(known.get("cpu_name", "")).startswith("Intel")
    return bool(known.get("amx_bf16") or (known.get("avx512_bf16") and not by_intel))


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


def own_device(device: str, worker: int = 0) -> str:
    """Return the device, which for "auto" is this process's own GPU where there are several.

    Args:
        device: Its name.
        worker: Number of this process among those of one command; under torchrun, which counts
            processes, too, those of one command share a GPU.
    """
    gpus = torch.cuda.device_count()
    if device == "auto" and gpus > 1:
        return f"cuda:{int(os.environ.get('LOCAL_RANK', worker)) % gpus}"
    return device
