"""Files of ConvLSTM-FCNs from before they named their cell: tanh and sigmoid, as all were then."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from facemask.data import FaceMaskDataModule
from facemask.errors import InputError
from facemask.models import Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.cascade.file import KEY
from facemask.models.cascade.settings import temperature_for
from facemask.models.description import build, describe
from facemask.training.modules import ConvLSTMFCNModule, ConvLSTMModule
from facemask.weights.catalog import find_weights
from facemask.weights.load import load_model
from tests.models.oracles import make_clip
from tests.training.runs import quiet_trainer

BACKBONE = "mobilenetv3_small_050"
CELL = ("cell_activation", "gate_activation")


@pytest.fixture(scope="module")
def network() -> ConvLSTMFCN:
    """One whose masks depend on the activation."""
    torch.manual_seed(0)
    network = ConvLSTMFCN(BACKBONE, cell_activation="tanh").eval()
    with torch.no_grad():
        for parameter in network.convlstm.parameters():
            parameter.normal_()
    return network


def score(network: Any, clips: Tensor) -> Tensor:  # noqa: ANN401  # any of ours
    with torch.no_grad():
        scores: Tensor = network(clips)[0]
    return scores


def write_old_checkpoint(network: ConvLSTMFCN, path: Path) -> Path:
    """What training wrote before: neither description nor hyperparameters name the cell."""
    module = ConvLSTMFCNModule(BACKBONE, cell_activation="tanh")
    module.network.load_state_dict(network.state_dict())
    content: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.5.0",
    }
    module.on_save_checkpoint(content)
    content["facemask"] |= {"input_size": [64, 64], "clips": True}
    for key in CELL:
        del content["facemask"][key], content["hyper_parameters"][key]
    torch.save(content, path)
    return path


def test_the_cell_changes_the_masks(network: ConvLSTMFCN) -> None:
    clips = torch.randn(2, 3, 3, 64, 64)
    linear = ConvLSTMFCN(BACKBONE).eval()
    linear.load_state_dict(network.state_dict())
    assert (score(network, clips).argmax(2) != score(linear, clips).argmax(2)).any()


def test_descriptions(network: ConvLSTMFCN) -> None:
    old = {key: value for key, value in describe(network).items() if key not in CELL}
    assert describe(build(old)) == describe(network)
    for cell, gate in (("linear", "sigmoid"), ("tanh", "hard_sigmoid")):
        new = build(old | {"cell_activation": cell, "gate_activation": gate})
        assert isinstance(new, ConvLSTMFCN)
        assert (new.convlstm.activation, new.convlstm.gate_activation) == (cell, gate)


def test_a_saved_cascade(network: ConvLSTMFCN, tmp_path: Path) -> None:
    cascade = Cascade(network, settings=CascadeSettings(size=64))
    cascade.save(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", framework="pt") as file:
        content = json.loads(file.metadata()[KEY])
    for key in CELL:
        del content["networks"]["primary"][key]
    tensors = safetensors.torch.load_file(tmp_path / "new.safetensors")
    safetensors.torch.save_file(tensors, tmp_path / "old.safetensors", {KEY: json.dumps(content)})
    clips = [make_clip(90, 100, 3, 1)[0]]
    with torch.inference_mode():
        expected = cascade.eval()(clips).labels[0]
        for name in ("old", "new"):
            found = Cascade.load(tmp_path / f"{name}.safetensors")(clips).labels[0]
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_checkpoints(network: ConvLSTMFCN, mask_root: Path, tmp_path: Path) -> None:
    path = write_old_checkpoint(network, tmp_path / "old.ckpt")
    clips = torch.randn(2, 3, 3, 64, 64)
    expected = score(network, clips)
    # extraction and the cascade, also with a network of one's own
    cascade = load_model(path)
    assert temperature_for(cascade.settings, cascade.primary) == 0.1
    assert score(cascade.primary, clips).equal(expected)
    assert score(load_model(path, network=ConvLSTMFCN(BACKBONE)).primary, clips).equal(expected)
    # Python
    loaded = ConvLSTMFCNModule.load_from_checkpoint(path).eval()
    assert score(loaded.network, clips).equal(expected)
    assert loaded.hparams["cell_activation"] == "tanh"
    own = ConvLSTMModule.load_from_checkpoint(path, network=ConvLSTMFCN(BACKBONE)).eval()
    assert score(own.network, clips).equal(expected)
    # `facemask test`, whose configuration is silent about the cell, too
    data = FaceMaskDataModule(str(mask_root), clip_length=3, size=64, num_workers=0)
    module = ConvLSTMFCNModule(BACKBONE)
    quiet_trainer(tmp_path, limit_test_batches=1).test(module, data, ckpt_path=str(path))
    assert score(module.network.eval(), clips).equal(expected)


def test_new_checkpoints_name_their_cell(tmp_path: Path) -> None:
    content: dict[str, Any] = {"state_dict": {}}
    module = ConvLSTMFCNModule(BACKBONE, gate_activation="hard_sigmoid")
    module.on_save_checkpoint(content)
    assert content["facemask"]["cell_activation"] == "linear"
    assert content["facemask"]["gate_activation"] == "hard_sigmoid"
    content["state_dict"] = module.state_dict()
    other = ConvLSTMFCNModule(BACKBONE, cell_activation="tanh")
    with pytest.raises(
        InputError, match="cell_activation 'linear', gate_activation 'hard_sigmoid', but the model"
    ):
        other.on_load_checkpoint(content)
    torch.save(content, tmp_path / "new.ckpt")
    cascade = load_model(tmp_path / "new.ckpt", size=64)
    primary = cascade.primary
    assert isinstance(primary, ConvLSTMFCN)
    assert (primary.convlstm.activation, primary.convlstm.gate_activation) == (
        "linear",
        "hard_sigmoid",
    )
    assert temperature_for(cascade.settings, primary) == 1
    assert temperature_for(CascadeSettings(temperature=0.5), primary) == 0.5


@pytest.mark.parametrize("name", ["default", "open"])
def test_the_shipped_weights_have_tanh(name: str) -> None:
    networks = Cascade.load(find_weights(name)).networks().values()
    assert networks
    for network in networks:
        assert isinstance(network, ConvLSTMFCN)
        assert network.convlstm.activation == "tanh"
        assert network.convlstm.gate_activation == "sigmoid"
