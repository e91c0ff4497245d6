"""Intersections and unions of a batch, hard or soft, and their sum over ranks."""

from typing import TypeAlias

import torch
from torch import Tensor

from facemask.losses._inputs import Pixels

# intersection (C,), union (C,) and the number K of pixels that count; float64 where there is one
Counts: TypeAlias = tuple[Tensor, Tensor, Tensor]


def compact(ids: Tensor, classes: int) -> Tensor:
    """Return class ids in uint8, which is faster, where pairs of them fit in it, else int64."""
    return ids.to(torch.uint8 if classes**2 < 255 else torch.int64)


def hard_counts(pixels: Pixels, predicted: Tensor) -> Counts:
    """Count intersection, union and K of predicted class ids (N, 1, H, W)."""
    classes = pixels.scores.shape[1]
    pair = torch.add(compact(predicted, classes), compact(pixels.target, classes), alpha=classes)
    pair = (pair + 1).mul_(~pixels.ignored)  # bin 0 takes the ignored pixels
    if torch.compiler.is_compiling():
        ids = pair.flatten().long()
        bins = class_sums(ids, torch.ones_like(ids), classes**2 + 1)
    else:
        bins = torch.bincount(pair.flatten(), minlength=classes**2 + 1).to(wide(pair.device))
    matrix = bins[1:].view(classes, classes)
    intersection = matrix.diagonal()
    return intersection, matrix.sum(dim=0) + matrix.sum(dim=1) - intersection, matrix.sum()


def soft_counts(pixels: Pixels) -> Counts:
    """Sum p·q, p + q - p·q and K for probabilities p (the pixels' scores) and truth q."""
    probability = pixels.scores
    classes = probability.shape[1]
    counted = (~pixels.ignored).to(probability.dtype)
    ids = pixels.target.flatten()
    of_truth = probability.gather(1, pixels.target).mul_(counted).flatten()
    intersection = class_sums(ids, of_truth, classes)
    truth = class_sums(ids, counted.flatten(), classes)
    predicted = (probability * counted).sum(dim=(0, 2, 3)).to(truth.dtype)
    return intersection, predicted + truth - intersection, truth.sum()


def wide(device: torch.device) -> torch.dtype:
    """Return the type for sums over all pixels: float64, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def class_sums(ids: Tensor, values: Tensor, num_classes: int) -> Tensor:
    """Sum the values (M,) of each class id (M,): float64 (num_classes,).

    `index_add` and not `bincount`, whose output's size depends on the data: torch.compile takes
    it whole.
    """
    sums = torch.zeros(num_classes, dtype=wide(values.device), device=values.device)
    return sums.index_add(0, ids, values.to(sums.dtype))


def sum_over_ranks(counts: Counts, sync: bool) -> tuple[int, Counts]:
    """Add up the counts of all processes, in one all-reduce and outside the gradient.

    Returns:
        The number of processes (1 where not asked or not distributed) and the sums.
    """
    if not (sync and torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1, counts
    joint = torch.cat([count.flatten() for count in counts])
    torch.distributed.all_reduce(joint)
    classes = len(counts[0])
    sums = (joint[:classes], joint[classes:-1], joint[-1])
    return torch.distributed.get_world_size(), sums
