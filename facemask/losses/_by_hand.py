"""Losses with a gradient written by hand, in parts of a batch that stay in a CPU's cache.

Truth and predictions are ones and zeros in the scores' type: torch compares floats with a float
result several times as fast as with a bool one, and needs no gather and scatter then.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from facemask.losses._pixels import Activation, Counts, Pixels, wide

# Numbers in the scores of a part, 2 MB in float32: larger ones leave the cache. Threads wait for
# each other after every step: they have parts of twice the size. Off the CPU a part is the whole
# batch.
_PART = 2**19


class Part(NamedTuple):
    """Some frames of a batch.

    Attributes:
        scores: Activated scores (n, C, H, W).
        truth: 1 at the true class, else 0, and all 0 where ignored, (n, C, H, W).
        counted: 1 where the pixel counts, 0 where it is ignored, (n, 1, H, W).
        spare: Memory to write to, (n, C, H, W) each; the last is the gradient's place, unless that
            is where the scores are.
    """

    scores: Tensor
    truth: Tensor
    counted: Tensor
    spare: tuple[Tensor, ...]


# positive and negative factors (C, 1, 1), and the loss where it does not follow from the slopes
Factors: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
# of a part: the loss's derivative by the activated scores, written over spare memory, and a
# constant, so that the loss is Σ slope × score + constant
Slope: TypeAlias = Callable[[Part, Tensor, Tensor], tuple[Tensor, Tensor | None]]


def _out_of_reach(limit: Tensor, part: Part) -> Tensor:
    """Lift the limit (n, 1, H, W) above all scores where pixels are ignored, in place."""
    above = limit.new_tensor(torch.finfo(limit.dtype).max / 2)
    return torch.lerp(above, limit, part.counted, out=limit)


def own_score(part: Part, margin: float) -> Tensor:
    """Return the true class's score less the margin, above all scores where ignored, (n, 1, H, W).

    The last spare memory is overwritten.
    """
    own = torch.mul(part.scores, part.truth, out=part.spare[-1]).sum(dim=1, keepdim=True)
    return _out_of_reach(own.sub_(margin), part)


def pay_for_all(part: Part, positive: Tensor, negative: Tensor) -> tuple[Tensor, None]:
    """Return the slopes of Eq. 5: -W_p at the true class and W_n at the others."""
    slope = torch.mul(part.counted, negative, out=part.spare[-1])
    return slope.lerp_(-positive, part.truth), None


def first_only(reached: Tensor, pixels: Tensor | int) -> Tensor:
    """Leave the first of several ones along the class axis; return their numbers, (n, C).

    Args:
        reached: Ones and zeros (n, C, H, W), changed in place.
        pixels: How many pixels have a one at all.
    """
    numbers = _by_frame(reached)
    if not _in_parts(reached) or numbers.sum() != pixels:
        first, *others = torch.split(reached, 1, dim=1)
        free = 1 - first
        for plane in others:
            plane *= free
            free -= plane
        numbers = _by_frame(reached)
    return numbers


def _by_frame(a: Tensor) -> Tensor:
    """Return the sums (n, C), by frame because threads share frames better than classes."""
    return a.sum((2, 3))


def _in_parts(scores: Tensor) -> bool:
    """Return whether values may be looked at, and are best gone through in parts."""
    return scores.device.type == "cpu" and not torch.compiler.is_compiling()


# what is counted: the first class with the highest score, softmax, or the scores themselves
Counted: TypeAlias = Literal["hard", "softmax", "scores"]


class _Batch:
    """A loss of one batch: computes value and gradient, and does so once more if asked to."""

    def __init__(
        self,
        pixels: Pixels,
        activation: Activation | None,
        temperature: float,
        counted: Counted,
        settle: Callable[[Counts], Factors],
        slope: Slope,
    ) -> None:
        self.pixels = pixels
        self.activation = activation
        self.temperature = temperature
        self.counted = counted
        self.settle = settle
        self.slope = slope
        self.factors: Factors | None = None

    def __call__(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss, a scalar, and its gradient (N, C, H, W)."""
        gradient = torch.empty_like(scores, memory_format=torch.contiguous_format)
        frames = len(scores)
        if _in_parts(scores):
            numbers = _PART * min(2, torch.get_num_threads())
            frames = max(1, numbers // max(1, scores[:1].numel()))
        memory = gradient.new_empty(2, *scores[:frames].shape)
        counts = torch.zeros(3, scores.shape[1], dtype=wide(scores.device), device=scores.device)
        for part, _ in self._parts(scores, gradient, memory):
            counts += self._count(part)
        intersection, predicted, true = counts
        if self.factors is None:  # they may have been counted together with other processes
            self.factors = self.settle((intersection, predicted + true - intersection, true.sum()))
        positive, negative, value = self.factors
        positive, negative = (
            (factor / self.temperature).to(scores.dtype).view(-1, 1, 1)
            for factor in (positive, negative)
        )
        total = scores.new_zeros(())
        for part, out in self._parts(scores, gradient, memory, again=True):
            slope, constant = self.slope(part, positive, negative)
            total += self._chain(part, slope, out)
            if constant is not None:
                total += constant
        total = self.temperature * total if value is None else value.to(scores.dtype)
        if not _in_parts(scores):  # or all class ids have been looked at
            number = self.pixels.counted.sum(dtype=counts.dtype)
            total = torch.where(true.sum() == number, total, math.nan)
        return total, gradient

    def _parts(
        self, scores: Tensor, gradient: Tensor, memory: Tensor, again: bool = False
    ) -> Iterator[tuple[Part, Tensor]]:
        """Yield the batch's parts, each with its place in the gradient."""
        ids = torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device).view(-1, 1, 1)
        kept = self.activation is not None or self.temperature != 1
        tensors = (scores, gradient, self.pixels.classes, self.pixels.counted)
        parts = (torch.split(tensor, memory.shape[1]) for tensor in tensors)
        for some, out, classes, counted in zip(*parts, strict=True):
            truth, spare = memory[:, : len(out)]
            torch.eq(classes, ids, out=truth)
            if not kept:
                yield Part(some.contiguous(), truth, counted, (spare, out)), out
                continue
            if not again:  # else the first time has left the activated scores in the gradient
                self._activate(some.contiguous(), spare, out)
            yield Part(out, truth, counted, (spare,)), out

    def _activate(self, scores: Tensor, spare: Tensor, out: Tensor) -> None:
        """Write activation(scores / temperature) over `out`."""
        if self.temperature != 1:
            scores = torch.div(scores, self.temperature, out=spare if self.activation else out)
        if self.activation == "softmax":
            frames = 1 if _in_parts(out) else len(out)  # several are hardly shared by threads
            for some, place in zip(*(torch.split(a, frames) for a in (scores, out)), strict=True):
                torch.softmax(some, dim=1, out=place)
        elif self.activation == "tanh":
            torch.tanh(scores, out=out)

    def _count(self, part: Part) -> Tensor:
        """Return intersection, prediction and truth of each class, (3, C)."""
        predicted, true = part.spare[0], _by_frame(part.truth)
        if self.counted == "hard":
            best = _out_of_reach(part.scores.amax(dim=1, keepdim=True), part)
            torch.eq(part.scores, best, out=predicted)
            numbers = first_only(predicted, true.sum())
        else:
            probability = part.scores
            if self.counted == "softmax" and self.activation != "softmax":
                probability = torch.softmax(probability, dim=1)
            torch.mul(probability, part.counted, out=predicted)
            numbers = _by_frame(predicted)
        both = _by_frame(predicted.mul_(part.truth))
        return torch.stack([both, numbers, true]).sum(dim=1)

    def _chain(self, part: Part, slope: Tensor, out: Tensor) -> Tensor:
        """Write the derivative by the scores over `out`; return Σ slope × activated score."""
        weighted = torch.mul(part.scores, slope, out=part.truth)
        if self.activation == "softmax":
            sums = weighted.sum(dim=1, keepdim=True)
            torch.addcmul(weighted, part.scores, sums, value=-1, out=out)
            return sums.sum()
        if self.activation == "tanh":
            torch.addcmul(slope, weighted, part.scores, value=-1, out=out)
        elif self.temperature != 1:
            out.copy_(slope)
        return weighted.sum()


def by_hand(
    pixels: Pixels,
    activation: Activation | None,
    temperature: float,
    counted: Counted,
    settle: Callable[[Counts], Factors],
    slope: Slope,
) -> Tensor:
    """Return a loss of activation(scores / temperature) whose gradient is written by hand.

    Args:
        pixels: Scores and classes.
        activation: Over the class axis, after the division.
        temperature: Divides the scores.
        counted: The prediction that intersection and union are counted of.
        settle: Makes the factors of the slopes from the counts; no gradient flows through them.
        slope: Makes a part's slopes.
    """
    batch = _Batch(pixels, activation, temperature, counted, settle, slope)
    if not torch.compiler.is_compiling():
        return cast("Tensor", _ByHand.apply(pixels.scores, batch))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        value, gradient = batch(pixels.scores)
    surrogate = (pixels.scores * gradient).sum()  # it has the loss's gradient, not its value
    return surrogate - surrogate.detach() + value


class _ByHand(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # attributes are free to set
        scores: Tensor,
        batch: _Batch,
    ) -> Tensor:
        ctx.save_for_backward(scores)  # says no to a second backward unless the graph is kept
        value, ctx.gradient = batch(scores)
        ctx.batch = batch
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (scores,) = ctx.saved_tensors
        gradient = ctx.batch(scores)[1] if ctx.gradient is None else ctx.gradient
        # scaled in place, because fresh memory costs as much as the arithmetic, and so used up
        ctx.gradient = None
        if not _in_parts(gradient) or grad_output != 1:
            gradient.mul_(grad_output)
        return gradient, None
