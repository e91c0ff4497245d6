"""Offsets of the classes: the calibration that a network carries."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facemask.checkpoints import load_weights
from facemask.models import FCN, FCNVGG16, Cascade, ConvLSTMFCN, DeepLab
from facemask.models.fcn import EncoderNetwork
from facemask.models.own_network import first_output

BACKBONE = "mobilenetv3_small_050"
OFFSETS = torch.tensor([0.0, -0.75, 1.5, 0.25, -2.0])
NETWORKS: list[Callable[[], EncoderNetwork]] = [
    lambda: FCN(BACKBONE),
    lambda: ConvLSTMFCN(BACKBONE),
    lambda: FCNVGG16(base_channels=2, fc_channels=4),
    lambda: DeepLab(base_channels=2, fc_channels=4),
]


def score(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return first_output(network(images))


@pytest.mark.parametrize("build", NETWORKS)
def test_each_pixels_score_is_moved_by_its_classs_offset(
    build: Callable[[], EncoderNetwork],
) -> None:
    torch.manual_seed(0)
    network = build().eval()
    assert network.offsets.tolist() == [0, 0, 0, 0, 0]
    images = torch.randn(1, 3, 3, 40, 56)
    before = score(network, images)
    network.offsets.copy_(OFFSETS)
    moved = score(network, images) - before
    torch.testing.assert_close(moved, OFFSETS.view(5, 1, 1).expand_as(moved), rtol=0, atol=1e-5)


def test_the_memory_knows_nothing_of_them() -> None:
    torch.manual_seed(0)
    network = ConvLSTMFCN(BACKBONE).eval()
    clip = torch.randn(1, 4, 3, 32, 32)
    with torch.inference_mode():
        before, state = network(clip)
        windows = network.score_windows(clip, 2)
        network.offsets.copy_(OFFSETS)
        after, same = network(clip)
        one, memory = network(clip[:, 0])
        for t in (1, 2, 3):  # as a stream
            one, memory = network(clip[:, t], memory)
        moved = network.score_windows(clip, 2) - windows
    assert torch.equal(state[0], same[0])
    assert torch.equal(state[1], same[1])
    offsets = OFFSETS.view(5, 1, 1)
    torch.testing.assert_close(after[:, 3], before[:, 3] + offsets, rtol=0, atol=1e-5)
    torch.testing.assert_close(one, after[:, 3], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved, offsets.expand_as(moved), rtol=0, atol=1e-5)


def test_weights_from_before_there_were_any_load_as_uncalibrated() -> None:
    network = FCN(BACKBONE)
    old = {k: v for k, v in network.state_dict().items() if k != "offsets"}
    for load in (
        lambda: network.load_state_dict(old),
        lambda: load_weights(network, old, Path("old.ckpt")),
        lambda: nn.Sequential(network).load_state_dict({f"0.{k}": v for k, v in old.items()}),
    ):
        network.offsets.copy_(OFFSETS)
        load()
        assert not network.offsets.any()
    assert "offsets" not in old
    network.offsets.copy_(OFFSETS)
    other = FCN(BACKBONE)
    other.load_state_dict(network.state_dict())
    assert other.offsets.equal(OFFSETS)


def test_a_cascade_carries_them(tmp_path: Path) -> None:
    cascade = Cascade(ConvLSTMFCN(BACKBONE), FCN(BACKBONE, 2)).eval()
    primary: ConvLSTMFCN = cascade.primary  # type: ignore[assignment]
    primary.offsets.copy_(OFFSETS)
    cascade.save(tmp_path / "cascade.safetensors", dtype=torch.float16)
    loaded = Cascade.load(tmp_path / "cascade.safetensors").state_dict()
    assert loaded["primary.offsets"].equal(OFFSETS)
    assert loaded["eyes.offsets"].tolist() == [0, 0]


def test_a_convlstm_starts_without_those_of_its_fcn() -> None:
    fcn = FCN(BACKBONE)
    fcn.offsets.copy_(OFFSETS)
    assert not ConvLSTMFCN.from_fcn(fcn, classifier_scale=1.0).offsets.any()
