"""The gradients of Eqs. 8 and 9, which are linear in the scores between their kinks."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.losses._pixels import Pixels, compact


def linear(pixels: Pixels, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return the gradient (N, C, H, W) of Eq. 9's sum; the sum itself is gradient · scores."""
    # an infinite true score makes every comparison of an ignored pixel false
    true_score = pixels.scores.gather(1, pixels.target).masked_fill_(pixels.ignored, math.inf)
    gradient = torch.empty_like(pixels.scores)
    torch.le(true_score - margin, pixels.scores, out=gradient)
    gradient *= negative[:, None, None]
    return gradient.scatter_(1, pixels.target, pixels.look_up(-positive))


class Rivals(NamedTuple):
    """Scores of the classes other than the true one, for each pixel.

    Attributes:
        scores: The pixels' scores with -inf at the true class, (N, C, H, W).
        best: The largest of them, (N, 1, H, W).
        first: The first class that has it, any integer dtype (N, 1, H, W).
        true_score: The true class's score, (N, 1, H, W).
    """

    scores: Tensor
    best: Tensor
    first: Tensor
    true_score: Tensor


def find_rivals(pixels: Pixels) -> Rivals:
    """Return what the hinge form compares the true class's scores with."""
    others = pixels.scores.scatter(1, pixels.target, -math.inf)
    best, first = first_argmax(others)
    return Rivals(others, best, first, pixels.scores.gather(1, pixels.target))


def predict(pixels: Pixels, rivals: Rivals) -> Tensor:
    """Return the arg-max over all classes, the first of equals, (N, 1, H, W)."""
    target, first = (compact(ids, pixels.scores.shape[1]) for ids in (pixels.target, rivals.first))
    wins = rivals.true_score > rivals.best
    wins |= (rivals.true_score == rivals.best) & (target < first)
    return (target - first).mul_(wins).add_(first)  # torch.where, which is slower; bytes may wrap


def hinge(
    pixels: Pixels, rivals: Rivals, positive: Tensor, negative: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Return gradient (N, C, H, W) and constant of Eq. 8's sum: gradient · scores + constant.

    The rivals are used up: their memory becomes the result.
    """
    # an infinite true score makes every comparison of an ignored pixel false
    allowed = rivals.true_score.sub_(margin).masked_fill_(pixels.ignored, math.inf)
    # max(PR ∘ (GT)⁻¹), in which the true class's entry is 0
    missed = (rivals.best.clamp(min=0) > allowed).to(allowed.dtype)
    missed *= positive.index_select(0, pixels.target.flatten()).view_as(missed)

    gradient = torch.gt(rivals.scores, allowed, out=rivals.scores)
    gradient *= negative[:, None, None]
    pushed = gradient.sum(dim=1, keepdim=True).add_(missed)
    # the maximum's gradient; none where it is the constant 0
    gradient.scatter_add_(1, rivals.first.long(), missed.mul_(rivals.best > 0))
    constant = margin * pushed.sum()
    return gradient.scatter_(1, pixels.target, pushed.neg_()), constant
