"""Mean and standard deviation of the colours that a network's images are normalised with."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facemask.errors import InputError


def normalisation(network: nn.Module, key: str) -> Tensor:
    """Return a network's `mean` or `std`, for images in [0, 1], as (3, 1, 1).

    Args:
        network: A network that has it as a tensor or a sequence of three numbers.
        key: "mean" or "std".

    Raises:
        InputError: It is not three numbers.
    """
    value: Any = getattr(network, key)
    if isinstance(value, Tensor) and value.shape == (3, 1, 1):
        return value
    return _three_numbers(key, value)


def normalise(images: Tensor, network: nn.Module) -> Tensor:
    """Normalise images in 0 to 255, (..., 3, H, W), with a network's mean and std, in float32."""
    mean, std = (normalisation(network, key).to(images.device) for key in ("mean", "std"))
    return (images.float() / 255 - mean) / std


def describe_normalisation(network: nn.Module) -> dict[str, Any]:
    """Return a network's `mean` and `std`, three numbers each, for JSON; empty if it has none."""
    return {
        key: normalisation(network, key).flatten().tolist()
        for key in ("mean", "std")
        if hasattr(network, key)
    }


def take_normalisation(network: nn.Module, description: Mapping[str, Any]) -> None:
    """Give a network, in place, the mean and std that it was trained with, if its file has them.

    They come with the encoder, and another version of timm may have others.

    Raises:
        InputError: The file's are not three numbers.
    """
    for key in ("mean", "std"):
        if key in description:
            normalisation(network, key).copy_(_three_numbers(key, description[key]))


def _three_numbers(key: str, value: Any) -> Tensor:  # noqa: ANN401  # whatever was given
    try:
        return torch.as_tensor(value, dtype=torch.float32).reshape(3, 1, 1)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The network's {key} is {value!r}, expected three numbers: red, green, blue."
        ) from error
