"""How a ConvLSTM starts: random weights, deviations, and the start from a convolution."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from facemask.errors import InputError
from facemask.models import FCN, ConvLSTM, ConvLSTMFCN
from facemask.models.cell import CellActivation, GateActivation, hard_sigmoid

BACKBONE = "mobilenetv3_small_050"


def test_hard_sigmoid_is_that_of_keras_2() -> None:
    x = torch.tensor([-4.0, -2.5, -1.0, 0.0, 0.5, 2.0, 2.5, 3.0])
    expected = torch.tensor([0, 0, 0.3, 0.5, 0.6, 0.9, 1, 1])
    torch.testing.assert_close(hard_sigmoid(x), expected)
    assert (nn.functional.hardsigmoid(x) - expected).abs().max() > 0.05  # Keras 3's is not


def test_he_normal_and_orthogonal_start() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(200, 5, 3)
    bound = math.sqrt(6 / (9 * 200 + 9 * 20))
    assert 0.99 * bound < layer.weight_input.abs().max() < bound  # Glorot, uniform
    layer.reset_parameters("he_normal")
    deviation = math.sqrt(2 / (9 * 200))
    assert layer.weight_input.std().item() == pytest.approx(deviation, rel=0.02)
    largest = 2 * deviation / 0.87962566
    assert 0.99 * largest < layer.weight_input.abs().max() < largest
    recurrent = layer.weight_recurrent.flatten(1)  # (20, 45): orthonormal rows
    torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(20), atol=1e-5, rtol=0)
    assert layer.bias.tolist() == 5 * [0] + 5 * [1] + 10 * [0]
    with pytest.raises(InputError, match="kernel='zeros': give 'glorot' or 'he_normal'"):
        layer.reset_parameters("zeros")  # type: ignore[arg-type]


def test_the_authors_cell() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM.authors_cell(400, 5)
    assert (layer.activation, layer.gate_activation) == ("linear", "hard_sigmoid")
    assert (layer.kernel_size, layer.weight_ci) == (1, None)
    assert layer.weight_input.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.03)
    assert layer.bias[5:10].tolist() == 5 * [1]
    assert ConvLSTM.authors_cell(4, 2, 3).weight_recurrent.shape == (8, 2, 3, 3)


@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_divided_input_weights_see_an_input_of_unit_deviation(activation: CellActivation) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(6, 3, 3, activation=activation)
    x = torch.randn(2, 3, 6, 5, 4)
    expected, _ = layer(x)
    before = layer.weight_input.detach().clone()
    layer.divide_input_weights(2.5)
    torch.testing.assert_close(layer(2.5 * x)[0], expected)
    torch.testing.assert_close(layer.weight_input, before / 2.5)
    deviations = torch.tensor([1.0, 2, 3, 4, 5, 6])
    layer.divide_input_weights(deviations.double())
    torch.testing.assert_close(layer(2.5 * deviations[:, None, None] * x)[0], expected)
    assert layer.weight_input.requires_grad


@pytest.mark.parametrize(
    ("deviation", "message"),
    [
        (0.0, "deviation of 0: give finite numbers above 0"),
        (float("nan"), "deviation of nan"),
        (torch.tensor([1.0, 2.0, -3.0]), "deviation of -3"),
        (torch.tensor([1.0, float("inf"), 1.0]), "finite"),
        (torch.ones(2), r"shape \(2,\): give one number, or one for each of 3 channels"),
    ],
)
def test_wrong_deviations(deviation: float | torch.Tensor, message: str) -> None:
    layer = ConvLSTM(3, 2)
    before = layer.weight_input.clone()
    with pytest.raises(InputError, match=message):
        layer.divide_input_weights(deviation)
    assert layer.weight_input.equal(before)


@pytest.mark.parametrize("gate_activation", get_args(GateActivation))
@pytest.mark.parametrize(("activation", "scale"), [("linear", 1.0), ("tanh", 0.01)])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("skips", [(), (8, 4)])
def test_the_start_from_the_classifier_equals_the_fcn(
    skips: tuple[int, ...],
    kernel_size: int,
    activation: CellActivation,
    scale: float,
    gate_activation: GateActivation,
) -> None:
    torch.manual_seed(0)
    fcn = FCN(BACKBONE, skips=skips, skip_channels=16).eval()
    fcn.classifier.weight = nn.Parameter(3 * torch.randn_like(fcn.classifier.weight))
    fcn.classifier.bias = nn.Parameter(torch.tensor([1.3, -2.2, 0.1, 0.7, -1.1]))
    model = ConvLSTMFCN.from_fcn(
        fcn,
        kernel_size,
        classifier_scale=scale,
        cell_activation=activation,
        gate_activation=gate_activation,
    ).eval()
    clips = torch.randn(2, 3, 3, 48, 64)
    with torch.no_grad():
        expected = scale * fcn(clips)
        scores, _ = model(clips)
        alone, _ = model(clips[:, 2])
    largest = expected.abs().max()
    assert largest > (1 if activation == "linear" else 0.01)
    for found, wanted in ((scores[:, 0], expected[:, 0]), (alone, expected[:, 2])):
        if activation == "linear":
            torch.testing.assert_close(found, wanted)
        assert (found - wanted).abs().max() < 0.01 * largest
        assert found.argmax(1).equal(wanted.argmax(1))
    assert not torch.allclose(scores[:, 2], alone, rtol=0.01)  # the third frame has a memory


@pytest.mark.parametrize("gate_activation", get_args(GateActivation))
@pytest.mark.parametrize(("activation", "forget"), [("tanh", 1.0), ("linear", -2.0)])
def test_later_frames_of_the_start_are_a_decaying_sum(
    activation: CellActivation, forget: float, gate_activation: GateActivation
) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(4, 3, activation=activation, gate_activation=gate_activation).double()
    convolution = nn.Conv2d(4, 3, 1).double()
    layer.start_from_convolution(convolution, 1e-4 if activation == "tanh" else 1.0)
    x = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        y, _ = layer(x)
        frames = convolution(x.flatten(0, 1)).view(2, 3, 3, 5, 6)
    f = 1 / (1 + math.exp(-forget))
    expected = frames[:, 2] + f * frames[:, 1] + f**2 * frames[:, 0]
    if activation == "tanh":
        expected = 1e-4 * expected
    torch.testing.assert_close(y[:, 2], expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gate_activation", get_args(GateActivation))
@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_the_start_has_gradients_everywhere(
    activation: CellActivation, gate_activation: GateActivation
) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(4, 3, 3, activation=activation, gate_activation=gate_activation)
    layer.start_from_convolution(nn.Conv2d(4, 3, 1), 0.1)
    layer(torch.randn(2, 4, 4, 5, 6))[0].square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        per_channel = parameter.grad.flatten(1) if parameter.ndim > 1 else parameter.grad[:, None]
        assert per_channel.any(dim=1).all(), name


def test_sigmoid_gates_of_a_linear_start() -> None:
    layer = ConvLSTM(2, 2, activation="linear")
    layer.start_from_convolution(nn.Conv2d(2, 2, 1, bias=False), 1)
    assert layer.bias.tolist() == [2.5, 2.5, -2, -2, 0, 0, 2.5, 2.5]


def test_carried_on_a_linear_start_settles() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(4, 3, activation="linear")
    layer.start_from_convolution(nn.Conv2d(4, 3, 1), 1)
    x, state = torch.randn(1, 4, 5, 6), None
    with torch.no_grad():
        first, state = layer(x, state)
        for _ in range(50):
            y, state = layer(x, state)
    # 1 / (1 - σ(-2)) = 1 + e⁻²
    torch.testing.assert_close(y, (1 + math.exp(-2)) * first)
