"""EfficientNet-Lite0 of our own beside timm's."""

import copy

import pytest
import torch
from torch import nn

from facemask.models import FCN
from facemask.models.backbone import Encoder
from facemask.models.folding import fold_batchnorm, fold_padding
from facemask.models.lite0 import FACTS, NAME, STRIDE, Lite0
from facemask.models.timm_body import create, facts


def spread(network: nn.Module) -> None:
    """Give a network random weights and statistics under which nothing is 0 or saturates."""
    generator = torch.Generator().manual_seed(5)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            scale = 0.05 if name.endswith("weight") and value.ndim == 4 else 1.0
            value.copy_((noise + 0.5) if name.endswith("var") else (noise - 0.4) * scale)


@pytest.fixture(scope="module")
def networks() -> tuple[nn.Module, Lite0]:
    theirs, ours = create(NAME, STRIDE, None, all_levels=True).eval(), Lite0().eval()
    spread(theirs)
    ours.load_state_dict(theirs.state_dict())  # strict: all names and shapes
    return theirs, ours


def test_facts_are_those_of_timm(networks: tuple[nn.Module, Lite0]) -> None:
    found = facts(networks[0])
    assert [tuple(fact) for fact in found] == [tuple(fact) for fact in FACTS]
    assert facts(create(NAME, STRIDE, None, all_levels=False)).channels[-1] == FACTS.channels[-1]


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 40)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_are_those_of_timm(
    networks: tuple[nn.Module, Lite0], size: tuple[int, int], dtype: torch.dtype
) -> None:
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        theirs, ours = (network(images) for network in networks)
    assert len(theirs) == len(ours) == 5
    for expected, found, stride in zip(theirs, ours, FACTS.strides, strict=True):
        assert found.shape[2:] == tuple(-(-side // stride) for side in size)
        assert 0 < float(found.float().std()) < 100
        assert torch.equal(found, expected)


def test_gradients_and_statistics_are_those_of_timm(networks: tuple[nn.Module, Lite0]) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    theirs, ours = (copy.deepcopy(network).train() for network in networks)
    for network in (theirs, ours):
        sum(level.square().mean() for level in network(images)).backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        gradient = expected[name].grad
        assert parameter.grad is not None
        assert gradient is not None
        assert torch.equal(parameter.grad, gradient), name
    assert all(torch.equal(v, theirs.state_dict()[k]) for k, v in ours.state_dict().items())


def test_folded_networks_are_alike() -> None:
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    theirs = FCN(NAME, output_stride=STRIDE, skips=(4, 8), skip_channels=8).eval()
    ours = FCN(NAME, pretrained=None, output_stride=STRIDE, skips=(4, 8), skip_channels=8).eval()
    spread(theirs)
    ours.load_state_dict(theirs.state_dict())
    assert isinstance(ours.encoder.body, Lite0)
    assert not isinstance(theirs.encoder.body, Lite0)
    with torch.no_grad():
        results = [fold_padding(fold_batchnorm(n, images))(images) for n in (theirs, ours)]
    assert torch.equal(*results)


def test_other_strides_are_timms() -> None:
    assert not isinstance(Encoder(NAME, pretrained=None).body, Lite0)
