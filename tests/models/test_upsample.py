"""Bilinear up-sampling as matrix products, against `F.interpolate`."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.models.fcn import upsample_bilinear


def interpolate(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize(
    ("low", "size"),
    [((20, 20), (320, 320)), ((3, 5), (37, 71)), ((7, 2), (7, 33)), ((1, 4), (16, 50))],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_interpolate(
    low: tuple[int, int], size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, *low).contiguous(memory_format=memory_format).requires_grad_()
    weight = torch.randn(2, 5, *size)
    y, expected = upsample_bilinear(x, size), interpolate(x, size)
    torch.testing.assert_close(y, expected, rtol=0, atol=2e-6)
    (grad,) = torch.autograd.grad((y * weight).sum(), x)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-3)


def test_leading_dimensions_and_float64() -> None:
    x = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    y = upsample_bilinear(x, (9, 31))
    assert y.dtype == torch.float64
    torch.testing.assert_close(
        y.flatten(0, 1), interpolate(x.flatten(0, 1), (9, 31)), rtol=0, atol=1e-14
    )


def test_half_pixel_centres_by_hand() -> None:
    """Four output pixels over two input pixels sit at -0.25, 0.25, 0.75 and 1.25."""
    x = torch.tensor([[0.0, 4.0], [8.0, 4.0]])
    expected_columns = torch.tensor([[0.0, 1.0, 3.0, 4.0], [8.0, 7.0, 5.0, 4.0]])
    assert upsample_bilinear(x, (2, 4)).equal(expected_columns)
    assert upsample_bilinear(x, (4, 2))[:, 0].tolist() == [0.0, 2.0, 6.0, 8.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_upsampled_in_float32(dtype: torch.dtype) -> None:
    x = torch.randn(1, 5, 20, 20).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = upsample_bilinear(x, (327, 319))
        from_float32 = upsample_bilinear(x.float(), (327, 319))
    assert y.dtype == torch.float32
    assert y.equal(from_float32)  # autocast does not round the interpolation weights
    torch.testing.assert_close(y, interpolate(x.float(), (327, 319)), rtol=0, atol=2e-6)
