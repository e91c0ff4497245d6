"""What the tests of networks on VGG-16 share."""

import math

import torch
from torch import Tensor, nn

WEIGHTS = {  # of torchvision's and timm's vgg16: convolutions of each index, outputs over base
    0: 1, 2: 1, 5: 2, 7: 2, 10: 4, 12: 4, 14: 4, 17: 8, 19: 8, 21: 8, 24: 8, 26: 8, 28: 8,
}  # fmt: skip


def vgg16_weights(base: int, fc: int) -> dict[str, Tensor]:
    """A state_dict as torchvision's vgg16 has it, with linear layers, of other widths."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        fan_in = math.prod(shape[1:])
        return torch.randn(shape, generator=generator) * math.sqrt(2 / fan_in)

    weights: dict[str, Tensor] = {}
    inputs = 3
    for index, multiple in WEIGHTS.items():
        weights[f"features.{index}.weight"] = draw(base * multiple, inputs, 3, 3)
        inputs = base * multiple
        weights[f"features.{index}.bias"] = 0.1 * draw(inputs)
    for index, shape in ((0, (fc, inputs * 49)), (3, (fc, fc)), (6, (1000, fc))):
        weights[f"classifier.{index}.weight"] = draw(*shape)
        weights[f"classifier.{index}.bias"] = 0.1 * draw(shape[0])
    return weights


def make_positive(network: nn.Module) -> None:
    """Give a network float64 weights and means for pools, so that no path's gradient is 0."""
    network.double()
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.MaxPool2d):
            parent, _, child = name.rpartition(".")
            pool = nn.AvgPool2d(
                module.kernel_size, module.stride, module.padding, ceil_mode=module.ceil_mode
            )
            network.get_submodule(parent).register_module(child, pool)


def seen_columns(network: nn.Module, head: nn.Module, width: int, column: int) -> tuple[int, int]:
    """First and last image column that an element of a layer's output depends on.

    Args:
        network: Made by `make_positive`.
        head: The layer of it whose output is looked at.
        width: Columns of the image.
        column: Column of the output.
    """
    outputs: list[Tensor] = []
    handle = head.register_forward_hook(lambda _m, _x, y: outputs.append(y))
    images = torch.ones(1, 3, 8, width, dtype=torch.float64, requires_grad=True)
    network(images)
    handle.remove()
    (gradient,) = torch.autograd.grad(outputs[0][0, 0, 0, column], images)
    columns = gradient[0].abs().sum(dim=(0, 1)).nonzero().flatten()
    assert len(columns) == columns[-1] - columns[0] + 1  # without gaps
    return int(columns[0]), int(columns[-1])
