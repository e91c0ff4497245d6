"""Confusion matrices of label images, and the IoU that follows from them (Eq. 2)."""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.classes import IGNORE
from facemask.errors import InputError

_ROW: Final = 16  # bins a true class in the quick way: 16 × 16 of them are numbered in a byte
Counts: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def confusion_matrix(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int = IGNORE
) -> Tensor:
    """Count the pixels of every pair (true class, predicted class), n_ij of Eq. 2.

    One integer `torch.bincount`: ignored pixels go to bins of their own, and so do ids that are
    out of range. Where the target is ignored the prediction may be anything.

    Args:
        prediction: Predicted class ids 0 to C - 1, any integer dtype, any shape.
        target: True class ids 0 to C - 1 or `ignore_index`, any integer dtype, the same shape.
        num_classes: C, at least 1.
        ignore_index: Target value of the pixels that do not count: any integer, a class id too.

    Returns:
        int64 (C, C) [truth, prediction], in pixels, on the target's device.

    Raises:
        InputError: An argument is no tensor of integers, the shapes or devices differ, or an id
            is out of range.

    Examples:
        >>> import torch
        >>> truth = torch.tensor([[0, 0, 1, 255]], dtype=torch.uint8)
        >>> guess = torch.tensor([[0, 1, 1, 1]])
        >>> confusion_matrix(guess, truth, num_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    check_pair(prediction, target, num_classes)
    if target.numel() == 0:
        return torch.zeros(num_classes, num_classes, dtype=torch.int64, device=target.device)
    quick = count_few(prediction, target, num_classes, ignore_index)
    if quick is not None:
        return quick
    counts = _count_pairs(prediction.long(), target.long(), num_classes, ignore_index)
    matrix = counts[1:-1, 1:-1].contiguous()
    if bool(counts.sum() > matrix.sum()):  # the only wait for a GPU, beside bincount's own
        refuse(prediction.long(), target.long(), num_classes, ignore_index)
    return matrix


def check_pair(prediction: Tensor, target: Tensor, num_classes: int) -> None:
    """Check types, shapes and devices, without looking at values.

    Raises:
        InputError: As `confusion_matrix`.
    """
    _check_ids(prediction, "prediction")
    _check_ids(target, "target")
    if prediction.shape != target.shape:
        raise InputError(
            f"The prediction has shape {tuple(prediction.shape)} and the target has shape "
            f"{tuple(target.shape)}: give class ids of one shape."
        )
    if prediction.device != target.device:
        raise InputError(
            f"The prediction is on {prediction.device} and the target is on {target.device}: "
            "move both to one device."
        )
    if num_classes < 1:
        raise InputError(f"num_classes is {num_classes}: give 1 or more.")


def _check_ids(ids: object, name: str) -> None:
    if not isinstance(ids, Tensor):
        raise InputError(
            f"The {name} is a {type(ids).__name__}: give a tensor, such as torch.from_numpy(array)."
        )
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise InputError(
            f"The {name} holds {str(ids.dtype).removeprefix('torch.')}: give class ids of an "
            "integer dtype, such as scores.argmax(dim=1) or mask.byte()."
        )


def count_few(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int
) -> Tensor | None:
    """Return the matrix of few classes, counted in bytes, or None where the slow way is needed."""
    if target.device.type != "cpu" or num_classes >= _ROW:
        return None
    if ignore_index != IGNORE:
        # ignored becomes 255, and 255 another id out of range; uint8 compared with -100 would wrap
        ids = target if target.dtype == torch.uint8 and 0 <= ignore_index < 255 else target.long()
        target = ids.masked_fill(ids == 255, 254).masked_fill_(ids == ignore_index, 255)
    truth, guess = _to_bytes(target), _to_bytes(prediction)
    if truth is None or guess is None:
        return None
    rows = truth.flatten() + 1  # 255 wraps to row 0
    if int(rows.max()) > num_classes or int(guess.max()) >= num_classes:
        return None  # ids out of range, or predicted where the target is ignored
    bins = torch.bincount(guess.flatten().add(rows, alpha=_ROW), minlength=_ROW * _ROW)
    return bins.view(_ROW, _ROW)[1 : num_classes + 1, :num_classes].contiguous()


def _to_bytes(ids: Tensor) -> Tensor | None:
    if ids.dtype == torch.uint8:
        return ids
    ids = ids.long()  # uint16 and wider know few operations
    low, high = ids.aminmax()
    return ids.byte() if int(low) >= 0 and int(high) <= 255 else None


def _count_pairs(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return the counts int64 (C + 2, C + 2) of pairs of target and prediction that count.

    The first and the last row and column are those of ids below 0 and above C - 1.
    """
    width = num_classes + 2
    rows = target.clamp(-1, num_classes).add_(1).masked_fill_(target == ignore_index, width)
    pairs = prediction.clamp(-1, num_classes).add_(1).add_(rows, alpha=width)
    bins = torch.bincount(pairs.flatten(), minlength=(width + 1) * width)
    return bins.view(width + 1, width)[:-1]  # without the ignored pixels


def refuse(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise an `InputError` that names a value out of range."""
    counted = target != ignore_index
    also = f", or {ignore_index} for pixels to ignore"
    for name, ids, more in (("target", target, also), ("prediction", prediction, "")):
        wrong = ids[counted & ((ids < 0) | (ids >= num_classes))]
        if wrong.numel():
            raise InputError(
                f"The {name} holds class id {int(wrong[0])}: give 0 to {num_classes - 1}{more}."
            )


def intersection_and_union(confusion: Tensor, ignore_index: int = IGNORE) -> tuple[Tensor, Tensor]:
    """Return each class's intersection n_ii and union, row sum + column sum - n_ii (Eq. 2).

    Args:
        confusion: int64 (C, C) [truth, prediction], see `confusion_matrix`.
        ignore_index: If this is a class id, that class gets 0 and 0: nothing is known of it.

    Returns:
        int64 (C,) and int64 (C,), in pixels.
    """
    intersection = confusion.diagonal().clone()
    union = confusion.sum(dim=0) + confusion.sum(dim=1) - intersection
    if 0 <= ignore_index < len(union):
        intersection[ignore_index] = union[ignore_index] = 0
    return intersection, union


def class_iou(confusion: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Return the IoU of each class (Eq. 2).

    Args:
        confusion: int64 (C, C) [truth, prediction], see `confusion_matrix`.
        ignore_index: If this is a class id, that class has no IoU.

    Returns:
        float64 (C,) in [0, 1] on the CPU; NaN for a class that neither occurs nor is predicted.
    """
    intersection, union = intersection_and_union(confusion.cpu(), ignore_index)
    return torch.from_numpy(iou_from_counts(intersection.numpy(), union.numpy()))


def iou_from_counts(intersection: Counts, union: Counts) -> npt.NDArray[np.float64]:
    """Return intersection / union, float64 of the same shape; NaN where the union is empty."""
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(intersection / union, np.float64)


def mean_iou(intersection: Counts, union: Counts) -> npt.NDArray[np.float64]:
    """Return the mean IoU over the foreground classes that are there.

    Args:
        intersection: Pixels of each class, (..., C), background first.
        union: The same shape.

    Returns:
        float64 (...) in [0, 1]; NaN where there is no foreground class.
    """
    iou = iou_from_counts(intersection[..., 1:], union[..., 1:])
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(np.nansum(iou, axis=-1) / (~np.isnan(iou)).sum(axis=-1), np.float64)
