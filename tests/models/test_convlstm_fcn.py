"""ConvLSTM-FCN: made from an FCN, with free or bounded scores, and streaming."""

from typing import get_args

import pytest
import torch

from facemask.errors import InputError
from facemask.models import FCN, ConvLSTM, ConvLSTMFCN
from facemask.models.cell import CellActivation
from facemask.models.convlstm import State
from facemask.models.fcn import upsample_bilinear


@pytest.fixture(scope="module")
def model() -> ConvLSTMFCN:
    torch.manual_seed(0)
    return ConvLSTMFCN("resnet18").eval()


def test_scores_are_the_convlstm_of_the_features(model: ConvLSTMFCN) -> None:
    clips = torch.randn(2, 3, 3, 50, 70)
    with torch.no_grad():
        scores, (h, c) = model(clips)
        y, state = model.convlstm(model.encoder(clips))
    assert scores.shape == (2, 3, 5, 50, 70)
    assert h.shape == c.shape == (2, 5, 4, 5)
    torch.testing.assert_close(scores, upsample_bilinear(y, (50, 70)))
    torch.testing.assert_close((h, c), state)
    assert not torch.allclose(scores[:, 0], scores[:, 1], atol=1e-3)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_frame_by_frame_equals_the_clip(activation: CellActivation, kernel_size: int) -> None:
    torch.manual_seed(0)
    model = ConvLSTMFCN(
        "mobilenetv3_small_050", kernel_size=kernel_size, cell_activation=activation
    ).eval()
    torch.nn.init.normal_(model.convlstm.weight_input)
    clips = torch.randn(2, 4, 3, 48, 64)
    with torch.no_grad():
        scores, state = model(clips)
        carried: State | None = None
        for t in range(4):
            frame, carried = model(clips[:, t], carried)
            assert frame.shape == (2, 5, 48, 64)
            torch.testing.assert_close(frame, scores[:, t], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(carried, state, rtol=1e-4, atol=1e-4)
        windows = model.score_windows(clips, length=2)
        of_two, _ = model(clips[:, 2:])
        torch.testing.assert_close(windows[:, 3], of_two[:, 1], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(windows[:, 3], scores[:, 3], atol=1e-2)
        alone, _ = model(clips[:, 3])
    assert not torch.allclose(alone, scores[:, 3], atol=1e-2)  # without memory it differs


def test_scores_are_bounded_with_tanh_only(model: ConvLSTMFCN) -> None:
    clips = 100 * torch.randn(1, 4, 3, 64, 64)
    bounded = ConvLSTMFCN("resnet18", cell_activation="tanh").eval()
    with torch.no_grad():
        assert model(clips)[0].abs().max() > 1
        assert 0.1 < bounded(clips)[0].abs().max() < 1


@pytest.mark.parametrize("num_classes", [5, 3])
def test_from_fcn_keeps_the_encoder_and_the_classes(num_classes: int) -> None:
    torch.manual_seed(0)
    fcn = FCN("mobilenetv3_small_050", num_classes, output_stride=8)
    fcn(torch.randn(4, 3, 32, 32))  # moves the BatchNorm statistics
    fcn.encoder.requires_grad_(False)
    fcn.eval()
    model = ConvLSTMFCN.from_fcn(fcn, kernel_size=3, peephole=False)
    before, after = fcn.state_dict(), model.state_dict()
    encoder = [name for name in before if name.startswith("encoder.")]
    assert encoder == [name for name in after if name.startswith("encoder.")]
    assert all(torch.equal(before[name], after[name]) for name in encoder)
    assert {name.split(".")[0] for name in after} == {"encoder", "convlstm", "offsets"}
    assert isinstance(model.convlstm, ConvLSTM)
    assert model.convlstm.weight_input.shape == (4 * num_classes, 288, 3, 3)
    assert model.convlstm.weight_ci is None
    assert not any(m.training for m in model.modules())
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "convlstm.weight_input",
        "convlstm.weight_recurrent",
        "convlstm.bias",
    ]
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert model.encoder(images).equal(fcn.encoder(images))
        assert model.encoder(images).shape[2:] == (4, 6)
        assert model(images)[0].shape == (1, num_classes, 32, 48)


def test_from_fcn_leaves_the_fcn_alone() -> None:
    fcn = FCN("mobilenetv3_small_050").double().eval()
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        before = fcn(images)
        model = ConvLSTMFCN.from_fcn(fcn, peephole_size=(2, 2))
        assert {p.dtype for p in model.parameters()} == {torch.float64}
        assert model.convlstm.weight_ci is not None
        assert model.convlstm.weight_ci.shape == (5, 2, 2)
        for parameter in model.parameters():
            parameter.zero_()
        assert fcn(images).equal(before)


def test_from_fcn_of_a_backbone_with_stride_32_only() -> None:
    fcn = FCN("ghostnet_050", output_stride=32).eval()
    scores, (h, _) = ConvLSTMFCN.from_fcn(fcn)(torch.zeros(1, 3, 64, 96))
    assert scores.shape == (1, 5, 64, 96)
    assert h.shape == (1, 5, 2, 3)


def test_training_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    model = ConvLSTMFCN("mobilenetv3_small_050", num_classes=2)
    scores, _ = model(torch.randn(2, 2, 3, 48, 48))
    scores.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.convlstm.parameters())


@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_autocast(activation: CellActivation) -> None:
    torch.manual_seed(0)
    model = ConvLSTMFCN("resnet18", cell_activation=activation).eval()
    clips = torch.randn(1, 2, 3, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores, (h, c) = model(clips)
        carried, _ = model(clips[:, 0], (h, c))
    with torch.no_grad():
        expected, _ = model(clips)
    assert (scores.dtype, carried.dtype) == (torch.float32, torch.float32)
    assert (h.dtype, c.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(scores, expected, rtol=0, atol=0.1)


def test_features_reach_the_convlstm_channels_last(model: ConvLSTMFCN) -> None:
    seen = []
    handle = model.convlstm.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    with torch.no_grad():
        model(torch.randn(2, 3, 3, 64, 64))
    handle.remove()
    assert seen[0].shape == (2, 3, 512, 4, 4)
    assert seen[0].flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_errors(model: ConvLSTMFCN) -> None:
    with pytest.raises(InputError, match="num_classes=0"):
        ConvLSTMFCN("resnet18", num_classes=0)
    with pytest.raises(InputError, match="kernel_size=2"):
        ConvLSTMFCN.from_fcn(FCN("mobilenetv3_small_050"), kernel_size=2)
    with pytest.raises(InputError, match=r"give \(B, 3, H, W\) or \(B, T, 3, H, W\)"):
        model(torch.zeros(3, 32, 32))
    _, state = model(torch.zeros(1, 3, 32, 32))
    with pytest.raises(InputError, match=r"each \(1, 5, 4, 2\)"):
        model(torch.zeros(1, 3, 64, 32), state)
