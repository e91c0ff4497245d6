"""The multiple-class IoU loss (Eq. 3)."""

import torch
from torch import Tensor

from facemask.classes import IGNORE
from facemask.losses._by_hand import Factors, by_hand, pay_for_all
from facemask.losses._pixels import (
    Activation,
    Counts,
    LossModule,
    check_choice,
    check_positive,
    sum_over_ranks,
    to_pixels,
)


def iou_loss(
    scores: Tensor,
    target: Tensor,
    activation: Activation | None = "softmax",
    include_background: bool = True,
    ignore_index: int = IGNORE,
    temperature: float = 1.0,
    sync: bool = False,
) -> Tensor:
    """Return one minus the mean over classes of the soft IoU of the whole batch (Eq. 3).

    With p a class's probability and q whether it is the true class, a class's IoU is
    Σ p·q / Σ (p + q - p·q) over all pixels of the batch that count.

    The ConvLSTM-FCN's scores lie in (-1, 1), so that softmax gives the true one of five classes
    at most e² / (e² + 4) and the loss cannot fall below about 0.52 on classes of equal size. A
    temperature below 1 widens that range; 1 is the literal reading of the paper.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C).
        target: Class ids 0 to C - 1 or `ignore_index`, any integer dtype, the same shape without
            the class axis.
        activation: "softmax" over classes for any scores; None where the scores are probabilities
            in [0, 1] already.
        include_background: Whether class 0 is one of the classes of the mean.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores before the softmax.
        sync: Under `torch.distributed`, sum over all ranks; every rank must make the call. Each
            rank returns one minus the mean of world size × its own intersection / the joint
            union, so that the ranks' mean, and the gradient that DDP averages, are those of one
            process on the joined batch.

    Returns:
        A scalar, at least float32; in [0, 1] without `sync`. A class that does not occur but has
        probability counts as IoU 0, as in Eq. 3; one with an empty union is left out of the mean.
        0 where no pixel counts, such as in an empty batch.

    Raises:
        InputError: Shapes or types that do not belong together, an unknown activation, a
            temperature that is not positive or a class id out of range.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(2, 5, 3, 4, 4).requires_grad_()  # two clips of five frames
        >>> loss = iou_loss(scores, torch.ones(2, 5, 4, 4, dtype=torch.uint8))
        >>> loss.backward()
        >>> round(loss.item(), 4)  # one of three classes occurs, at a third: 1 - (1/3) / 3
        0.8889
    """
    _check_options(activation, temperature)
    pixels = to_pixels("iou_loss", scores, target, ignore_index)

    def settle(own: Counts) -> Factors:
        ranks, (intersection, union, _) = sum_over_ranks(own, sync)
        share = (union > 0).to(union.dtype)  # of each class in the mean
        if not include_background:
            share[0] = 0
        share /= share.sum().clamp(min=1)
        union = union.clamp(min=torch.finfo(union.dtype).tiny)
        inverse = ranks * share / union
        # the derivative of -IoU (Eq. 5): -1 / f where q = 1, g / f² where q = 0
        return inverse, inverse * intersection / union, share.sum() - (inverse * own[0]).sum()

    return by_hand(pixels, activation, temperature, "scores", settle, pay_for_all)


def _check_options(activation: str | None, temperature: float) -> None:
    check_choice("iou_loss", "activation", activation, (None, "softmax"))
    check_positive("iou_loss", "temperature", temperature)


class IoULoss(LossModule):
    """IoU loss (Eq. 3) as a module, see `iou_loss`.

    Args:
        activation: "softmax" for any scores; None for probabilities.
        include_background: Whether class 0 is one of the classes of the mean.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores before the softmax.
        sync: Sum over all ranks, in training mode only: in evaluation ranks may have
            different numbers of batches and would wait for each other for ever.

    Raises:
        InputError: An unknown activation or a temperature that is not positive.
    """

    def __init__(
        self,
        activation: Activation | None = "softmax",
        include_background: bool = True,
        ignore_index: int = IGNORE,
        temperature: float = 1.0,
        sync: bool = False,
    ) -> None:
        super().__init__()
        _check_options(activation, temperature)
        self.activation: Activation | None = activation
        self.include_background = include_background
        self.ignore_index = ignore_index
        self.temperature = temperature
        self.sync = sync

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores and class ids, see `iou_loss`."""
        return iou_loss(
            scores,
            target,
            self.activation,
            self.include_background,
            self.ignore_index,
            self.temperature,
            self.sync and self.training,
        )
