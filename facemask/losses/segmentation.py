"""The paper's segmentation loss (Eq. 7 with Eq. 8 or Eq. 9)."""

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from facemask.classes import IGNORE
from facemask.errors import InputError
from facemask.losses._by_hand import (
    Counted,
    Factors,
    Part,
    by_hand,
    first_only,
    own_score,
    pay_for_all,
)
from facemask.losses._pixels import (
    Activation,
    Counts,
    LossModule,
    check_choice,
    check_positive,
    sum_over_ranks,
    to_pixels,
)

Form: TypeAlias = Literal["hinge", "linear"]
Weights: TypeAlias = Literal["hard", "soft"]

# A soft union below a millionth of a pixel counts as empty: its inverse would drown all others.
_EMPTY = 1e-6
# Scores in [-1, 1] may pass it by rounding, such as when they are resized.
_BOUND = 1.001


def segmentation_loss(
    scores: Tensor,
    target: Tensor,
    form: Form = "hinge",
    margin: float | None = None,
    weights: Weights = "hard",
    activation: Literal["auto"] | Activation | None = "auto",
    include_background: bool = True,
    ignore_index: int = IGNORE,
    temperature: float = 1.0,
    sync: bool = False,
) -> Tensor:
    r"""Return the segmentation loss, which weighs pixels by their class's IoU derivative (Eq. 7).

    For a class with intersection g and union f, counted over the whole batch, positive pixels
    weigh W_p = 1/f and negative ones W_n = g/f² (Eq. 5); both are constants for the gradient.
    With s = activation(scores / temperature) of a pixel, y its class and t any other class, the
    pixel adds W_p[y] · L_p + Σ_t W_n[t] · L_n[t], where

    * `form="linear"` (Eq. 9): L_p = -s[y]; L_n[t] = 0 if s[y] > s[t] + margin, else s[t];
    * `form="hinge"` (Eq. 8): L_p = max(m - s[y] + margin, 0) with m the largest of the other
      classes' scores and 0 (the true class's own entry in PR ∘ GT⁻¹);
      L_n[t] = max(s[t] - s[y] + margin, 0).

    The sum over all pixels is divided by K · Σ_t (W_p[t] + W_n[t]), K the number of pixels that
    count.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C).
        target: Class ids 0 to C - 1 or `ignore_index`, any integer dtype, the same shape without
            the class axis.
        form: "hinge" (Eq. 8) or "linear" (Eq. 9), whose gradient fades where softmax is sure, so
            that a network trained from scratch with it may never find a rare class.
        margin: The paper's g of Eqs. 8 and 9, 0 or more, in units of s. None is 1, and 0 for
            "linear" without softmax. Probabilities never differ by more than 1, so that Eq. 9
            of softmax then always counts the other classes' scores; with less, a class may rise
            unpunished until it is within the margin of the true one. On scores in (-1, 1), 0.1
            is better for "hinge".
        weights: Intersection and union from the arg-max prediction ("hard") or from softmax
            probabilities ("soft").
        activation: Applied to the divided scores: "softmax" (over classes), "tanh" or None;
            "auto" is softmax for "linear" and None for "hinge". Without one the linear form is
            Eq. 9 as printed and has no lower bound: for scores in [-1, 1] alone.
        include_background: Whether class 0 is one of the classes of Eq. 7's sums; only "hinge"
            can do without. Its pixels count in K and as negatives of the others either way.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores first; below 1 for softmax of scores in (-1, 1).
        sync: Under `torch.distributed`, count intersection, union and K over all ranks; every
            rank must make the call. Each rank returns world size × its own numerator / the joint
            denominator, so that the ranks' mean, and the gradient that DDP averages, are those of
            one process on the joined batch.

    Returns:
        A scalar, at least float32. A class that neither occurs nor is predicted contributes
        nothing; 0 where no pixel counts, such as in an empty batch.

    Raises:
        InputError: Shapes or types that do not belong together, options that do not, a class id
            out of range or, on the CPU, scores outside [-1, 1] that are to be trained by the
            linear form without an activation. Elsewhere, and in compiled code, the loss is then
            NaN and its gradient 0, because a look at the values would make the device wait.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(2, 5, 3, 4, 4).requires_grad_()  # two clips of five frames
        >>> target = torch.ones(2, 5, 4, 4, dtype=torch.uint8)
        >>> loss = segmentation_loss(scores, target, form="hinge")
        >>> loss.backward()
        >>> round(loss.item(), 3)
        0.5
    """
    margin, activation = _settle(form, margin, weights, activation, include_background, temperature)
    pixels = to_pixels("segmentation_loss", scores, target, ignore_index)
    raw = form == "linear" and activation is None and pixels.scores.requires_grad
    unbounded = _find_free(pixels.scores) if raw else None

    def settle(counts: Counts) -> Factors:
        ranks, counts = sum_over_ranks(counts, sync)
        positive, negative = _normalised_weights(*counts, include_background)
        return ranks * positive, ranks * negative, None

    def slope(part: Part, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor | None]:
        if form == "hinge":
            return _hinge(part, positive, negative, margin)
        if activation == "softmax" and margin >= 1:  # no probability is below another by more
            return pay_for_all(part, positive, negative)
        return _linear(part, positive, negative, margin)

    counted: Counted = "hard" if weights == "hard" else "softmax"
    loss = by_hand(pixels, activation, temperature, counted, settle, slope)
    return loss if unbounded is None else torch.where(unbounded, math.nan, loss)


def _find_free(scores: Tensor) -> Tensor | None:
    """Return whether scores (N, C, H, W) leave [-1, 1], a bool scalar; None on the CPU.

    Raises:
        InputError: They do, on the CPU.
    """
    if not scores.numel():
        return None
    largest = scores.detach().abs().amax()
    free = largest > _BOUND
    if scores.device.type != "cpu" or torch.compiler.is_compiling():
        return free
    if free:
        raise InputError(
            f"segmentation_loss got form='linear', activation=None and scores up to {largest:.3g} "
            "from 0: Eq. 9 without an activation has no lower bound unless the scores stay in "
            "[-1, 1]. Leave activation at 'auto' (softmax), or give form='hinge'."
        )
    return None


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


def _linear(part: Part, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, None]:
    """Return the slopes of Eq. 9: W_n of classes that are not below the true one, and -W_p."""
    limit = own_score(part, margin)
    slope = torch.ge(part.scores, limit, out=part.spare[-1]).mul_(negative)
    return slope.lerp_(-positive, part.truth), None


def _hinge(part: Part, positive: Tensor, negative: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return slopes and constant of Eq. 8."""
    limit = own_score(part, margin)
    rivals = torch.mul(part.truth, positive, out=part.spare[0])
    weight = rivals.sum(dim=1, keepdim=True)
    lowest = part.scores.new_tensor(torch.finfo(limit.dtype).min)
    torch.addcmul(part.scores, part.truth, lowest, out=rivals)
    best = rivals.amax(dim=1, keepdim=True)
    leader = part.spare[1] if len(part.spare) > 1 else torch.empty_like(rivals)
    first_only(torch.eq(rivals, best, out=leader), best.numel())
    # max(PR ∘ (GT)⁻¹), in which the true class's entry is 0
    missed = torch.gt(best.clamp(min=0), limit, out=torch.empty_like(limit)).mul_(weight)
    slope = torch.gt(rivals, limit, out=rivals).mul_(negative)
    pushed = slope.sum(dim=1, keepdim=True).add_(missed)
    constant = margin * pushed.sum()
    # the maximum's slope; none where it is the constant 0
    torch.addcmul(slope, leader, missed.mul_(torch.gt(best, 0, out=best)), out=leader)
    return leader.addcmul_(part.truth, pushed, value=-1), constant


def _settle(
    form: str,
    margin: float | None,
    weights: str,
    activation: Literal["auto"] | Activation | None,
    include_background: bool,
    temperature: float,
) -> tuple[float, Activation | None]:
    """Check the options; return margin and activation with their defaults filled in."""
    name = "segmentation_loss"
    check_choice(name, "form", form, ("hinge", "linear"))
    check_choice(name, "weights", weights, ("hard", "soft"))
    check_choice(name, "activation", activation, ("auto", None, "tanh", "softmax"))
    check_positive(name, "temperature", temperature)
    if activation == "auto":
        activation = "softmax" if form == "linear" else None
    if margin is None:
        margin = 1.0 if form == "hinge" or activation == "softmax" else 0.0
    if not 0 <= margin < math.inf:  # NaN is neither
        raise InputError(f"{name} got margin {margin}: give a finite number, 0 or more.")
    if form == "linear" and not include_background:
        raise InputError(
            f"{name} got form='linear' and include_background=False: Eq. 9 then hardly ever raises "
            "background's score, and its IoU falls to 0. Give include_background=True or "
            "form='hinge'."
        )
    return margin, activation


class SegmentationLoss(LossModule):
    """Segmentation loss (Eq. 7) as a module, see `segmentation_loss`.

    Args:
        form: "hinge" (Eq. 8) or "linear" (Eq. 9).
        margin: The paper's g of Eqs. 8 and 9, 0 or more; null is 1, and 0 for "linear" without
            softmax. For "hinge" on scores in (-1, 1) 0.1 is better.
        weights: Intersection and union of the arg-max prediction ("hard") or of softmax
            probabilities ("soft").
        activation: Applied to the divided scores: "softmax", "tanh" or null; "auto" is softmax
            for "linear" and null for "hinge". Eq. 9 as printed, "linear" with null, is for
            scores in [-1, 1] alone.
        include_background: Whether class 0 is one of the classes of Eq. 7's sums; only "hinge"
            can do without.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores first; below 1 for softmax of scores in (-1, 1).
        sync: Count over all ranks, in training mode only: in evaluation ranks may have
            different numbers of batches and would wait for each other for ever.

    Raises:
        InputError: An unknown option, a negative margin, a temperature that is not positive or
            "linear" without the background.
    """

    def __init__(
        self,
        form: Form = "hinge",
        margin: float | None = None,
        weights: Weights = "hard",
        activation: Literal["auto"] | Activation | None = "auto",
        include_background: bool = True,
        ignore_index: int = IGNORE,
        temperature: float = 1.0,
        sync: bool = False,
    ) -> None:
        super().__init__()
        self.form: Form = form
        self.margin, self.activation = _settle(
            form, margin, weights, activation, include_background, temperature
        )
        self.weights: Weights = weights
        self.include_background = include_background
        self.ignore_index = ignore_index
        self.temperature = temperature
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
            self.temperature,
            self.sync and self.training,
        )
