"""Padding like TensorFlow's in whole numbers, which an exported graph of any size can compute."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


class SameConv2d(nn.Module):
    """A timm `Conv2dSame` whose padding is reckoned without `math.ceil`.

    That one cannot be written into a file of torch.export, and takes minutes to export. Where the
    size is fixed the padding is a constant, which runtimes join with the convolution.

    Args:
        convolution: The layer, whose weights are shared.
    """

    def __init__(self, convolution: Conv2dSame) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        layer, pads = self.convolution, list[int]()
        for axis in (1, 0):  # F.pad begins with the last one
            stride, side = layer.stride[axis], x.shape[axis - 2]
            reach = (layer.kernel_size[axis] - 1) * layer.dilation[axis]
            steps = (side + stride - 1) // stride - 1
            total = steps * stride + reach + 1 - side
            if reach + 1 < stride:  # else it is not below 0
                largest: Any = torch.sym_max  # which has no types
                total = largest(total, 0)
            pads += [total // 2, total - total // 2]
        padded = F.pad(x, pads)
        return F.conv2d(
            padded, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups
        )


def with_whole_padding(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose `Conv2dSame` layers pad in whole numbers.

    Examples:
        >>> layers = nn.Sequential(Conv2dSame(3, 2, 5, stride=2), Conv2dSame(2, 2, 3, stride=2))
        >>> image = torch.rand(1, 3, 10, 13)
        >>> torch.equal(with_whole_padding(layers)(image), layers(image))
        True
    """
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv2dSame) and not isinstance(module, SameConv2d):
                setattr(module, name, SameConv2d(child))
    return network
