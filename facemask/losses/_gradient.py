"""A loss whose gradient is written by hand."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
