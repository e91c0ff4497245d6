"""Reading checkpoints without running code from them."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor, nn

from facemask.errors import InputError, cause_of, system_cause

_OPTIONAL: Final = ("num_batches_tracked", "offsets")
"""Last parts of names of tensors that older files lack."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read what `torch.save` or safetensors wrote, always with `weights_only=True`.

    Args:
        path: A `.safetensors` file, or any other that `torch.save` wrote.

    Returns:
        The dictionary in the file, tensors on the CPU.

    Raises:
        InputError: The file is missing or cannot be read, is no checkpoint, holds Python objects
            beside weights and plain values, or something other than a dictionary.
    """
    path = Path(path)
    content: object
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such checkpoint; check the path.")
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # a file that is no checkpoint fails in any of a dozen ways
        expected = "give a file that torch.save or safetensors wrote"
        raise unreadable(path, error, "is no checkpoint, or a damaged one", expected) from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, expected a state_dict.")
    return dict(content)


def unreadable(path: Path, error: Exception, damaged: str, expected: str) -> InputError:
    """Return an error that says why a file could not be read.

    Args:
        path: The file.
        error: Error that reading it raised.
        damaged: What is wrong with it if the system could read its content.
        expected: What to do instead.
    """
    reason = system_cause(error)
    if reason is None:
        try:  # torch and safetensors raise errors of their own where the system fails
            with path.open("rb") as file:
                start = file.read(1)
                while file.read(2**20):
                    pass
        except OSError as refused:
            reason = cause_of(refused)
    if reason is not None:
        return InputError(f"{path}: cannot read it: {reason}.")
    if isinstance(error, pickle.UnpicklingError) and start in (b"P", b"\x80"):  # zip, or pickle
        return InputError(
            f"{path}: no checkpoint, or one that holds Python objects beside weights, which could "
            "run code; save the model's state_dict alone."
        )
    # a reader that stumbles over bytes of something else says nothing about the file, and torch's
    # words about other bytes than a pickle's advise to run code from it
    says_nothing = (LookupError, TypeError, AttributeError, AssertionError, pickle.UnpicklingError)
    stumbled = isinstance(error, says_nothing)
    why = "" if stumbled else f" ({cause_of(error)})"
    return InputError(f"{path}: {damaged}{why}; {expected}.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a local file with weights of a timm or torchvision model.

    Args:
        path: A `.safetensors` file or one that `torch.save` wrote (read with `weights_only=True`,
            so that it cannot run code), the state_dict bare or under the key "state_dict".

    Returns:
        Tensors by name, without the prefixes of DDP and `torch.compile`.

    Raises:
        InputError: The file is missing, or holds no weights or more than weights.
    """
    content = read_checkpoint(path)
    if isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    for prefix in ("_orig_mod.", "module.", "_orig_mod."):  # in either order
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def weights_below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by the rest of their names.

    Examples:
        >>> weights_below({"network.bias": torch.zeros(1), "loss.bias": torch.ones(1)}, "network.")
        {'bias': tensor([0.])}
    """
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load every tensor of a module, in place.

    Args:
        module: Module to load into.
        weights: Tensors by their names in the module's state_dict; others are ignored. Batch
            counters (`num_batches_tracked`) and a network's `offsets` may be missing.
        path: The file they come from, for the error message.

    Raises:
        InputError: A tensor is missing or has another shape.
    """
    check_weights(module, weights, str(path))
    wanted = module.state_dict()
    module.load_state_dict({k: weights[k] for k in wanted if k in weights}, strict=False)


def check_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Check that every tensor of a module is among others, in its shape; see `load_weights`.

    Raises:
        InputError: A tensor is missing or has another shape.
    """
    wanted = module.state_dict()
    missing = [k for k in wanted if k not in weights and k.rpartition(".")[2] not in _OPTIONAL]
    wrong = [k for k in wanted if k in weights and weights[k].shape != wanted[k].shape]
    if missing or wrong:
        raise InputError(
            f"{source}: does not fit the {type(module).__name__}: of {len(wanted)} tensors "
            f"{len(missing)} are missing and {len(wrong)} have another shape, first "
            f"{(missing + wrong)[0]!r}; give a checkpoint of the same architecture."
        )
