"""ConvLSTMs as exported and compiled programs, which must have the layer's own activations."""

import io
from collections import Counter
from typing import get_args

import pytest
import torch
from torch import Tensor

from facemask.models import ConvLSTM, ConvLSTMFCN
from facemask.models.cell import CellActivation, GateActivation

FRAMES = 3
CELLS = [(a, g) for a in get_args(CellActivation) for g in get_args(GateActivation)]


def make_layer(activation: CellActivation, gate_activation: GateActivation) -> ConvLSTM:
    torch.manual_seed(0)
    return ConvLSTM(6, 2, 3, activation=activation, gate_activation=gate_activation)


@pytest.mark.parametrize(("activation", "gate_activation"), CELLS)
def test_exported_layers_have_their_activations(
    activation: CellActivation, gate_activation: GateActivation
) -> None:
    layer = make_layer(activation, gate_activation)
    x = torch.randn(2, FRAMES, 6, 5, 7)
    program = torch.export.export(layer, (x,))
    operators = Counter(str(node.target) for node in program.graph.nodes)
    gate = "aten.sigmoid.default" if gate_activation == "sigmoid" else "aten.hardsigmoid.default"
    other = "aten.hardsigmoid.default" if gate_activation == "sigmoid" else "aten.sigmoid.default"
    assert (operators[gate], operators[other]) == (3 * FRAMES, 0)  # three gates a frame
    assert operators["aten.tanh.default"] == (2 * FRAMES if activation == "tanh" else 0)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    with torch.no_grad():
        expected, state = layer(x)
        y, exported_state = loaded(x)
    torch.testing.assert_close((y, exported_state), (expected, state))


@pytest.mark.parametrize(
    ("activation", "gate_activation"), [("tanh", "sigmoid"), ("linear", "hard_sigmoid")]
)
def test_compiled_layers_with_a_state(
    activation: CellActivation, gate_activation: GateActivation
) -> None:
    layer = make_layer(activation, gate_activation)
    compiled = torch.compile(layer, backend="aot_eager")  # all but the code of the C++ compiler
    x = torch.randn(2, FRAMES, 6, 5, 7)
    y, state = layer(x)
    torch.testing.assert_close(compiled(x), (y, state))
    torch.testing.assert_close(compiled(x[:, 0], state), layer(x[:, 0], state))
    gradients = []
    for run in (layer, compiled):
        layer.zero_grad()
        run(x)[0].square().sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("activation", get_args(CellActivation))
def test_exported_networks(activation: CellActivation) -> None:
    torch.manual_seed(0)
    network = ConvLSTMFCN("test_resnet", output_stride=8, cell_activation=activation).eval()
    clips = 3 * torch.randn(1, 2, 3, 32, 48)
    program = torch.export.export(network, (clips,)).module()
    with torch.no_grad():
        expected: Tensor = network(clips)[0]
        torch.testing.assert_close(program(clips)[0], expected)
