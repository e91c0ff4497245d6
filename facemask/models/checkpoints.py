"""Reading checkpoints without running code from them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from facemask.errors import InputError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `torch.save` or safetensors wrote, always with `weights_only=True`.

    Args:
        path: A `.safetensors` file, or any other that `torch.save` wrote.

    Returns:
        The dictionary in the file, tensors on the CPU.

    Raises:
        InputError: The file is missing, is no checkpoint, holds Python objects beside weights
            and plain values, or something other than a dictionary.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; check the path.")
    content: object
    damaged = InputError(
        f"{path}: is no checkpoint, or a damaged one; give a file that torch.save or "
        "safetensors wrote."
    )
    try:
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with path.open("rb") as file:
            if file.read(1) not in (b"P", b"\x80"):  # neither a zip file nor a pickle
                raise damaged from error
        raise InputError(
            f"{path}: no checkpoint, or one that holds Python objects beside weights, which could "
            "run code; save the model's state_dict alone."
        ) from error
    except Exception as error:  # a file that is no checkpoint fails in any of a dozen ways
        raise damaged from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, expected a state_dict.")
    return dict(content)


def weights_below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by the rest of their names.

    Examples:
        >>> weights_below({"network.bias": torch.zeros(1), "loss.bias": torch.ones(1)}, "network.")
        {'bias': tensor([0.])}
    """
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load every tensor of a module, in place.

    Args:
        module: What to load into.
        weights: Tensors by their names in the module's state_dict; others are ignored. Batch
            counters (`num_batches_tracked`) may be missing.
        path: The file they come from, for the error message.

    Raises:
        InputError: A tensor is missing or has another shape.
    """
    wanted = module.state_dict()
    missing = [k for k in wanted if k not in weights and not k.endswith("num_batches_tracked")]
    wrong = [k for k in wanted if k in weights and weights[k].shape != wanted[k].shape]
    if missing or wrong:
        raise InputError(
            f"{path}: does not fit the {type(module).__name__}: of {len(wanted)} tensors "
            f"{len(missing)} are missing and {len(wrong)} have another shape, first "
            f"{(missing + wrong)[0]!r}; give a checkpoint of the same architecture."
        )
    module.load_state_dict({k: weights[k] for k in wanted if k in weights}, strict=False)
