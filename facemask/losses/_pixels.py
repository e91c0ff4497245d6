"""Shared by the losses: checks of their input, one layout of pixels, sums over processes."""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from facemask.errors import InputError

Activation: TypeAlias = Literal["tanh", "softmax"]
# intersection (C,), union (C,) and the number K of pixels that count; float64 where there is one
Counts: TypeAlias = tuple[Tensor, Tensor, Tensor]

# The class of ignored pixels: between -1, which is a mistake, and 0.
_NONE = -0.5
_LAYOUTS = "(N, C, H, W), (B, T, C, H, W) or (N, C)"


class LossModule(nn.Module):
    """Base of losses that shows their options."""

    def extra_repr(self) -> str:
        """Return the options, for `print(loss)`."""
        options = {k: v for k, v in vars(self).items() if k[0] != "_" and k != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in options.items())


class Pixels(NamedTuple):
    """Scores and class ids in one layout, of one floating type; W is 1 for single vectors.

    Attributes:
        scores: float32 or float64 (N, C, H, W), in any order in memory.
        classes: Class ids (N, 1, H, W); a number that is none where ignored.
        counted: 1 where the pixel counts, 0 where it is ignored, (N, 1, H, W).
    """

    scores: Tensor
    classes: Tensor
    counted: Tensor


def check_shapes(name: str, scores: Tensor, target: Tensor) -> None:
    """Check types and shapes, without looking at values.

    Raises:
        InputError: Not tensors, shapes that do not belong together, fewer than two classes,
            scores that are not floating point or a target that does not hold integers.
    """
    for kind, value in (("scores", scores), ("target", target)):
        if not isinstance(value, Tensor):
            raise InputError(
                f"{name} got {kind} of type {type(value).__name__}: give a torch.Tensor."
            )
    axis = 2 if scores.ndim == 5 else 1
    expected = (*scores.shape[:axis], *scores.shape[axis + 1 :])
    if scores.ndim not in (2, 4, 5) or tuple(target.shape) != expected:
        raise InputError(
            f"{name} got scores of shape {tuple(scores.shape)} and a target of shape "
            f"{tuple(target.shape)}: give {_LAYOUTS} and the same without C."
        )
    if scores.shape[axis] < 2:
        raise InputError(
            f"{name} got scores of {scores.shape[axis]} class: give at least 2, the background "
            "included."
        )
    if not scores.is_floating_point():
        raise InputError(f"{name} got scores of type {scores.dtype}: give floating point.")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise InputError(
            f"{name} got a target of type {target.dtype}: give class ids of an integer type."
        )


def to_pixels(name: str, scores: Tensor, target: Tensor, ignore_index: int) -> Pixels:
    """Check the input and bring it to one layout.

    Half precision becomes float32: sums over a million pixels need it.

    Raises:
        InputError: As `check_shapes`; or, on the CPU, a class id outside 0 to C - 1 that is not
            `ignore_index`. Elsewhere, and in compiled code, such an id makes the loss NaN,
            because a look at the values would make the device wait.
    """
    check_shapes(name, scores, target)
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    if scores.ndim == 2:
        scores, target = scores.t()[None, ..., None], target[None, :, None]
    elif scores.ndim == 5:
        scores, target = scores.flatten(0, 1), target.flatten(0, 1)
    classes = target.unsqueeze(1).to(scores.dtype)
    counted = torch.ne(classes, ignore_index, out=torch.empty_like(classes))
    torch.lerp(classes.new_tensor(_NONE), classes, counted, out=classes)
    if classes.device.type == "cpu" and not torch.compiler.is_compiling() and classes.numel():
        low, high = (value.item() for value in classes.aminmax())
        last = scores.shape[1] - 1
        if low < _NONE or high > last:
            raise InputError(
                f"{name} got class id {low if low < _NONE else high:.0f} and scores of {last + 1} "
                f"classes: give 0 to {last}, or {ignore_index} for pixels to ignore."
            )
    return Pixels(scores, classes, counted)


def check_choice(name: str, option: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise an `InputError` unless the value is one of the choices."""
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} got {option}={value!r}: give one of {listed}.")


def check_positive(name: str, option: str, value: float) -> None:
    """Raise an `InputError` unless the value is positive and finite."""
    if not 0 < value < math.inf:  # NaN is neither
        raise InputError(f"{name} got {option} {value}: give a finite number above 0.")


def wide(device: torch.device) -> torch.dtype:
    """Return the type for sums over all pixels: float64, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def sum_over_ranks(counts: Counts, sync: bool) -> tuple[int, Counts]:
    """Add up the counts of all processes, in one all-reduce and outside the gradient.

    Returns:
        The number of processes (1 where not asked or not distributed) and the sums.
    """
    if not (sync and torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1, counts
    joint = torch.cat([count.flatten() for count in counts])
    torch.distributed.all_reduce(joint)
    classes = len(counts[0])
    sums = (joint[:classes], joint[classes:-1], joint[-1])
    return torch.distributed.get_world_size(), sums
