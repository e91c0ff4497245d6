"""The model of an extraction, from whatever file holds it."""

from pathlib import Path

import torch

from facemask.errors import InputError
from facemask.models.cascade import Cascade
from facemask.models.cascade_settings import CascadeSettings
from facemask.models.checkpoints import read_checkpoint
from facemask.models.convlstm_fcn import ConvLSTMFCN


def load_model(path: str | Path) -> Cascade:
    """Read a saved cascade, or a checkpoint of whole faces as a cascade of one network.

    Args:
        path: What `Cascade.save` wrote (.safetensors), or a checkpoint of `facemask fit`, whose
            input size is kept.

    Returns:
        A cascade in eval mode on the CPU.

    Raises:
        InputError: The file is missing, is neither, or holds a model of eyes or mouth alone.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return Cascade.load(path)
    checkpoint = read_checkpoint(path)
    found = checkpoint.get("facemask")
    if isinstance(found, dict) and found.get("region", "face") != "face":
        raise InputError(
            f"{path}: holds a model of the region {found['region']!r}, which needs to be shown "
            "where that is: give the checkpoint of a model of whole faces, or a saved cascade."
        )
    cascade = Cascade.from_checkpoints(path)
    size = checkpoint.get("datamodule_hyper_parameters", {}).get("size", CascadeSettings().size)
    bounded = isinstance(cascade.primary, ConvLSTMFCN)
    settings = CascadeSettings(size=size, temperature=0.1 if bounded else 1.0)
    return Cascade(cascade.primary, settings=settings).eval()


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
