"""Shipped weights go on learning: configs/finetune.yaml and its parts."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemask.configuration import read_configuration
from facemask.errors import InputError
from facemask.experiment.job import Job
from facemask.experiment.plan import read_plan
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.regions import Region
from facemask.training.cascade_module import CascadeModule
from facemask.training.cli import check_arguments
from facemask.training.initial_weights import read_initial_weights
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from facemask.weights import find_weights
from tests.models.test_cascade_file import BACKBONE, trained

CONFIGS = Path(__file__).parents[2] / "configs"
pytestmark = pytest.mark.filterwarnings("ignore::facemask.weights.LicenceNotice")


def same(weights: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return weights.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in weights.items()
    )


@pytest.mark.parametrize("step", ["primary", "eyes", "mouth"])
def test_each_step_starts_from_the_shipped_network(step: str, tmp_path: Path) -> None:
    plan = read_plan(CONFIGS / "finetune.yaml")
    job = Job(plan, CONFIGS, tmp_path / "data", tmp_path / "out", fast=False, seed=0)
    model = job.config(step, "fit")["model"]
    assert model["class_path"].endswith("ConvLSTMFCNModule")
    options = {k: v for k, v in model["init_args"].items() if k not in ("loss", "optimizer")}
    module = ConvLSTMFCNModule(**options)
    module.load_initial_weights()
    shipped = Cascade.load(find_weights("default")).networks()[step]
    assert same(module.network.state_dict(), shipped.state_dict())


def test_the_plan_ends_with_one_file(tmp_path: Path) -> None:
    plan = read_plan(CONFIGS / "finetune.yaml")
    job = Job(plan, CONFIGS, tmp_path / "data", tmp_path / "out", fast=False, seed=0)
    model = job.config("cascade", "test")["model"]["init_args"]
    assert model["save"] == str(tmp_path / "out" / "cascade.safetensors")
    assert model["eyes"] == str(tmp_path / "out" / "runs" / "eyes" / "best.ckpt")
    shipped = Cascade.load(find_weights("default")).settings
    settings = read_configuration(CONFIGS / "finetune" / "cascade.yaml")["model"]["init_args"]
    for name, value in settings["settings"].items():
        assert getattr(shipped, name) == value
    check_arguments(["fit", "-c", str(CONFIGS / "finetune" / "network.yaml")])


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    cascade = Cascade(
        trained(FCN(BACKBONE, 5)), trained(FCN(BACKBONE, 2)), settings=CascadeSettings(size=64)
    )
    cascade.save(tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def test_a_cascade_gives_the_network_of_the_region(tiny: str) -> None:
    networks = Cascade.load(Path(tiny)).networks()
    regions: list[tuple[str, Region]] = [("primary", "face"), ("eyes", "eyes")]
    for role, region in regions:
        found = read_initial_weights(tiny, region)
        weights = {f"network.{k}": v for k, v in networks[role].state_dict().items()}
        assert same(found["state_dict"], weights)
        assert found["facemask"]["region"] == region
    module = FCNModule(BACKBONE, region="eyes", init_from=tiny)
    module.load_initial_weights()
    assert same(module.network.state_dict(), networks["eyes"].state_dict())


def test_what_does_not_fit(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no network of mouth, only of face, eyes: train"):
        read_initial_weights(tiny, "mouth")
    with pytest.raises(InputError, match=r"none\.ckpt: no such checkpoint"):
        read_initial_weights(str(tmp_path / "none.ckpt"), "face")
    with pytest.raises(InputError, match=r"none: no such file; give 'default', 'open', a file"):
        read_initial_weights("none", "face")
    other = FCNModule(BACKBONE, output_stride=8, init_from=tiny)
    with pytest.raises(InputError, match="output_stride"):
        other.load_initial_weights()


def test_a_tested_cascade_is_saved(tiny: str, tmp_path: Path) -> None:
    module = CascadeModule(cascade=tiny, save=str(tmp_path / "new" / "mine.safetensors"))
    trainer = {"is_global_zero": True, "callback_metrics": {"test/miou": torch.tensor(0.8125)}}
    module.trainer = type("Trainer", (), trainer)()
    module.on_test_end()
    saved, before = Cascade.load(tmp_path / "new" / "mine.safetensors"), Cascade.load(Path(tiny))
    assert saved.settings == before.settings
    for name, network in before.networks().items():
        for key, value in network.state_dict().items():
            stored = saved.networks()[name].state_dict()[key]
            assert torch.allclose(stored.float(), value.float(), atol=2e-3)
