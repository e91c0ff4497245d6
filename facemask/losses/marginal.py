"""Labels that leave several classes open: their scores are merged, then any loss is as usual."""

import functools

import torch
from torch import Tensor, nn

from facemask.classes import CLASS_SETS, IGNORE, OPEN, classes_of
from facemask.errors import InputError
from facemask.losses._pixels import check_positive, check_shapes
from facemask.losses.composite import CompositeLoss
from facemask.losses.iou import IoULoss
from facemask.losses.segmentation import SegmentationLoss

# Temperatures below a pixel's lowest score: softmax of it is 0, and no margin reaches it.
_FAR = 1e4


def holds_class_sets(target: Tensor, ignore_index: int = IGNORE) -> bool:
    """Return whether some label leaves several classes open, see `facemask.classes.OPEN`.

    Args:
        target: Class ids, any integer dtype and shape.
        ignore_index: The label that is none.
    """
    return bool(_is_set(target, ignore_index).any())


def _is_set(target: Tensor, ignore_index: int) -> Tensor:
    if target.dtype == torch.uint8 and not 0 <= ignore_index <= 255:
        return target >= OPEN  # in bytes -100 would be 156
    return (target >= OPEN) & (target != ignore_index)


def merge_class_sets(
    scores: Tensor, target: Tensor, temperature: float = 1.0, ignore_index: int = IGNORE
) -> tuple[Tensor, Tensor]:
    r"""Merge the scores of the classes that a pixel may be, for labels that leave several open.

    This is the marginal loss of Shi et al. 2021, "Marginal loss and exclusion loss for partially
    supervised multi-organ segmentation", Medical Image Analysis 70, for any loss: softmax of the
    merged scores gives the lowest of the classes the sum of their probabilities, and the others
    none, so that cross-entropy of them is minus the logarithm of that sum.

    Where a label is 128 + Σ 2**c over a set of classes (`facemask.classes.class_set_id`), the set's
    lowest class gets the score temperature · log Σ exp(scores / temperature) over the set, its
    other classes one far below all scores, without gradient; the label becomes the lowest class,
    or `ignore_index` where the set holds all classes. All other pixels stay as they are.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C), before any activation.
        target: Class ids, sets of them or `ignore_index`, any integer dtype, the same shape without
            the class axis.
        temperature: The loss's own, by which it divides the scores.
        ignore_index: Label of the pixels that do not count.

    Returns:
        Scores and target for the loss: those given, where no label is a set; else the scores in
        float32 at least, and the target int64.

    Raises:
        InputError: Shapes or types that do not belong together, a temperature that is not
            positive, or a label from 128 on that is no set of the scores' classes.

    Examples:
        >>> from facemask.losses import cross_entropy
        >>> scores = torch.tensor([[2.0, 1.0, 0.0]]).log_softmax(dim=1)  # 0.665, 0.245, 0.090
        >>> merged, target = merge_class_sets(scores, torch.tensor([131]))  # class 0 or 1
        >>> target.tolist(), round(cross_entropy(merged, target).item(), 4)  # -log(1 - 0.090)
        ([0], 0.0943)
    """
    name = "merge_class_sets"
    check_positive(name, "temperature", temperature)
    check_shapes(name, scores, target)
    held = target[_is_set(target, ignore_index)]
    if not held.numel():
        return scores, target
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    axis = 2 if scores.ndim == 5 else 1
    planes = list(scores.unbind(axis))
    far = scores.detach().amin() - _FAR * temperature
    closed = target.long().clone()
    for label in _values(held):
        first, *others = _members(name, label, len(planes))
        here = target == label
        if 1 + len(others) == len(planes):
            closed.masked_fill_(here, ignore_index)
            continue
        inside = (planes[c] / temperature for c in (first, *others))
        merged = temperature * functools.reduce(torch.logaddexp, inside)
        planes[first] = torch.where(here, merged, planes[first])
        for other in others:
            planes[other] = torch.where(here, far, planes[other])
        closed.masked_fill_(here, first)
    return torch.stack(planes, axis), closed


def _values(labels: Tensor) -> list[int]:
    """Return the different labels, from 128 on; quicker than sorting them."""
    largest = int(labels.max())
    if largest > max(CLASS_SETS):
        return [largest]  # none of ours
    counts = torch.bincount(labels.long() - OPEN)
    return [OPEN + label for label in counts.nonzero().flatten().tolist()]


def _members(name: str, label: int, classes: int) -> tuple[int, ...]:
    try:
        members = classes_of(label)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if members[-1] >= classes:
        raise InputError(
            f"{name} got label {label}, which is class {' or '.join(map(str, members))}, and "
            f"scores of {classes} classes: give sets of classes 0 to {classes - 1}."
        )
    return members


def merging_temperature(loss: nn.Module) -> float:
    """Return the temperature to merge scores with for a loss: its own, 1 where it has none.

    Args:
        loss: Any; the terms of a `CompositeLoss` must have one temperature.

    Raises:
        InputError: They have not, or the loss takes what cannot be merged: Eq. 9 and the IoU loss
            without an activation.
    """
    if not isinstance(loss, CompositeLoss):
        raw = (
            (loss.form, loss.activation) == ("linear", None)
            if isinstance(loss, SegmentationLoss)
            else isinstance(loss, IoULoss) and loss.activation is None
        )
        if raw:
            raise InputError(
                f"{type(loss).__name__} without an activation got labels that leave several "
                "classes open, whose scores are merged as those before a softmax: give "
                "activation='softmax'."
            )
        return float(getattr(loss, "temperature", 1.0))
    found = {name: merging_temperature(term) for name, term in loss.terms.items()}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {value:g}" for name, value in found.items())
        raise InputError(
            f"CompositeLoss has terms of several temperatures ({listed}) and got labels that leave "
            "several classes open, whose scores are merged with one: give all terms the same."
        )
    return next(iter(found.values()))
