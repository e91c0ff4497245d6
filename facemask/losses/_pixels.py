"""Shared by the losses: checks, one layout of pixels, counts, and gradients written by hand."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from facemask.errors import InputError

Activation: TypeAlias = Literal["tanh", "softmax"]
# intersection (C,), union (C,) and the number K of pixels that count; float64 where there is one
Counts: TypeAlias = tuple[Tensor, Tensor, Tensor]

_LAYOUTS = "(N, C, H, W), (B, T, C, H, W) or (N, C)"


class LossModule(nn.Module):
    """Base of losses that shows their options."""

    def extra_repr(self) -> str:
        """Return the options, for `print(loss)`."""
        options = {k: v for k, v in vars(self).items() if k[0] != "_" and k != "training"}
        return ", ".join(f"{name}={value!r}" for name, value in options.items())


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


def compact(ids: Tensor, classes: int) -> Tensor:
    """Return class ids in uint8, which is faster, where pairs of them fit in it, else int64."""
    return ids.to(torch.uint8 if classes**2 < 255 else torch.int64)


def hard_counts(pixels: Pixels, predicted: Tensor) -> Counts:
    """Count intersection, union and K of predicted class ids (N, 1, H, W)."""
    classes = pixels.scores.shape[1]
    pair = torch.add(compact(predicted, classes), compact(pixels.target, classes), alpha=classes)
    pair = (pair + 1).mul_(~pixels.ignored)  # bin 0 takes the ignored pixels
    if torch.compiler.is_compiling():
        ids = pair.flatten().long()
        bins = class_sums(ids, torch.ones_like(ids), classes**2 + 1)
    else:
        bins = torch.bincount(pair.flatten(), minlength=classes**2 + 1).to(wide(pair.device))
    matrix = bins[1:].view(classes, classes)
    intersection = matrix.diagonal()
    return intersection, matrix.sum(dim=0) + matrix.sum(dim=1) - intersection, matrix.sum()


def soft_counts(pixels: Pixels) -> Counts:
    """Sum p·q, p + q - p·q and K for probabilities p (the pixels' scores) and truth q."""
    probability = pixels.scores
    classes = probability.shape[1]
    counted = (~pixels.ignored).to(probability.dtype)
    ids = pixels.target.flatten()
    of_truth = probability.gather(1, pixels.target).mul_(counted).flatten()
    intersection = class_sums(ids, of_truth, classes)
    truth = class_sums(ids, counted.flatten(), classes)
    predicted = (probability * counted).sum(dim=(0, 2, 3)).to(truth.dtype)
    return intersection, predicted + truth - intersection, truth.sum()


def wide(device: torch.device) -> torch.dtype:
    """Return the type for sums over all pixels: float64, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def class_sums(ids: Tensor, values: Tensor, num_classes: int) -> Tensor:
    """Sum the values (M,) of each class id (M,): float64 (num_classes,).

    `index_add` and not `bincount`, whose output's size depends on the data: torch.compile takes
    it whole.
    """
    sums = torch.zeros(num_classes, dtype=wide(values.device), device=values.device)
    return sums.index_add(0, ids, values.to(sums.dtype))


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


def linear_in(scores: Tensor, gradient: Tensor, remake: Callable[[Tensor], Tensor]) -> Tensor:
    """Return Σ gradient × scores, whose derivative by the scores is the gradient.

    Args:
        scores: Floating point (N, C, H, W).
        gradient: The same shape and type, without a graph; taken over: do not use it again.
        remake: Makes the gradient anew from the scores. Called if a graph is kept and run through
            backward again: the first time scales the gradient in place, because fresh memory
            for a batch of scores costs as much as the arithmetic.
    """
    if torch.compiler.is_compiling():  # which plans memory itself
        return _dot(scores, gradient)
    return cast("Tensor", _LinearIn.apply(scores, gradient, remake))  # type: ignore[no-untyped-call]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    # one memory order on both sides, so that flattening copies neither
    if a.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.reshape(-1), b.reshape(-1))


class _LinearIn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # attributes are free to set
        scores: Tensor,
        gradient: Tensor,
        remake: Callable[[Tensor], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(scores)  # says no to a second backward unless the graph is kept
        ctx.gradient, ctx.remake = gradient, remake
        return _dot(scores, gradient)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (scores,) = ctx.saved_tensors
        gradient = ctx.remake(scores) if ctx.gradient is None else ctx.gradient
        ctx.gradient = None
        return gradient.mul_(grad_output), None, None
