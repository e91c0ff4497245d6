"""Convolution of wide features to few channels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def conv2d_same(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with stride 1 and "same" zero padding, by the way that is fastest here.

    The convolution from wide features to few gates is slow in the CPU library on channels-last
    data (`benchmarks/convlstm.py`), so it is computed as a matrix product: for kernel 1 that is
    all; else each of the k² taps is one, and `F.fold` adds the results, shifted. That holds
    k²·out channels in memory, hence only while they are fewer than those of the input.

    Args:
        x: (N, in, H, W), best channels-last.
        weight: (out, in, k, k), k odd.
        bias: (out,) or None.

    Returns:
        (N, out, H, W).
    """
    out_channels, in_channels, k, _ = weight.shape
    if k == 1:
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
    if k * k * out_channels > in_channels:
        return F.conv2d(x, weight, bias, padding=k // 2)
    # A tap at offset (dy, dx) takes from x[p + d]; fold adds what comes from p at p + d: flip.
    taps = weight.flip(2, 3).movedim(1, -1).flatten(0, 2)  # (out·k·k, in)
    columns = F.linear(x.movedim(1, -1).flatten(1, 2), taps)  # (N, H·W, out·k·k)
    columns = columns.to(torch.promote_types(columns.dtype, torch.float32))  # taps add up
    y = F.fold(columns.transpose(1, 2), x.shape[2:], k, padding=k // 2)  # (N, out, H, W)
    if bias is not None:
        y = y + bias[:, None, None]
    return y.to(torch.promote_types(x.dtype, weight.dtype))
