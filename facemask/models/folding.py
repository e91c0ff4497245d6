"""BatchNorm and padding folded into convolutions, for inference."""

import copy
from typing import Any, Final, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facemask.models.convolution import TunedConv2d
from facemask.models.fcn import EncoderNetwork

Network = TypeVar("Network", bound=nn.Module)
_BITS_OF_6: Final = 0x40C0
"""Bits of 6 in bfloat16."""


def fold_batchnorm(network: Network, image: Tensor) -> Network:
    """Copy a network and let its convolutions do the work of the BatchNorms behind them.

    Which BatchNorm follows which convolution is seen while an image passes through. timm's layers
    that norm and activate go on to activate.

    Args:
        network: In eval mode.
        image: An image or a clip that it takes, on its device; its content does not matter.

    Returns:
        A network with the same results up to rounding, in eval mode, not to be trained; the
        network itself where it has no BatchNorm.

    Examples:
        >>> from facemask.models import FCN
        >>> image = torch.rand(1, 3, 64, 64)
        >>> network = FCN("test_resnet").eval()
        >>> folded = fold_batchnorm(network, image)
        >>> any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
        False
        >>> torch.allclose(folded(image), network(image), atol=1e-4)
        True
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    folded = copy.deepcopy(network).eval()
    pairs = _pairs(folded, image)
    for convolution, norm in pairs.items():
        fused = fuse_conv_bn_eval(convolution, norm)
        convolution.weight, convolution.bias = fused.weight, fused.bias
    replaced = {norm: _without_norm(norm) for norm in pairs.values()}
    for module in list(folded.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d) and child in replaced:
                setattr(module, name, replaced[child])
    return folded


class EvenConv2d(nn.Module):
    """Stride-2 convolution with TensorFlow's padding, which is one larger on the far side.

    PyTorch pads both sides alike, so that at even sizes a copy of the image must be padded first,
    which takes longer than the convolution. There a kernel with a row and a column of zeros on the
    near side and equal padding give the same.

    Args:
        convolution: An odd square kernel, stride 2, no dilation, with TensorFlow's padding.
    """

    weight: Tensor

    def __init__(self, convolution: TunedConv2d) -> None:
        super().__init__()
        self.convolution = convolution
        weight = F.pad(convolution.weight.detach(), (1, 0, 1, 0))
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            return self.convolution(x)  # type: ignore[no-any-return]
        padding = (self.weight.shape[-1] - 2) // 2
        layer = self.convolution
        return F.conv2d(x, self.weight, layer.bias, 2, padding, groups=layer.groups)


def fold_padding(network: Network) -> Network:
    """Make stride-2 convolutions of timm's `tf_` models need no padded copy of the image.

    Args:
        network: In eval mode, without gradients to come; changed in place.

    Returns:
        The network, with the same results.

    Examples:
        >>> layer = nn.Sequential(TunedConv2d.like(nn.Conv2d(2, 2, 3, stride=2), same=True))
        >>> image = torch.rand(1, 2, 8, 6)
        >>> before = layer(image)
        >>> torch.allclose(fold_padding(layer)(image), before, atol=1e-6)
        True
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, TunedConv2d) and child.same and not isinstance(module, EvenConv2d):
                side = child.kernel_size[0]
                square = child.kernel_size == (side, side) and side % 2 == 1
                if square and child.stride == (2, 2) and child.dilation == (1, 1):
                    setattr(module, name, EvenConv2d(child))
    return network


class BitwiseReLU6(nn.Module):
    """ReLU6 in place, in bfloat16 on a CPU at a quarter of torch's time, with the same results.

    Read as integers, the bits of bfloat16 numbers from zero up are in the numbers' order, and those
    of negative numbers are negative. So integers are clamped, between 0 and the bits of 6, which a
    CPU does many at a time; torch takes every number to float32 and back. What is not a number
    becomes 0 or 6 here.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Clamp to [0, 6] in place."""
        if x.dtype != torch.bfloat16 or x.device.type != "cpu" or x.requires_grad:
            return F.relu6(x, inplace=True)
        x.view(torch.int16).clamp_(0, _BITS_OF_6)
        return x


def quicken(network: Network, bf16: bool) -> Network:
    """Cast an encoder's weights to bfloat16 once, rather than with every call, and its ReLU6 too.

    Args:
        network: One of this library's, in eval mode, without gradients to come; changed in place.
            Others stay as they are.
        bf16: Whether it is called under autocast to bfloat16, as it must be then.

    Returns:
        The network, with the same results.
    """
    if not bf16 or not isinstance(network, EncoderNetwork):
        return network
    finite = all(bool(weight.isfinite().all()) for weight in network.parameters())
    for module in list(network.encoder.modules()):
        if isinstance(module, nn.Conv2d):
            module.to(torch.bfloat16)
        for name, child in module.named_children():
            # clamped integers would hide what damaged weights give from the check of the scores
            if finite and isinstance(child, nn.ReLU6) and child.inplace:
                setattr(module, name, BitwiseReLU6())
    return network


def _pairs(network: nn.Module, image: Tensor) -> dict[nn.Conv2d, nn.BatchNorm2d]:
    """Pair each convolution whose output goes straight into a BatchNorm with that."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # by identity; the tensor is kept alive for it
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def convolved(module: nn.Module, _inputs: Any, output: Tensor) -> None:  # noqa: ANN401
        assert isinstance(module, nn.Conv2d)
        made[id(output)] = (module, output)

    def norms(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        if id(inputs[0]) in made:
            found.append((made[id(inputs[0])][0], module))

    hooks = [
        module.register_forward_hook(convolved)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(norms)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
    ]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    convolutions, bns = [pair[0] for pair in found], [pair[1] for pair in found]
    # layers that are used twice, with one of the two or none behind them, stay as they are
    return {
        convolution: norm
        for convolution, norm in found
        if convolutions.count(convolution) == 1
        and bns.count(norm) == 1
        and norm.track_running_stats
    }


def _without_norm(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what else a layer does: nothing, or, as timm's `BatchNormAct2d`, drop and act."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    parts = [part for part in parts if not isinstance(part, nn.Identity)]
    return nn.Sequential(*parts)
