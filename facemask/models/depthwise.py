"""Depthwise convolution whose gradients are fast on a CPU.

The CPU library (oneDNN 3.12) computes the gradient of a depthwise kernel well if the kernel is at
most three wide, and takes ten times as long (a hundred in bfloat16) for a wider one; and that of
the input in bfloat16 well unless there is a stride. So wider kernels' gradients are computed in
pieces, and strided ones' in float32. `benchmarks/network.py` has the times.
"""

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Pair: TypeAlias = tuple[int, ...]
"""Of height and width."""
_WIDTH = 3
"""Columns of a kernel whose gradient is computed at once."""


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """Convolve each channel with a kernel of its own, like `F.conv2d` with as many groups.

    The result is that of `F.conv2d`; gradients are equal up to rounding. There is no second
    derivative. Under autocast it computes in the lower precision, as `F.conv2d` does.

    Args:
        x: (N, C, H, W), best channels-last.
        weight: (C, 1, k, l).
        stride: Along height and width.
        padding: Zeros above and below, and on the left and the right.

    Returns:
        (N, C, h, w).
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    result: Tensor = _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        of_x, of_weight = ctx.needs_input_grad[:2]
        return (
            _input_gradient(grad, x, weight, ctx.stride, ctx.padding) if of_x else None,
            _weight_gradient(grad, x, weight, ctx.stride, ctx.padding) if of_weight else None,
            None,
            None,
        )


def _input_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    dtype = torch.float32 if max(stride) > 1 and x.dtype == torch.bfloat16 else x.dtype
    grad, like, weight = (tensor.to(dtype) for tensor in (grad, x, weight))
    return _gradients(grad, like, weight, stride, padding, (True, False, False))[0].to(x.dtype)


def _weight_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair
) -> Tensor:
    wanted = (False, True, False)
    if weight.shape[-1] <= _WIDTH:
        return _gradients(grad, x, weight, stride, padding, wanted)[1]
    parts: list[Tensor] = []
    for part in torch.split(weight, _WIDTH, dim=-1):
        # columns of x that these columns of the kernel touch, zeros where there are none
        first = sum(done.shape[-1] for done in parts) - padding[1]
        stop = first + part.shape[-1] + (grad.shape[-1] - 1) * stride[1]
        touched = F.pad(x, (-first, stop - x.shape[-1]))
        touched = touched.contiguous(memory_format=torch.channels_last)
        parts.append(_gradients(grad, touched, part, stride, (padding[0], 0), wanted)[1])
    return torch.cat(parts, dim=-1)


def _gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Pair,
    padding: Pair,
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of input, weight and bias that are wanted."""
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), wanted
    )
    return gradients
