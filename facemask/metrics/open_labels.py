"""Counting of pixels whose label leaves several classes open (`facemask.classes.OPEN`)."""

from typing import NamedTuple

import torch
from torch import Tensor

from facemask.classes import CLASS_SETS, IGNORE, OPEN
from facemask.errors import InputError
from facemask.metrics.confusion import check_pair, confusion_matrix, count_few, refuse


class OpenCounts(NamedTuple):
    """Pixels of masks that may leave classes open.

    Attributes:
        confusion: int64 (C, C) [truth, prediction], see `count_open`.
        labelled: Pixels labelled as a class and no other, int64 (C,).
        possible: Pixels that may be a class, and others, int64 (C,).
    """

    confusion: Tensor
    labelled: Tensor
    possible: Tensor


def count_open(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = IGNORE
) -> OpenCounts:
    """Count as `confusion_matrix` does, where labels may leave several classes open.

    Of a pixel that may be one of several classes, a prediction that is among these is not counted;
    another one is wrong, and counted with the lowest of them as the truth.

    Args:
        prediction: Predicted class ids 0 to C - 1, any integer dtype, any shape.
        target: True class ids, labels of several classes or `ignore_index`, the same shape.
        num_classes: C, at least 1.
        ignore_index: Target value of the pixels that do not count.

    Raises:
        InputError: As `confusion_matrix`, or a label is of a class that is none of the C.

    Examples:
        >>> truth = torch.tensor([131, 131, 131, 1], dtype=torch.uint8)  # 131: background or skin
        >>> count_open(torch.tensor([0, 1, 2, 1]), truth, num_classes=3).confusion.tolist()
        [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    check_pair(prediction, target, num_classes)
    quick = count_few(prediction, target, num_classes, ignore_index) if target.numel() else None
    if quick is None and _holds_sets(target, ignore_index):
        bytes_ = {prediction.dtype, target.dtype} == {torch.uint8} and 0 <= ignore_index <= IGNORE
        # the pairs of few classes fit in 16 bits: fresh memory costs more than the arithmetic
        dtype = torch.int16 if bytes_ and num_classes <= 100 else torch.int64
        return _count_table(prediction.to(dtype), target.to(dtype), num_classes, ignore_index)
    if quick is None:
        quick = confusion_matrix(prediction, target, num_classes, ignore_index)
    labelled = quick.sum(dim=1)
    return OpenCounts(quick, labelled, torch.zeros_like(labelled))


def _holds_sets(target: Tensor, ignore_index: int) -> bool:
    found = (target >= OPEN) & (target <= max(CLASS_SETS))
    if OPEN <= ignore_index <= max(CLASS_SETS):
        found &= target != ignore_index
    return bool(found.any())


def _count_table(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> OpenCounts:
    """Count by the pairs of label and predicted class that occur, in the tensors' own type."""
    ignored = target == ignore_index
    width = num_classes + 2  # with a place for predictions below 0 and above C - 1
    rows = target.clamp(-1, IGNORE - 1).add_(1).masked_fill_(ignored, IGNORE + 1)
    pairs = prediction.clamp(-1, num_classes).add_(1).add_(rows, alpha=width)
    table = torch.bincount(pairs.flatten(), minlength=(IGNORE + 2) * width).view(-1, width)[1:-1]
    confusion = table[:num_classes, 1:-1].clone()
    labelled = confusion.sum(dim=1)
    possible = torch.zeros_like(labelled)
    counted = labelled.sum()
    for label in (table.sum(dim=1) > 0).nonzero().flatten().tolist():
        if label in CLASS_SETS:
            members = list(_members(label, num_classes))
            here = table[label, 1:-1].clone()
            counted += here.sum()
            possible[members] += here.sum()
            here[members] = 0
            confusion[members[0]] += here
    if counted + ignored.sum() < target.numel():
        closed = torch.isin(target, torch.tensor(list(CLASS_SETS), device=target.device))
        refuse(prediction, target.masked_fill(closed, 0), num_classes, ignore_index)
    return OpenCounts(confusion, labelled, possible)


def _members(label: int, num_classes: int) -> tuple[int, ...]:
    members = CLASS_SETS[label]
    if members[-1] >= num_classes:
        raise InputError(
            f"The target holds label {label}, which is class {' or '.join(map(str, members))}: "
            f"give sets of classes 0 to {num_classes - 1}."
        )
    return members


def never_settled(labelled: Tensor, possible: Tensor) -> Tensor:
    """Return which classes are in labels of several classes only, bool (C,).

    Nothing is known of where they are, so that they have no IoU; see `OpenCounts`.
    """
    return (labelled == 0) & (possible > 0)
