"""ConvLSTM against Eq. 1, written naively, and against `torch.nn.LSTM`."""

from typing import get_args
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.models.cell import CellActivation, GateActivation
from facemask.models.convlstm import ConvLSTM, State

CELLS = [(a, g) for a in get_args(CellActivation) for g in get_args(GateActivation)]


def eq1(layer: ConvLSTM, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Eq. 1, line by line, eight convolutions a step; φ and σ as the layer says."""
    weights = {name: p.detach().double() for name, p in layer.named_parameters()}
    W_xi, W_xf, W_xc, W_xo = weights["weight_input"].chunk(4)
    W_hi, W_hf, W_hc, W_ho = weights["weight_recurrent"].chunk(4)
    b_i, b_f, b_c, b_o = weights["bias"].chunk(4)
    zero = torch.zeros((), dtype=torch.float64)
    W_ci, W_cf, W_co = (weights.get(f"weight_c{gate}", zero) for gate in "ifo")

    def conv(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, weight, bias, padding="same")

    def φ(x: Tensor) -> Tensor:
        return torch.tanh(x) if layer.activation == "tanh" else x

    def σ(x: Tensor) -> Tensor:
        hard = layer.gate_activation == "hard_sigmoid"
        return (0.2 * x + 0.5).clamp(0, 1) if hard else torch.sigmoid(x)

    H, C = state
    outputs = []
    for t in range(x.shape[1]):
        X = x[:, t]
        i = σ(conv(X, W_xi, b_i) + conv(H, W_hi) + W_ci * C)
        f = σ(conv(X, W_xf, b_f) + conv(H, W_hf) + W_cf * C)
        C = f * C + i * φ(conv(X, W_xc, b_c) + conv(H, W_hc))
        o = σ(conv(X, W_xo, b_o) + conv(H, W_ho) + W_co * C)
        H = o * φ(C)
        outputs.append(H)
    return torch.stack(outputs, 1), (H, C)


def randomise(layer: ConvLSTM, scale: float = 0.5) -> ConvLSTM:
    """Every parameter different from every other and from its start."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0.1, scale)
    return layer


def make_state(*shape: int) -> State:
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("in_channels", [3, 120])  # 120 takes the matrix products of kernel 3
@pytest.mark.parametrize("peepholes", ["channel", "map", "none"])
@pytest.mark.parametrize(("activation", "gate_activation"), CELLS)
def test_equals_eq1(
    activation: CellActivation,
    gate_activation: GateActivation,
    kernel_size: int,
    frames: int,
    in_channels: int,
    peepholes: str,
) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(
        in_channels,
        2,
        kernel_size,
        peephole=peepholes != "none",
        peephole_size=(6, 7) if peepholes == "map" else None,
        activation=activation,
        gate_activation=gate_activation,
    ).double()
    randomise(layer, 0.5 / kernel_size)
    x = torch.randn(3, frames, in_channels, 6, 7, dtype=torch.float64)
    for state in (make_state(3, 2, 6, 7), (x.new_zeros(3, 2, 6, 7), x.new_zeros(3, 2, 6, 7))):
        expected, expected_state = eq1(layer, x, state)
        y, new_state = layer(x, state)
        torch.testing.assert_close((y, new_state), (expected, expected_state), rtol=0, atol=1e-12)
    without_state, _ = layer(x)
    torch.testing.assert_close(without_state, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "gate_activation", "cell", "output"),
    [
        # i = σ(1 + .1 + .1 - .12 = 1.08) = .746494; f = σ(-.5 + 1 + .2 + .3 = 1) = .731059
        # c = .731059 · -.6 + .746494 · tanh(2 + .2 - .4 = 1.8) = -.438635 + .746494 · .946806
        # o = σ(4 - .3 + .4 + .75 c = 4.301113) = .986627; h = .986627 · tanh(.268150) = .258400
        ("tanh", "sigmoid", 0.268150, 0.258400),
        # c = -.438635 + .746494 · 1.8; o = σ(4.1 + .75 · .905054 = 4.778790) = .991664
        ("linear", "sigmoid", 0.905054, 0.897509),
        # i = .2 · 1.08 + .5 = .716; f = .7; c = -.42 + .716 · .946806; o = 1, as 4.1 + .75 c > 2.5
        ("tanh", "hard_sigmoid", 0.257913, 0.252342),
        ("linear", "hard_sigmoid", 0.8688, 0.8688),  # c = -.42 + .716 · 1.8
    ],
)
def test_one_step_by_hand(
    activation: CellActivation, gate_activation: GateActivation, cell: float, output: float
) -> None:
    """Kernel 1 and one channel, every number worked out with a calculator."""
    layer = ConvLSTM(1, 1, activation=activation, gate_activation=gate_activation)
    with torch.no_grad():
        layer.weight_input.copy_(torch.tensor([0.5, -0.25, 1.0, 2.0]).view(4, 1, 1, 1))
        layer.weight_recurrent.copy_(torch.tensor([0.25, 0.5, -1.0, 1.0]).view(4, 1, 1, 1))
        layer.bias.copy_(torch.tensor([0.1, 1.0, 0.2, -0.3]))
        for weight, value in zip(
            (layer.weight_ci, layer.weight_cf, layer.weight_co), (0.2, -0.5, 0.75), strict=True
        ):
            assert weight is not None
            weight.fill_(value)
    h, c = torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1, 1), -0.6)
    y, (_, new_c) = layer(torch.full((1, 1, 1, 1), 2.0), (h, c))
    assert new_c.item() == pytest.approx(cell, abs=2e-6)
    assert y.item() == pytest.approx(output, abs=2e-6)


def test_without_peepholes_is_an_lstm_at_each_pixel() -> None:
    torch.manual_seed(0)
    layer = randomise(ConvLSTM(3, 4, peephole=False))
    lstm = nn.LSTM(3, 4, batch_first=True)
    lstm.load_state_dict(
        {
            "weight_ih_l0": layer.weight_input.detach().flatten(1),
            "weight_hh_l0": layer.weight_recurrent.detach().flatten(1),
            "bias_ih_l0": layer.bias.detach(),
            "bias_hh_l0": torch.zeros(16),
        }
    )
    x = torch.randn(2, 5, 3, 6, 7)
    y, (h, c) = layer(x)
    pixels = x.permute(0, 3, 4, 1, 2).flatten(0, 2)  # (B·H·W, T, C)
    expected, (expected_h, expected_c) = lstm(pixels)
    torch.testing.assert_close(y.permute(0, 3, 4, 1, 2).flatten(0, 2), expected)
    torch.testing.assert_close(h.permute(0, 2, 3, 1).flatten(0, 2), expected_h[0])
    torch.testing.assert_close(c.permute(0, 2, 3, 1).flatten(0, 2), expected_c[0])


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_frame_by_frame_equals_the_clip(
    activation: CellActivation, kernel_size: int, channels_last: bool
) -> None:
    torch.manual_seed(0)
    layer = randomise(ConvLSTM(70, 2, kernel_size, activation=activation), 0.1)
    x = torch.randn(2 * 5, 70, 6, 7)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    x = x.view(2, 5, 70, 6, 7)
    y, state = layer(x)
    carried: State | None = None
    frames = []
    for t in range(5):
        frame, carried = layer(x[:, t], carried)
        assert frame.shape == (2, 2, 6, 7)
        frames.append(frame)
    torch.testing.assert_close(torch.stack(frames, 1), y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(carried, state, rtol=1e-5, atol=1e-5)
    half, middle = layer(x[:, :2])
    rest, _ = layer(x[:, 2:], middle)
    torch.testing.assert_close(torch.cat([half, rest], 1), y, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(layer(x[:, 2:])[0], rest, atol=1e-3)  # the state does matter


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("in_channels", [6, 200])
def test_gates_lie_in_one_piece_each(kernel_size: int, in_channels: int) -> None:
    """Channels-last they would not, and their activations take three times as long."""
    layer = ConvLSTM(in_channels, 2, kernel_size)
    x = torch.randn(3, in_channels, 6, 7).contiguous(memory_format=torch.channels_last)[None]
    with patch.object(layer, "step", wraps=layer.step) as step:
        layer(x)
        layer.last_of_windows(x, 2)
    assert step.call_count == 5
    for call in step.call_args_list:
        assert all(gate[0].is_contiguous() for gate in call.args[0].chunk(4, dim=1))


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("size", [None, (3, 2)])
@pytest.mark.parametrize(("activation", "gate_activation"), CELLS)
def test_gradients(
    activation: CellActivation,
    gate_activation: GateActivation,
    kernel_size: int,
    size: tuple[int, int] | None,
) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(
        3,
        2,
        kernel_size,
        peephole_size=size,
        activation=activation,
        gate_activation=gate_activation,
    ).double()
    randomise(layer)
    x = torch.randn(2, 3, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    h, c = (s.requires_grad_() for s in make_state(2, 2, 3, 2))

    def run(x: Tensor, h: Tensor, c: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (new_h, new_c) = layer(x, (h, c))
        return y, new_h, new_c

    # fast: random combinations of the outputs' derivatives instead of each
    assert torch.autograd.gradcheck(run, (x, h, c, *layer.parameters()), fast_mode=True)


def test_parameters_are_registered() -> None:
    def shapes(layer: ConvLSTM) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in layer.named_parameters()}

    plain = {"weight_input": (8, 3, 5, 5), "weight_recurrent": (8, 2, 5, 5), "bias": (8,)}
    names = ("weight_ci", "weight_cf", "weight_co")
    assert shapes(ConvLSTM(3, 2, 5, peephole=False)) == plain
    assert shapes(ConvLSTM(3, 2, 5)) == plain | dict.fromkeys(names, (2, 1, 1))
    full = shapes(ConvLSTM(3, 2, 5, peephole_size=(6, 7)))
    assert full == plain | dict.fromkeys(names, (2, 6, 7))


def test_start_values() -> None:
    layer = ConvLSTM(6, 3)
    assert layer.bias.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert all(w is not None and not w.any() for w in (layer.weight_ci, layer.weight_cf))
    recurrent = layer.weight_recurrent.flatten(1)  # (12, 3), orthonormal columns
    torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(3))
    # With x = 0 the cell only forgets: c = σ(1) c.
    _, (_, c) = layer(torch.zeros(1, 6, 1, 1), (torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)))
    torch.testing.assert_close(c, torch.full((1, 3, 1, 1), 0.7310586))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("peephole", [True, False])
@pytest.mark.parametrize(("activation", "gate_activation"), CELLS)
def test_state_and_output_take_the_dtype_of_the_input(
    activation: CellActivation,
    gate_activation: GateActivation,
    dtype: torch.dtype,
    peephole: bool,
) -> None:
    layer = ConvLSTM(
        3, 2, 3, peephole=peephole, activation=activation, gate_activation=gate_activation
    ).to(dtype)
    y, (h, c) = layer(torch.randn(1, 2, 3, 4, 5, dtype=dtype))
    assert (y.dtype, h.dtype, c.dtype) == (dtype,) * 3
    y, (h, c) = layer(torch.randn(1, 3, 4, 5, dtype=dtype), (h.float(), c.float()))
    assert (y.dtype, h.dtype, c.dtype) == (dtype,) * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kernel_size", "peephole"), [(1, True), (1, False), (3, True), (3, False)]
)
@pytest.mark.parametrize(("activation", "gate_activation"), CELLS)
def test_autocast(
    activation: CellActivation,
    gate_activation: GateActivation,
    dtype: torch.dtype,
    kernel_size: int,
    peephole: bool,
) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(
        90,
        2,
        kernel_size,
        peephole=peephole,
        activation=activation,
        gate_activation=gate_activation,
    )
    randomise(layer, 0.02)
    x = torch.randn(2, 3, 90, 4, 5)
    expected, _ = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, (h, c) = layer(x.to(dtype))
        carried, _ = layer(x[:, 0].to(dtype), (h, c))
    assert (y.dtype, h.dtype, c.dtype, carried.dtype) == (dtype,) * 4
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.05)
    y.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_state_goes_to_the_device_of_the_input() -> None:
    layer = ConvLSTM(3, 2).to("meta")
    y, (h, c) = layer(torch.zeros(1, 3, 4, 5, device="meta"), make_state(1, 2, 4, 5))
    assert {y.device.type, h.device.type, c.device.type} == {"meta"}


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, 5, 4, 6, 7), r"\(2, 5, 4, 6, 7\).*\(B, T, 3, H, W\)"),
        ((5, 4, 6, 7), r"\(5, 4, 6, 7\).*or \(B, 3, H, W\)"),
        ((3, 6, 7), r"\(3, 6, 7\)"),
        ((2, 0, 3, 6, 7), "T ≥ 1"),
    ],
)
def test_wrong_input(shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(InputError, match=text):
        ConvLSTM(3, 2)(torch.zeros(shape))


@pytest.mark.parametrize(
    "shape", [(2, 2, 6, 6), (1, 2, 6, 7), (2, 3, 6, 7), (2, 6, 7), (2, 2, 1, 1)]
)
def test_wrong_state(shape: tuple[int, ...]) -> None:
    good = torch.zeros(2, 2, 6, 7)
    layer = ConvLSTM(3, 2)
    for state in ((torch.zeros(shape), good), (good, torch.zeros(shape)), (good,)):
        with pytest.raises(InputError, match=r"give \(h, c\), each \(2, 2, 6, 7\)"):
            layer(torch.zeros(2, 5, 3, 6, 7), state)


def test_full_map_peepholes_fix_the_size() -> None:
    layer = ConvLSTM(3, 2, peephole_size=(6, 7))
    with pytest.raises(InputError, match=r"size \(7, 6\), but its peepholes are \(6, 7\)"):
        layer(torch.zeros(1, 3, 7, 6))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((3, 2, 1, True, None, "relu"), "activation='relu': give 'tanh' or 'linear'"),
        ((3, 2, 1, True, None, "tanh", "tanh"), "gate_activation='tanh': give 'sigmoid' or 'hard"),
        ((3, 2, 2), "kernel_size=2"),
        ((3, 2, 0), "kernel_size=0"),
        ((0, 2), "in_channels=0"),
        ((3, 0), "out_channels=0"),
        ((3, 2, 1, False, (4, 4)), "peephole=True"),
        ((3, 2, 1, True, (0, 4)), r"peephole_size=\(0, 4\)"),
    ],
)
def test_wrong_arguments(arguments: tuple[int, int], text: str) -> None:
    with pytest.raises(InputError, match=text):
        ConvLSTM(*arguments)


@pytest.mark.parametrize(("frames", "length"), [(7, 3), (2, 5), (5, 5), (4, 1), (1, 3)])
@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_last_of_windows_equals_each_window_by_itself(
    activation: CellActivation, frames: int, length: int
) -> None:
    torch.manual_seed(1)
    layer = randomise(ConvLSTM(4, 3, kernel_size=3, activation=activation))
    x = torch.randn(2, frames, 4, 5, 6)
    with torch.no_grad():
        found = layer.last_of_windows(x, length)
        expected = [layer(x[:, max(0, t - length + 1) : t + 1])[0][:, -1] for t in range(frames)]
    torch.testing.assert_close(found, torch.stack(expected, 1), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=r"give \(B, T, 4, H, W\)"):
        layer.last_of_windows(x[:, :0], length)
