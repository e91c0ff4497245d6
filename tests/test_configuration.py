"""Classes by their short names, in YAML and on the command line."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import facemask.data
import facemask.losses
import facemask.models
from facemask.cli import main
from facemask.configuration import (
    FULL_PATHS,
    expand_words,
    in_full,
    read_configuration,
)
from facemask.extraction.load import network_from_config
from facemask.models import FCN
from tests.test_cli import error_of


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


@pytest.mark.parametrize("name", FULL_PATHS)
def test_each_name_is_a_class_there(name: str) -> None:
    module, _, found = FULL_PATHS[name].rpartition(".")
    assert found == name
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_what_packages_offer_to_configurations_has_a_short_name() -> None:
    assert {n for n in facemask.losses.__all__ if n[0].isupper()} <= FULL_PATHS.keys()
    named = {"FCN", "FCNVGG16", "DeepLab", "DenseCRF", "ConvLSTMFCN", "TemporalSmoothing"}
    assert named <= FULL_PATHS.keys() & set(facemask.models.__all__)
    assert {"Occluders", "StillMotion"} <= FULL_PATHS.keys() & set(facemask.data.__all__)


def resolved(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stop:
        main(["fit", *words, "--print_config"])
    assert not stop.value.code
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def test_in_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    Path("short.yaml").write_text("""
model:
  class_path: MaskModule
  init_args:
    network: {class_path: FCN, init_args: {backbone: resnet18}}
    loss: CrossEntropyLoss
    smoothing: {class_path: TemporalSmoothing}
data:
  class_path: FaceMaskDataModule
  init_args:
    augmentation: {class_path: ClipAugmentation, init_args: {occluders: {class_path: Occluders}}}
trainer:
  logger: {class_path: CSVLogger, init_args: {save_dir: runs, name: FCN}}
  callbacks: [{class_path: ModelCheckpoint}, RunInfo, {class_path: ValidationPanels}]
""")
    config = resolved("-c", "short.yaml", capsys=capsys)
    model, trainer = config["model"], config["trainer"]
    assert model["class_path"] == "facemask.training.mask_module.MaskModule"
    assert model["init_args"]["network"]["class_path"] == "facemask.models.FCN"
    assert model["init_args"]["network"]["init_args"]["backbone"] == "resnet18"
    assert model["init_args"]["loss"]["class_path"] == "facemask.losses.CrossEntropyLoss"
    assert trainer["logger"]["class_path"] == "pytorch_lightning.loggers.CSVLogger"
    assert trainer["logger"]["init_args"]["name"] == "FCN"  # a run's name is not a class
    assert [callback["class_path"].rpartition(".")[2] for callback in trainer["callbacks"]] == [
        "ModelCheckpoint", "RunInfo", "ValidationPanels",
    ]  # fmt: skip
    augmentation = config["data"]["init_args"]["augmentation"]["init_args"]
    assert augmentation["occluders"]["class_path"].startswith("facemask.data.")
    assert isinstance(network_from_config(Path("short.yaml")), FCN)  # extract --network


@pytest.mark.parametrize(
    "name", ["FCNModule", "ConvLSTMFCNModule", "FCNVGG16Module", "DeepLabModule", "MaskModule",
             "CascadeModule", "LandmarkTrackerModule"],
)  # fmt: skip
def test_on_the_command_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", name, "--data=FaceMaskDataModule", "--trainer.callbacks+=RunInfo"]
    if name not in ("CascadeModule", "LandmarkTrackerModule"):
        words += ["--model.loss", "IoULoss"]
    config = resolved(*words, capsys=capsys)
    assert config["model"]["class_path"] == FULL_PATHS[name]
    assert config["trainer"]["callbacks"][0]["class_path"] == FULL_PATHS["RunInfo"]
    if "--model.loss" in words:
        assert config["model"]["init_args"]["loss"]["class_path"] == "facemask.losses.IoULoss"
    with pytest.raises(SystemExit):
        main(["fit", f"--model.help={name}"])
    assert f"Help for --model.help={FULL_PATHS[name]}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "place"), [(["--model", "FCNModul"], ""), (["-c", "wrong.yaml"], "wrong.yaml: ")]
)
def test_an_unknown_name_is_one_sentence(
    words: list[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text("model: {class_path: FCNModul}")
    said = error_of(["fit", *words], capsys)
    near = "there is no such class; did you mean FCNModule? --help lists the options."
    assert said == f"facemask: error: {place}model is FCNModul, and {near}"


def test_other_values_stay() -> None:
    config = {"name": "FCN", "tags": ["IoULoss"], "size": 3, "model": {"class_path": "a.FCN"}}
    assert in_full(config) == config
    words = ["fit", "--trainer.logger.name", "FCN", "--trainer.logger.name=FCN", "-c", "FCN"]
    assert expand_words(words) == words


@pytest.fixture
def on_a_base() -> Path:
    """A file on another one, which lies on a third."""
    Path("below").mkdir()
    Path("first.yaml").write_text("""
model: {class_path: FCNModule, init_args: {backbone: resnet18, loss: IoULoss}}
data: {class_path: FaceMaskDataModule, init_args: {size: 96, batch_size: 3}}
trainer: {max_epochs: 7, logger: {class_path: CSVLogger, init_args: {save_dir: runs, name: first}}}
""")
    Path("second.yaml").write_text("base: first.yaml\nmodel: {init_args: {region: eyes}}\n")
    path = Path("below/third.yaml")
    path.write_text("""
base: ../second.yaml
trainer: {logger: {init_args: {name: third}}, callbacks+: [RunInfo]}
data: {init_args: {region: eyes, size: 64}}
""")
    return path


@pytest.mark.parametrize("option", ["-c {}", "--config={}", "--config {}"])
def test_a_file_on_a_base(option: str, on_a_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = resolved(*option.format(on_a_base).split(), "--data.batch_size=5", capsys=capsys)
    model, data = config["model"], config["data"]["init_args"]
    assert model["class_path"] == FULL_PATHS["FCNModule"]
    assert (model["init_args"]["backbone"], model["init_args"]["region"]) == ("resnet18", "eyes")
    assert (data["region"], data["size"], data["batch_size"]) == ("eyes", 64, 5)
    assert config["trainer"]["max_epochs"] == 7
    assert config["trainer"]["logger"]["init_args"]["name"] == "third"
    assert config["trainer"]["logger"]["init_args"]["save_dir"] == "runs"
    assert config["trainer"]["callbacks"][0]["class_path"] == FULL_PATHS["RunInfo"]
    read = read_configuration(on_a_base)
    assert read["data"]["init_args"] == {"size": 64, "batch_size": 3, "region": "eyes"}
    assert read["model"]["init_args"]["loss"] == FULL_PATHS["IoULoss"]
    assert "base" not in read
    network = network_from_config(on_a_base)  # extract --network
    assert isinstance(network, FCN)
    assert network.num_classes == 2


def test_bases_that_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("base: b.yaml")
    said = error_of(["fit", "-c", "a.yaml"], capsys)
    reason = "No such file or directory"
    assert said == f"facemask: error: a.yaml: cannot read its base b.yaml ({reason})."
    Path("b.yaml").write_text("base: a.yaml")
    said = error_of(["fit", "-c", "a.yaml"], capsys)
    assert said.endswith("a.yaml: builds on itself: name another file as its base.")
