"""Counting of pixels whose label leaves several classes open (`facemask.classes.OPEN`)."""

from typing import NamedTuple

import torch
from torch import Tensor

from facemask.classes import CLASS_SETS, IGNORE, OPEN, classes_of
from facemask.errors import InputError
from facemask.metrics.confusion import check_ids, confusion_matrix


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
    check_ids(prediction, "prediction")
    check_ids(target, "target")
    is_set = _sets(target, ignore_index)
    confusion = confusion_matrix(
        prediction,
        target if is_set is None else target.long().masked_fill(is_set, ignore_index),
        num_classes,
        ignore_index,
    )
    labelled = confusion.sum(dim=1)
    possible = torch.zeros_like(labelled)
    if is_set is None:
        return OpenCounts(confusion, labelled, possible)
    guesses = prediction[is_set].long()
    low, high = (int(guess) for guess in guesses.aminmax())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"The prediction holds class id {low if low < 0 else high}: give 0 to "
            f"{num_classes - 1}."
        )
    pairs = torch.bincount(target[is_set].long() * num_classes + guesses)
    for pair in pairs.nonzero().flatten().tolist():
        (label, guess), pixels = divmod(pair, num_classes), pairs[pair]
        members = _members(label, num_classes)
        possible[list(members)] += pixels
        if guess not in members:
            confusion[members[0], guess] += pixels
    return OpenCounts(confusion, labelled, possible)


def _sets(target: Tensor, ignore_index: int) -> Tensor | None:
    """Return where a label is one of several classes; None where none is."""
    if not target.numel():
        return None
    found = (target >= OPEN) & (target <= max(CLASS_SETS))
    if OPEN <= ignore_index <= max(CLASS_SETS):
        found &= target != ignore_index
    return found if bool(found.any()) else None


def _members(label: int, num_classes: int) -> tuple[int, ...]:
    members = classes_of(label)
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
