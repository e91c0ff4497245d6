"""ConvLSTM against Keras's ConvLSTM2D: its outputs, written by findings/keras_hard_sigmoid.sh."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from facemask.models import ConvLSTM
from facemask.models.cell import CellActivation, GateActivation

STORED = Path(__file__).parent / "keras_convlstm.npz"
GATES = ("sigmoid", "hard_sigmoid", "hard_sigmoid of Keras 3")


def stored(name: str) -> Tensor:
    """Read an array, channels first: pictures (..., C, H, W), kernels (out, in, k, k)."""
    with np.load(STORED) as file:
        values = torch.from_numpy(file[name])
    is_kernel = name.startswith(("kernel", "recurrent"))
    return values.permute(3, 2, 0, 1) if is_kernel else values.movedim(-1, -3)


def keras_layer(
    kernel_size: int, activation: CellActivation, gate_activation: GateActivation
) -> ConvLSTM:
    """A layer with Keras's weights, whose gates lie in the same order."""
    layer = ConvLSTM(
        3,
        2,
        kernel_size,
        peephole=False,
        activation=activation,
        gate_activation=gate_activation,
    )
    with np.load(STORED) as file:
        bias = torch.from_numpy(file[f"bias{kernel_size}"])
    with torch.no_grad():
        layer.weight_input.copy_(stored(f"kernel{kernel_size}"))
        layer.weight_recurrent.copy_(stored(f"recurrent{kernel_size}"))
        layer.bias.copy_(bias)
    return layer


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("activation", get_args(CellActivation))
@pytest.mark.parametrize("gate_activation", get_args(GateActivation))
def test_equals_keras(
    kernel_size: int, activation: CellActivation, gate_activation: GateActivation
) -> None:
    layer = keras_layer(kernel_size, activation, gate_activation)
    frames = stored("x")
    assert frames.shape == (4, 3, 4, 5)
    with torch.no_grad():
        y, (h, c) = layer(frames[None])
    which = 3 * (activation == "linear") + GATES.index(gate_activation)
    expected, cell = stored(f"y{kernel_size}")[which], stored(f"c{kernel_size}")[which]
    torch.testing.assert_close(y[0], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close((h[0], c[0]), (expected[-1], cell), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_keras_3_has_another_hard_sigmoid(kernel_size: int, activation: CellActivation) -> None:
    layer = keras_layer(kernel_size, activation, "hard_sigmoid")
    with torch.no_grad():
        y, _ = layer(stored("x")[None])
    other = stored(f"y{kernel_size}")[3 * (activation == "linear") + 2]
    assert (y[0] - other).abs().max() > 0.05 * other.abs().max()
