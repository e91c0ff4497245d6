"""BatchNorm folded into convolutions."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.extraction.load import for_inference
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.convolution import TunedConv2d
from facemask.models.folding import (
    BitwiseReLU6,
    EvenConv2d,
    fold_batchnorm,
    fold_padding,
    quicken,
)


def with_statistics(network: nn.Module) -> nn.Module:
    """Statistics and weights as training leaves them: none is 0 or 1."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("backbone", ["test_resnet", "mobilenetv3_small_050", "regnetx_002"])
@pytest.mark.parametrize("skips", [(), (8, 4)])
def test_same_scores_without_a_norm(backbone: str, skips: tuple[int, ...]) -> None:
    network = with_statistics(ConvLSTMFCN(backbone, 3, kernel_size=3, skips=skips))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batchnorm(network, torch.zeros(1, 3, 64, 64))
    assert norms(network) > 5
    assert norms(folded) == 0
    assert not folded.training
    clip = torch.randn(1, 3, 3, 60, 72)  # another size than the one it was folded with
    with torch.no_grad():
        expected, found = network(clip)[0], folded(clip)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    for name, value in network.state_dict().items():  # the network itself is as it was
        assert value.equal(before[name])


class Shared(nn.Module):
    """One convolution before two norms, a norm after a sum, and a norm that nothing precedes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)
        self.one, self.two, self.last = (nn.BatchNorm2d(3) for _ in range(3))
        self.end = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(self.first(x))
        result: Tensor = self.end(self.last(self.one(y) + self.two(y)))
        return result


def test_only_what_can_be_folded_is() -> None:
    network = with_statistics(Shared())
    folded = fold_batchnorm(network, torch.zeros(1, 3, 8, 8))
    assert norms(network) == 5
    assert norms(folded) == 4
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(folded(x), network(x), rtol=0, atol=1e-5)


def test_without_a_norm_it_is_the_same_network() -> None:
    network = nn.Conv2d(3, 2, 1)
    assert fold_batchnorm(network, torch.zeros(1, 3, 8, 8)) is network


def test_a_cascade_keeps_its_masks() -> None:
    primary, eyes, mouth = (with_statistics(FCN("test_resnet", n)) for n in (5, 2, 3))
    cascade = Cascade(primary, eyes, mouth, CascadeSettings(size=64)).eval()
    folded = for_inference(cascade)
    assert norms(folded) == 0
    assert folded.settings == cascade.settings
    clip = [torch.randint(0, 256, (3, 70, 66), dtype=torch.uint8) for _ in range(2)]
    with torch.inference_mode():
        expected, found = cascade([clip], True), folded([clip], True)
    assert expected.probabilities is not None
    assert found.probabilities is not None
    for one, other in zip(expected.probabilities[0], found.probabilities[0], strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-4)


def same_padded(*shape: Any, **settings: Any) -> TunedConv2d:  # noqa: ANN401
    return TunedConv2d.like(nn.Conv2d(*shape, **settings), same=True)


def every_bfloat16() -> Tensor:
    """All there are, but what is not a number."""
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.bfloat16)
    return numbers[~numbers.isnan()]


def test_bitwise_relu6_of_every_number_is_torch_s() -> None:
    numbers = every_bfloat16()
    assert len(numbers) > 65000
    found = numbers.clone()
    assert BitwiseReLU6()(found) is found  # in place
    assert found.equal(F.relu6(numbers))
    last = numbers[: 4 * 4096].view(4, 4, 16, 64).contiguous(memory_format=torch.channels_last)
    assert BitwiseReLU6()(last.clone()).equal(F.relu6(last))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bitwise_relu6_of_other_numbers(dtype: torch.dtype) -> None:
    x = torch.tensor([-2.0, -0.0, 3.5, 6.0, 7.0, torch.nan], dtype=dtype)
    torch.testing.assert_close(BitwiseReLU6()(x.clone()), F.relu6(x), equal_nan=True)


def shown_to(network: nn.Module) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        scores: Tensor = network(torch.randn(1, 3, 3, 65, 65, generator=torch.Generator()))[0]
    return scores


def test_scores_in_bfloat16_stay_bit_for_bit() -> None:
    network = with_statistics(
        ConvLSTMFCN("tf_efficientnet_lite0", 3, output_stride=32, kernel_size=3, skips=(16, 8))
    )
    folded = fold_batchnorm(network, torch.zeros(1, 3, 65, 65))
    expected = shown_to(folded)
    quick = quicken(copy.deepcopy(folded), bf16=True)
    assert isinstance(quick, ConvLSTMFCN)
    assert sum(isinstance(module, BitwiseReLU6) for module in quick.modules()) == 32
    assert all(w.dtype == torch.bfloat16 for w in quick.encoder.parameters())
    assert all(w.dtype == torch.float32 for w in quick.convlstm.parameters())
    assert shown_to(quick).equal(expected)
    assert expected.std() > 0


def test_damaged_weights_are_seen_in_bfloat16() -> None:
    network = FCN("tf_efficientnet_lite0").eval()
    torch.nn.init.constant_(network.encoder.body.conv_stem.weight, torch.nan)
    assert shown_to(quicken(network, bf16=True)).isnan().all()


def test_networks_stay_in_float32_and_so_do_those_of_others() -> None:
    network = FCN("tf_efficientnet_lite0").eval()
    assert quicken(network, bf16=False) is network
    own = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU6(inplace=True))
    assert quicken(own, bf16=True) is own
    for module in (*network.modules(), *own.modules()):
        assert not isinstance(module, BitwiseReLU6)
        assert all(w.dtype == torch.float32 for w in module.parameters())


@pytest.mark.parametrize("size", [(64, 64), (33, 64), (64, 31), (35, 37)])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_padding_in_the_kernel_is_that_of_tensorflow(kernel: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(same_padded(4, 6, kernel, stride=2, groups=2))
    image = torch.randn(2, 4, *size)
    expected = layer(image)
    folded = fold_padding(layer)
    assert isinstance(folded[0], EvenConv2d)
    torch.testing.assert_close(folded(image), expected, rtol=1e-5, atol=1e-5)


def test_padding_is_folded_for_inference_and_the_cascade_stays_as_it_is() -> None:
    torch.manual_seed(0)
    cascade = Cascade(FCN("tf_efficientnet_lite0", 5), settings=CascadeSettings(size=64)).eval()
    before = set(cascade.state_dict())
    fast = for_inference(cascade)
    assert sum(isinstance(module, EvenConv2d) for module in fast.modules()) == 4  # and one dilated
    assert set(cascade.state_dict()) == before
    assert not any(isinstance(module, EvenConv2d) for module in cascade.modules())
    clip = [torch.randint(0, 256, (3, 70, 60), dtype=torch.uint8)]
    with torch.inference_mode():
        slow_masks, fast_masks = (
            model([clip], probabilities=True).probabilities for model in (cascade, fast)
        )
    assert slow_masks is not None
    assert fast_masks is not None
    torch.testing.assert_close(fast_masks[0][0], slow_masks[0][0], rtol=0, atol=1e-3)


def test_layers_that_pad_otherwise_stay() -> None:
    layers = nn.Sequential(
        same_padded(2, 2, 3), same_padded(2, 2, 4, stride=2),
        same_padded(2, 2, 3, stride=2, dilation=2), same_padded(2, 2, (3, 5), stride=2),
        TunedConv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1),
    )  # fmt: skip
    assert not any(isinstance(module, EvenConv2d) for module in fold_padding(layers))
