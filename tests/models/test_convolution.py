"""`conv2d_same` against `F.conv2d`."""

import pytest
import torch
import torch.nn.functional as F

from facemask.models.convolution import conv2d_same


@pytest.mark.parametrize("in_channels", [3, 60])
@pytest.mark.parametrize("k", [1, 3])
def test_conv2d_same(in_channels: int, k: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, in_channels, 5, 4, dtype=torch.float64)
    weight, bias = torch.randn(6, in_channels, k, k).double(), torch.randn(6).double()
    torch.testing.assert_close(
        conv2d_same(x, weight, bias), F.conv2d(x, weight, bias, padding="same")
    )
    torch.testing.assert_close(conv2d_same(x, weight), F.conv2d(x, weight, padding="same"))


def test_conv2d_same_adds_its_taps_in_float32_under_autocast() -> None:
    """Two roundings, of taps and of their sum: √2 × the error of conv2d. In bfloat16 2.5 ×."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 512, 20, 20).bfloat16(), torch.randn(20, 512, 3, 3).bfloat16()
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, reference = conv2d_same(x, weight), F.conv2d(x, weight, padding=1)
    assert y.dtype == torch.bfloat16
    error, reference_error = (z.double().sub(exact).square().mean().sqrt() for z in (y, reference))
    assert error < 1.8 * reference_error
