"""The model of an extraction, from whatever file holds it."""

from pathlib import Path

import torch

from facemask.errors import InputError
from facemask.models.cascade import Cascade
from facemask.models.cascade_file import network_of
from facemask.models.cascade_settings import CascadeSettings
from facemask.models.checkpoints import read_checkpoint
from facemask.models.convlstm_fcn import ConvLSTMFCN
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
    size = checkpoint.get("datamodule_hyper_parameters", {}).get("size", CascadeSettings().size)
    temperature = 0.1 if isinstance(network, ConvLSTMFCN) else 1.0  # bounded scores, or free ones
    return Cascade(network, settings=CascadeSettings(size=size, temperature=temperature)).eval()


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
