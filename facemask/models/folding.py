"""BatchNorm folded into the convolutions before it, for inference."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_batchnorm(network: Network, image: Tensor) -> Network:
    """A copy of a network in which convolutions do the work of the BatchNorms behind them.

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


def _pairs(network: nn.Module, image: Tensor) -> dict[nn.Conv2d, nn.BatchNorm2d]:
    """Each convolution whose output goes straight into a BatchNorm, with that."""
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
    """What else a layer does: nothing, or, as timm's `BatchNormAct2d`, drop and act."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*parts) if parts else nn.Identity()
