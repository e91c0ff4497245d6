"""`TunedConv2d` and `depthwise_conv2d` against torch's and timm's own layers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from facemask.models import FCN
from facemask.models.convolution import TunedConv2d
from facemask.models.depthwise import depthwise_conv2d

STRIDED: dict[str, Any] = {"kernel_size": 3, "stride": 2, "groups": 6, "bias": False}


def gradients(call: Any, *tensors: Tensor) -> list[Tensor]:  # noqa: ANN401
    """The result, and what a fixed gradient of it gives for each tensor."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    y = call(*leaves)
    torch.manual_seed(1)
    y.backward(torch.randn(y.shape).to(y.dtype))
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (7, 4), (1, 8)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 3)])
def test_depthwise_gradients_are_those_of_torch(
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 9, 12).double(), torch.randn(4, 1, *kernel).double()

    def expected(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, None, stride, padding, groups=4)

    found = gradients(lambda x, w: depthwise_conv2d(x, w, stride, padding), x, weight)
    assert len(found) == 3
    torch.testing.assert_close(found, gradients(expected, x, weight))


def test_depthwise_gradient_of_what_is_asked_alone() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 9, 9), torch.randn(4, 1, 5, 5, requires_grad=True)
    torch.autograd.backward(depthwise_conv2d(x, weight, (1, 1), (2, 2)).sum())
    assert x.grad is None
    assert weight.grad is not None
    assert weight.grad.abs().min() > 0


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_in_bfloat16_is_as_exact_as_torch(stride: int) -> None:
    """Autocast keeps the weights in float32, and their gradient is float32."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 16, 15, 15), torch.randn(16, 1, 5, 5)
    exact = gradients(
        lambda x, w: F.conv2d(x, w, None, stride, 2, groups=16), x.double(), weight.double()
    )
    with torch.autocast("cpu", torch.bfloat16):
        plain = gradients(lambda x, w: F.conv2d(x, w, None, stride, 2, groups=16), x, weight)
        found = gradients(lambda x, w: depthwise_conv2d(x, w, (stride,) * 2, (2, 2)), x, weight)
    assert [tensor.dtype for tensor in found] == [torch.bfloat16, torch.float32, torch.float32]
    assert found[0].equal(plain[0])
    for one, other, truth in zip(found, plain, exact, strict=True):
        error, of_torch = ((y.double() - truth).square().mean() for y in (one, other))
        assert error <= 1.5 * of_torch


@pytest.mark.parametrize("size", [(33, 33), (32, 33), (33, 32), (32, 32), (1, 2)])
@pytest.mark.parametrize(
    "settings",
    [
        STRIDED,
        STRIDED | {"kernel_size": 5},
        {"kernel_size": 3, "stride": 2},
        {"kernel_size": (3, 5), "stride": (2, 1)},
        {"kernel_size": 3, "dilation": 2, "groups": 6},
        {"kernel_size": 4, "stride": 3, "groups": 2},
        {"kernel_size": 1, "stride": 2},
    ],
)
def test_tensorflow_padding_is_that_of_timm(
    size: tuple[int, int], settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    layer = Conv2dSame(6, 6, **settings).double()
    tuned = TunedConv2d.like(layer, same=True)
    x = torch.randn(2, 6, *size).double()
    torch.testing.assert_close(gradients(tuned, x), gradients(layer, x))
    with torch.no_grad():
        torch.testing.assert_close(tuned(x), layer(x))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "settings", [{"kernel_size": 1}, {"kernel_size": 1, "padding": 1}, {"kernel_size": 3}]
)
def test_plain_layers(settings: dict[str, Any], precision: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 5, **settings).to(precision)
    tuned = TunedConv2d.like(layer)
    assert tuned.weight is layer.weight
    assert tuned.bias is layer.bias
    x = torch.randn(2, 6, 7, 9).to(precision)
    torch.testing.assert_close(gradients(tuned, x), gradients(layer, x))


def test_network_is_made_of_tuned_layers_and_equals_timm_s() -> None:
    torch.manual_seed(0)
    network = FCN("tf_efficientnet_lite0", 3, output_stride=32, skips=(16, 8, 4, 2)).double()
    plain, layers = FCN("tf_efficientnet_lite0", 3, output_stride=32, skips=(16, 8, 4, 2)), 0
    plain.load_state_dict(network.state_dict())
    for module in list(plain.double().modules()):
        for name, child in module.named_children():
            if isinstance(child, TunedConv2d):
                setattr(module, name, _plain(child))
                layers += 1
    assert layers == sum(isinstance(module, nn.Conv2d) for module in network.modules())
    x = torch.randn(2, 3, 33, 33).double()
    torch.testing.assert_close(network(x), plain(x))
    for one in (network, plain):
        torch.autograd.backward(one(x).square().mean())
    for (name, found), expected in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert found.grad is not None, name
        torch.testing.assert_close(found.grad, expected.grad)


def _plain(layer: TunedConv2d) -> nn.Conv2d:
    kind = Conv2dSame if layer.same else nn.Conv2d
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    settings: dict[str, Any] = {name: getattr(layer, name) for name in names}
    made: nn.Conv2d = kind(**settings, groups=layer.groups, device="meta")
    made.weight, made.bias = layer.weight, layer.bias
    return made


def test_exported_program_has_no_dilated_kernels_and_no_function_of_its_own() -> None:
    layers = nn.Sequential(
        TunedConv2d(3, 6, 1), TunedConv2d.like(Conv2dSame(6, 6, **STRIDED), same=True)
    )
    x = torch.randn(1, 3, 9, 9)
    program = torch.export.export(layers, (x,))
    convolutions = [node for node in program.graph.nodes if "conv" in str(node.target)]
    assert len(convolutions) == 2
    assert all(list(node.args[5:6]) in ([], [[1, 1]]) for node in convolutions)  # dilation
    torch.testing.assert_close(program.module()(x), layers(x))
