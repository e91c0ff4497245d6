"""Arg-max over classes, fast on a CPU."""

import torch
from torch import Tensor


def first_argmax(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum over the class axis and the first class that has it.

    `torch.argmax` over an axis that is not the last one takes 50 times as long on a CPU (torch
    2.13, five classes at 1280 × 720: 170 against 3 ms).

    Args:
        scores: Floating point (..., C, H, W).

    Returns:
        Maximum and index, (..., 1, H, W); the index is uint8, or int64 off the CPU, in compiled
        code or for many classes.

    Examples:
        >>> import torch
        >>> best, index = first_argmax(torch.tensor([[[0.25, 3.0]], [[0.5, 3.0]]]))
        >>> best.tolist(), index.tolist()
        ([[[0.5, 3.0]]], [[[1, 0]]])
    """
    if scores.device.type != "cpu" or torch.compiler.is_compiling() or scores.shape[-3] > 128:
        best, index = scores.max(dim=-3, keepdim=True)
        return best, index
    # count the classes before the first one that reaches the maximum
    best = scores.amax(dim=-3)
    below = torch.ones_like(best, dtype=torch.bool)
    index = torch.zeros_like(best, dtype=torch.uint8)
    for plane in scores.unbind(dim=-3)[:-1]:
        index += below.logical_and_(plane != best)
    return best.unsqueeze(-3), index.unsqueeze(-3)
