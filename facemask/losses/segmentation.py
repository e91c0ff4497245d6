"""The paper's segmentation loss (Eq. 7 with Eq. 8 or Eq. 9)."""

import math
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.classes import IGNORE
from facemask.errors import InputError
from facemask.losses._pixels import (
    Activation,
    LossModule,
    Pixels,
    activate,
    check_choice,
    compact,
    hard_counts,
    linear_in,
    soft_counts,
    sum_over_ranks,
    to_pixels,
)

Form: TypeAlias = Literal["hinge", "linear"]
Weights: TypeAlias = Literal["hard", "soft"]

# A soft union below a millionth of a pixel counts as empty: its inverse would drown all others.
_EMPTY = 1e-6


def segmentation_loss(
    scores: Tensor,
    target: Tensor,
    form: Form = "linear",
    margin: float = 0.0,
    weights: Weights = "hard",
    activation: Activation | None = None,
    include_background: bool = True,
    ignore_index: int = IGNORE,
    sync: bool = False,
) -> Tensor:
    r"""Return the segmentation loss, which weighs pixels by their class's IoU derivative (Eq. 7).

    For a class with intersection g and union f, counted over the whole batch, positive pixels
    weigh W_p = 1/f and negative ones W_n = g/f² (Eq. 5); both are constants for the gradient.
    With s the scores of a pixel, y its class and t any other class, the pixel adds
    W_p[y] · L_p + Σ_t W_n[t] · L_n[t], where

    * `form="linear"` (Eq. 9): L_p = -s[y]; L_n[t] = 0 if s[y] > s[t] + margin, else s[t];
    * `form="hinge"` (Eq. 8): L_p = max(m - s[y] + margin, 0) with m the largest of the other
      classes' scores and 0 (the true class's own entry in PR ∘ GT⁻¹);
      L_n[t] = max(s[t] - s[y] + margin, 0).

    The sum over all pixels is divided by K · Σ_t (W_p[t] + W_n[t]), K the number of pixels that
    count.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C). The linear form expects
            bounded scores, such as the ConvLSTM's in (-1, 1): on free logits it is unbounded
            below, so give `activation="tanh"` there. The hinge form takes either.
        target: Class ids 0 to C - 1 or `ignore_index`, any integer dtype, the same shape without
            the class axis.
        form: "linear" (Eq. 9) or "hinge" (Eq. 8).
        margin: The paper's g of Eqs. 8 and 9, in units of the scores, 0 or more. The paper's
            best are 0 for "linear" and 1 for "hinge" (Table 5).
        weights: Intersection and union from the arg-max prediction ("hard") or from softmax
            probabilities ("soft").
        activation: Applied to the scores first: None, "tanh" or "softmax" (over classes).
        include_background: Whether class 0 is one of the classes of Eq. 7's sums. Its pixels
            count in K and as negatives of the other classes either way.
        ignore_index: Target value of the pixels that do not count.
        sync: Under `torch.distributed`, count intersection, union and K over all ranks; every
            rank must make the call. Each rank returns world size × its own numerator / the joint
            denominator, so that the ranks' mean, and the gradient that DDP averages, are those of
            one process on the joined batch.

    Returns:
        A scalar, at least float32. A class that neither occurs nor is predicted contributes
        nothing; 0 where no pixel counts, such as in an empty batch.

    Raises:
        InputError: Shapes or types that do not belong together, an unknown option, a negative
            margin or a class id out of range.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(2, 5, 3, 4, 4).requires_grad_()  # two clips of five frames
        >>> target = torch.ones(2, 5, 4, 4, dtype=torch.uint8)
        >>> loss = segmentation_loss(scores, target, form="hinge", margin=1.0)
        >>> loss.backward()
        >>> round(loss.item(), 3)
        0.5
    """
    _check_options(form, margin, weights, activation)
    pixels = to_pixels("segmentation_loss", scores, target, ignore_index)
    pixels = pixels._replace(scores=activate(pixels.scores, activation))
    with torch.no_grad():
        rivals = _find_rivals(pixels) if form == "hinge" else None
        if weights == "soft":
            probability = pixels.scores if activation == "softmax" else pixels.scores.softmax(1)
            counts = soft_counts(pixels._replace(scores=probability))
        elif rivals:
            counts = hard_counts(pixels, _predict(pixels, rivals))
        else:
            counts = hard_counts(pixels, first_argmax(pixels.scores)[1])
        ranks, counts = sum_over_ranks(counts, sync)
        positive, negative = (
            (ranks * weight).to(pixels.scores.dtype)
            for weight in _normalised_weights(*counts, include_background)
        )
        if rivals:
            gradient, constant = _hinge(pixels, rivals, positive, negative, margin)
        else:
            gradient, constant = _linear(pixels, positive, negative, margin), positive.new_zeros(())

    def remake(scores: Tensor) -> Tensor:
        again = pixels._replace(scores=scores)
        if form == "linear":
            return _linear(again, positive, negative, margin)
        return _hinge(again, _find_rivals(again), positive, negative, margin)[0]

    # both forms are linear in the scores between their kinks
    return linear_in(pixels.scores, gradient, remake) + constant


def _normalised_weights(
    intersection: Tensor, union: Tensor, pixels: Tensor, include_background: bool
) -> tuple[Tensor, Tensor]:
    """Return W_p and W_n over K · Σ (W_p + W_n), the denominator of Eq. 7, (C,) each."""
    filled = union > _EMPTY
    positive = torch.where(filled, 1 / union.clamp(min=_EMPTY), 0)
    negative = intersection * positive.square()
    if not include_background:
        foreground = torch.arange(len(union), device=union.device) > 0
        positive, negative = positive * foreground, negative * foreground
    total = pixels * (positive + negative).sum()
    scale = torch.where(total > 0, 1 / total.clamp(min=torch.finfo(total.dtype).tiny), 0)
    return positive * scale, negative * scale


def _linear(pixels: Pixels, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return the gradient (N, C, H, W) of Eq. 9's sum; the sum itself is gradient · scores."""
    # an infinite true score makes every comparison of an ignored pixel false
    true_score = pixels.scores.gather(1, pixels.target).masked_fill_(pixels.ignored, math.inf)
    gradient = torch.empty_like(pixels.scores)
    torch.le(true_score - margin, pixels.scores, out=gradient)
    gradient *= negative[:, None, None]
    return gradient.scatter_(1, pixels.target, pixels.look_up(-positive))


class _Rivals(NamedTuple):
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


def _find_rivals(pixels: Pixels) -> _Rivals:
    others = pixels.scores.scatter(1, pixels.target, -math.inf)
    best, first = first_argmax(others)
    return _Rivals(others, best, first, pixels.scores.gather(1, pixels.target))


def _predict(pixels: Pixels, rivals: _Rivals) -> Tensor:
    """Return the arg-max over all classes, the first of equals, (N, 1, H, W)."""
    target, first = (compact(ids, pixels.scores.shape[1]) for ids in (pixels.target, rivals.first))
    wins = rivals.true_score > rivals.best
    wins |= (rivals.true_score == rivals.best) & (target < first)
    return (target - first).mul_(wins).add_(first)  # torch.where, which is slower; bytes may wrap


def _hinge(
    pixels: Pixels, rivals: _Rivals, positive: Tensor, negative: Tensor, margin: float
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


def _check_options(form: str, margin: float, weights: str, activation: str | None) -> None:
    check_choice("segmentation_loss", "form", form, ("linear", "hinge"))
    check_choice("segmentation_loss", "weights", weights, ("hard", "soft"))
    check_choice("segmentation_loss", "activation", activation, (None, "tanh", "softmax"))
    if not 0 <= margin < math.inf:  # NaN is neither
        raise InputError(f"segmentation_loss got margin {margin}: give a finite number, 0 or more.")


class SegmentationLoss(LossModule):
    """Segmentation loss (Eq. 7) as a module, see `segmentation_loss`.

    Args:
        form: "linear" (Eq. 9) for bounded scores or "hinge" (Eq. 8).
        margin: The paper's g of Eqs. 8 and 9, 0 or more.
        weights: Intersection and union of the arg-max prediction ("hard") or of softmax
            probabilities ("soft").
        activation: Applied to the scores first: None, "tanh" or "softmax".
        include_background: Whether class 0 is one of the classes of Eq. 7's sums.
        ignore_index: Target value of the pixels that do not count.
        sync: Count over all ranks, in training mode only: in evaluation ranks may have
            different numbers of batches and would wait for each other for ever.

    Raises:
        InputError: An unknown option or a negative margin.
    """

    def __init__(
        self,
        form: Form = "linear",
        margin: float = 0.0,
        weights: Weights = "hard",
        activation: Activation | None = None,
        include_background: bool = True,
        ignore_index: int = IGNORE,
        sync: bool = False,
    ) -> None:
        super().__init__()
        _check_options(form, margin, weights, activation)
        self.form: Form = form
        self.margin = margin
        self.weights: Weights = weights
        self.activation: Activation | None = activation
        self.include_background = include_background
        self.ignore_index = ignore_index
        self.sync = sync

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores and class ids, see `segmentation_loss`."""
        return segmentation_loss(
            scores,
            target,
            self.form,
            self.margin,
            self.weights,
            self.activation,
            self.include_background,
            self.ignore_index,
            self.sync and self.training,
        )
