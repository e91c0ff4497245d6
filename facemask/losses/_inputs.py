"""Checks, layout and treatment of ignored pixels, shared by the losses."""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from facemask.errors import InputError

Activation: TypeAlias = Literal["tanh", "softmax"]

_LAYOUTS = "(N, C, H, W), (B, T, C, H, W) or (N, C)"


class Pixels(NamedTuple):
    """Scores and class ids in one layout; H and W are 1 for single vectors.

    Attributes:
        scores: float32 or float64 (N, C, H, W).
        target: int64 (N, 1, H, W); 0 where ignored, so that it can always be an index.
        ignored: bool (N, 1, H, W).
    """

    scores: Tensor
    target: Tensor
    ignored: Tensor

    def look_up(self, table: Tensor) -> Tensor:
        """Return each pixel's entry of a table (C,) by its class, 0 where ignored: (N, 1, H, W)."""
        entries = table.index_select(0, self.target.flatten()).view_as(self.target)
        return entries.masked_fill_(self.ignored, 0)


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
            `ignore_index`. Elsewhere, and in compiled code, such an id fails in the indexing,
            because a look at the values would make the device wait.
    """
    check_shapes(name, scores, target)
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    if scores.ndim == 2:
        scores, target = scores[..., None, None], target[..., None, None]
    elif scores.ndim == 5:
        scores, target = scores.flatten(0, 1), target.flatten(0, 1)
    ids = target.long().unsqueeze(1)  # int64 first: a uint8 compared with -100 would wrap
    ignored = ids == ignore_index
    ids = ids.masked_fill(ignored, 0)
    if ids.device.type == "cpu" and not torch.compiler.is_compiling() and ids.numel():
        low, high = (int(value) for value in ids.aminmax())
        if low < 0 or high >= scores.shape[1]:
            raise InputError(
                f"{name} got class id {low if low < 0 else high} and scores of "
                f"{scores.shape[1]} classes: give 0 to {scores.shape[1] - 1}, or {ignore_index} "
                "for pixels to ignore."
            )
    return Pixels(scores, ids, ignored)


def activate(scores: Tensor, activation: Activation | None) -> Tensor:
    """Apply the activation over the class axis 1."""
    if activation == "tanh":
        return scores.tanh()
    return scores.softmax(dim=1) if activation == "softmax" else scores


def check_choice(name: str, option: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise an `InputError` unless the value is one of the choices."""
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise InputError(f"{name} got {option}={value!r}: give one of {listed}.")


def check_positive(name: str, option: str, value: float) -> None:
    """Raise an `InputError` unless the value is positive and finite."""
    if not 0 < value < math.inf:  # NaN is neither
        raise InputError(f"{name} got {option} {value}: give a finite number above 0.")
