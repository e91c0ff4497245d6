"""Convolutions by the operators that are fastest on a CPU."""

import platform
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.models.depthwise import depthwise_conv2d

_ONEDNN: Final = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and platform.machine() in ("x86_64", "AMD64")
)
"""Whether torch's CPU library is the one that was measured."""


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


class TunedConv2d(nn.Conv2d):
    """`nn.Conv2d`, or timm's with TensorFlow's padding, by the operators fastest on a CPU.

    * A 1 × 1 kernel is said to be dilated, which means nothing for a single tap: torch keeps a
      float32 convolution of fewer than 16 images by one thread from the CPU library (oneDNN) if it
      is 1 × 1 and neither strided nor dilated; its own is half as fast, a fifth with gradients.
    * TensorFlow's padding needs a padded copy of the input only where it differs between two
      sides: for stride 2 at even sizes.
    * Depthwise kernels have the gradients of `depthwise_conv2d`.

    Programs that `torch.compile` or `torch.export` make are those of the plain layers.

    Attributes:
        same: Whether the input is padded as TensorFlow does ("SAME"), rather than by `padding`.
    """

    same = False

    @classmethod
    def like(cls, layer: nn.Conv2d, same: bool = False) -> "TunedConv2d":
        """Return what computes the same as a layer with zero padding, and shares its parameters."""
        settings: dict[str, Any] = {
            name: getattr(layer, name)
            for name in ("kernel_size", "stride", "padding", "dilation", "groups")
        }
        tuned = cls(layer.in_channels, layer.out_channels, **settings, device="meta")
        tuned.weight, tuned.bias, tuned.same = layer.weight, layer.bias, same
        return tuned.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, in, H, W)."""
        plain = torch.compiler.is_compiling()
        padding, dilation = self.padding, self.dilation
        if self.same:
            x, padding = self._pad(x, always=plain)
        if _ONEDNN and not plain and x.device.type == "cpu":
            if self.kernel_size == (1, 1) and x.dtype == torch.float32:
                dilation = (2, 2)
            elif self._has_slow_gradient() and isinstance(padding, tuple):
                return depthwise_conv2d(x, self.weight, self.stride, padding)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, dilation, self.groups)

    def _has_slow_gradient(self) -> bool:
        depthwise = self.groups == self.in_channels == self.out_channels and self.bias is None
        strided_or_wide = max(self.stride) > 1 or self.kernel_size[1] > 3
        trained = torch.is_grad_enabled() and self.weight.requires_grad
        return depthwise and self.dilation == (1, 1) and strided_or_wide and trained

    def _pad(self, x: Tensor, always: bool) -> tuple[Tensor, tuple[int, int]]:
        """Return the input, padded where it must be, and what the convolution is to pad."""
        layer = (x.shape[-2:], self.kernel_size, self.stride, self.dilation)
        height, width = (_same_padding(*axis) for axis in zip(*layer, strict=True))
        if not always and height % 2 == width % 2 == 0:
            return x, (height // 2, width // 2)
        sides = (width // 2, width - width // 2, height // 2, height - height // 2)
        return F.pad(x, sides), (0, 0)


def _same_padding(side: int, kernel: int, stride: int, dilation: int) -> int:
    """Return how many pixels TensorFlow's padding adds to a side.

    In the form that torch.export, to which a side may be a symbol, simplifies: with another one, or
    with a `max` that is not needed, graphs of any size take minutes to export.
    """
    reach = (kernel - 1) * dilation + 1
    total = ((side + stride - 1) // stride - 1) * stride + reach - side
    return total if reach >= stride else max(0, total)
