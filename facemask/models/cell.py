"""The ConvLSTM's activations, a start of its weights, and checks of its arguments."""

import math
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.errors import InputError

CellActivation: TypeAlias = Literal["tanh", "linear"]
GateActivation: TypeAlias = Literal["sigmoid", "hard_sigmoid"]
KernelStart: TypeAlias = Literal["glorot", "he_normal"]


def hard_sigmoid(x: Tensor) -> Tensor:
    """Return clip(0.2 x + 0.5, 0, 1), the hard sigmoid of Keras 2.

    Keras 3's, and `torch.nn.functional.hardsigmoid`, are clip(x / 6 + 0.5, 0, 1).

    Examples:
        >>> hard_sigmoid(torch.tensor([-3.0, 1.0, 2.5]))
        tensor([0.0000, 0.7000, 1.0000])
    """
    return F.hardsigmoid(1.2 * x)


def linear(x: Tensor) -> Tensor:
    """Return x, without an operator for exported programs to know (`torch.positive` is one)."""
    return x


CELLS: Final[dict[str, Callable[[Tensor], Tensor]]] = {"tanh": torch.tanh, "linear": linear}
GATES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": hard_sigmoid,
}


def start_biases(
    activation: CellActivation, gate_activation: GateActivation
) -> tuple[float, float, float]:
    """Return the biases of gates that see nothing yet: open, forgetting, and how far open is.

    Where the cell is linear, nothing bounds its sum over the frames, so it forgets faster.

    Examples:
        >>> start_biases("linear", "sigmoid")
        (2.5, -2.0, 0.924...)
    """
    biases = (2.0, 1.0) if activation == "tanh" else (2.5, -2.0)
    opened, forgotten = (1 / (1 + math.exp(-bias)) for bias in biases)
    if gate_activation == "hard_sigmoid":  # as far open
        biases = ((opened - 0.5) / 0.2, (forgotten - 0.5) / 0.2)
    return *biases, opened


def he_normal_(weight: Tensor) -> None:
    """Draw a kernel (out, in, k, k) as Keras's `he_normal` does, in place.

    That is a normal distribution of variance 2 / (in k²), cut off at two deviations of the one it
    is cut out of (He et al. 2015).
    """
    deviation = math.sqrt(2 / weight[0].numel()) / 0.87962566  # the cut takes so much of it
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def check_arguments(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    peephole: bool,
    peephole_size: tuple[int, int] | None,
) -> None:
    """Check the ConvLSTM's arguments that are numbers.

    Raises:
        InputError: One is out of range, or they do not go together.
    """
    if in_channels < 1 or out_channels < 1:
        raise InputError(
            f"ConvLSTM got in_channels={in_channels} and out_channels={out_channels}: "
            "give at least 1 of each"
        )
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise InputError(
            f"ConvLSTM got kernel_size={kernel_size}: an even kernel has no centre, "
            "give an odd number such as 1 or 3"
        )
    if peephole_size is not None and (not peephole or min(peephole_size) < 1):
        raise InputError(
            f"ConvLSTM got peephole_size={tuple(peephole_size)} with peephole={peephole}: "
            "give peephole=True and the height and width of the feature maps, or leave it out"
        )


def check_deviation(deviation: Tensor, channels: int) -> None:
    """Check deviations of an input with so many channels.

    Raises:
        InputError: They have another shape, or are not above 0 and finite.
    """
    if deviation.shape not in ((), (channels,)):
        raise InputError(
            f"ConvLSTM got deviations of shape {tuple(deviation.shape)}: give one number, or one "
            f"for each of {channels} channels"
        )
    if not bool(((deviation > 0) & deviation.isfinite()).all()):
        raise InputError(
            f"ConvLSTM got a deviation of {deviation.min().item():g}: give finite numbers above 0"
        )


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Check one of the ConvLSTM's arguments that are words.

    Raises:
        InputError: It is none of the choices.
    """
    if value not in choices:
        raise InputError(f"ConvLSTM got {name}={value!r}: give {' or '.join(map(repr, choices))}")
