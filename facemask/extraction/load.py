"""The model of an extraction, from whatever file holds it."""

import copy
from pathlib import Path

import torch

from facemask.errors import InputError
from facemask.models.cascade import Cascade
from facemask.models.cascade_file import network_of
from facemask.models.cascade_settings import CascadeSettings
from facemask.models.checkpoints import read_checkpoint
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.folding import fold_batchnorm, fold_padding
from facemask.weights.find import find_weights


def load_model(path: str | Path) -> Cascade:
    """Read a saved cascade, or a checkpoint of whole faces as a cascade of one network.

    Args:
        path: What `Cascade.save` wrote (.safetensors), or a checkpoint of `facemask fit`, whose
            input size is kept; or, as a string, the name of shipped weights ("default") or a
            Hugging Face repository id (`facemask.weights.find_weights`).

    Returns:
        A cascade in eval mode on the CPU.

    Raises:
        InputError: The file is missing, is neither, or holds a model of eyes or mouth alone.
    """
    path = find_weights(path)
    if path.suffix == ".safetensors":
        return Cascade.load(path)
    checkpoint = read_checkpoint(path)
    network = network_of(checkpoint, path, "face")
    size = checkpoint.get("FaceMaskDataModule", {}).get("size", CascadeSettings().size)
    temperature = 0.1 if isinstance(network, ConvLSTMFCN) else 1.0  # bounded scores, or free ones
    return Cascade(network, settings=CascadeSettings(size=size, temperature=temperature)).eval()


def for_inference(cascade: Cascade) -> Cascade:
    """A cascade that gives the same masks faster: convolutions do BatchNorm and padding too.

    Args:
        cascade: In eval mode, on its device; it stays as it is.
    """
    parameter = next(cascade.parameters(), None)
    if parameter is None:
        return cascade
    size = cascade.settings.size
    frame = torch.zeros(1, 1, 3, size, size, device=parameter.device, dtype=parameter.dtype)
    networks = {
        name: fold_padding(copy.deepcopy(fold_batchnorm(network, frame)))
        for name, network in cascade.networks().items()
    }
    return Cascade(**networks, settings=cascade.settings).eval()


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself; CPUs that emulate it are slower with it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_device(device: str) -> torch.device:
    """A device by its name; "auto" takes a GPU if there is one.

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
