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

# Numbers in the scores of a part, 4 MB in float32: larger ones leave the cache, smaller ones make
# threads wait for each other. Off the CPU a part is the whole batch.
_PART = 2**20


class Part(NamedTuple):
    """Some frames of a batch.

    Attributes:
        scores: Activated scores (n, C, H, W).
        truth: 1 at the true class, else 0, and all 0 where ignored, (n, C, H, W).
        ignored: A number above every score where ignored, else 0, (n, 1, H, W).
        spare: Memory to write to, (n, C, H, W) each.
    """

    scores: Tensor
    truth: Tensor
    ignored: Tensor
    spare: tuple[Tensor, Tensor]


# positive and negative factors (C, 1, 1), and the loss where it does not follow from the slopes
Factors: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
# of a part: the loss's derivative by the activated scores, written over spare memory, and a
# constant, so that the loss is Σ slope × score + constant
Slope: TypeAlias = Callable[[Part, Tensor, Tensor], tuple[Tensor, Tensor | None]]


def _planes(a: Tensor) -> tuple[Tensor, ...]:
    return torch.split(a, 1, dim=1)


def over_classes(a: Tensor, b: Tensor) -> Tensor:
    """Return Σ a × b over the class axis 1, which is kept."""
    (first, *others) = zip(_planes(a), _planes(b), strict=True)
    total = first[0] * first[1]
    for x, y in others:
        total.addcmul_(x, y)
    return total


def first_highest(scores: Tensor, best: Tensor, out: Tensor) -> Tensor:
    """Return 1 at the first class that reaches the best score (n, 1, H, W), else 0."""
    torch.eq(scores, best, out=out)
    first, *others = _planes(out)
    free = 1 - first
    for plane in others:
        plane *= free
        free -= plane
    return out


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
        counts = torch.zeros(3, scores.shape[1], dtype=wide(scores.device), device=scores.device)
        for part, _ in self._parts(scores, gradient):
            counts += _count(part, self._predict(part))
        intersection, predicted, true = counts
        if self.factors is None:  # they may have been counted together with other processes
            self.factors = self.settle((intersection, predicted + true - intersection, true.sum()))
        positive, negative, value = self.factors
        positive, negative = (
            (factor / self.temperature).to(scores.dtype).view(-1, 1, 1)
            for factor in (positive, negative)
        )
        total = scores.new_zeros(())
        for part, out in self._parts(scores, gradient, again=True):
            slope, constant = self.slope(part, positive, negative)
            total += self._chain(part.scores, slope, out)
            if constant is not None:
                total += constant
        total = self.temperature * total if value is None else value.to(scores.dtype)
        known = true.sum() + self.pixels.ignored.sum(dtype=counts.dtype)  # no class id is wrong
        return torch.where(known == self.pixels.ignored.numel(), total, math.nan), gradient

    def _parts(
        self, scores: Tensor, gradient: Tensor, again: bool = False
    ) -> Iterator[tuple[Part, Tensor]]:
        """Yield the batch's parts, each with its place in the gradient."""
        frames = len(scores)
        if scores.device.type == "cpu" and not torch.compiler.is_compiling():
            frames = max(1, _PART // max(1, scores[:1].numel()))
        spare = torch.empty((3, *scores[:frames].shape), dtype=scores.dtype, device=scores.device)
        ids = torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device)
        above = torch.finfo(scores.dtype).max / 2
        for start in range(0, len(scores), frames):
            here = slice(start, start + frames)
            one, two, truth = spare[:, : len(scores[here])]
            torch.eq(self.pixels.classes[here], ids.view(-1, 1, 1), out=truth)
            ignored = above * self.pixels.ignored[here]
            activated = self._activate(scores[here].contiguous(), one, gradient[here], again)
            yield Part(activated, truth, ignored, (one, two)), gradient[here]

    def _activate(self, scores: Tensor, spare: Tensor, kept: Tensor, again: bool) -> Tensor:
        """Return the activated scores, which the second time are where the first left them."""
        if again and (self.activation or self.temperature != 1):
            return kept
        if self.temperature != 1:
            scores = torch.div(scores, self.temperature, out=spare if self.activation else kept)
        if self.activation == "softmax":
            return torch.softmax(scores, dim=1, out=kept)
        return torch.tanh(scores, out=kept) if self.activation == "tanh" else scores

    def _predict(self, part: Part) -> Tensor:
        """Return what is counted as the prediction, 0 where ignored."""
        one, two = part.spare
        if self.counted == "hard":
            best = part.scores.amax(dim=1, keepdim=True).add_(part.ignored)
            return first_highest(part.scores, best, out=one)
        probability = part.scores
        if self.counted == "softmax" and self.activation != "softmax":
            probability = torch.softmax(probability, dim=1, out=two)
        return torch.mul(probability, part.ignored == 0, out=one)

    def _chain(self, activated: Tensor, slope: Tensor, out: Tensor) -> Tensor:
        """Write the derivative by the scores; return Σ slope × activated score."""
        sums = over_classes(activated, slope)
        if self.activation == "softmax":
            torch.mul(activated, slope.sub_(sums), out=out)
        elif self.activation == "tanh":
            torch.addcmul(slope, slope * activated, activated, value=-1, out=out)
        else:
            out.copy_(slope)
        return sums.sum()


def _count(part: Part, predicted: Tensor) -> Tensor:
    """Return intersection, prediction and truth of each class, (3, C)."""
    every = (0, 2, 3)
    sums = [predicted.sum(every), part.truth.sum(every)]
    return torch.stack([predicted.mul_(part.truth).sum(every), *sums])


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
        return gradient.mul_(grad_output), None
