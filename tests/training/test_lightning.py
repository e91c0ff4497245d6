"""What of a checkpoint reaches Lightning, and the other distribution of Lightning."""

import datetime
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement
from pytorch_lightning.plugins.io import TorchCheckpointIO

from facemask import _distribution
from facemask.checkpoints import read_weights
from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.errors import InputError
from facemask.extraction import load_model
from facemask.lightning_guard import DATA_KEY, MODULE_KEY, keep_known, known_names
from facemask.models.cascade.cascade import Cascade
from facemask.training.callbacks import LabelWriter, TrainingGuard
from facemask.training.checkpointing import AtomicCheckpointIO, ResumableRun
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.test_cli import error_of
from tests.training.runs import quiet_trainer

BACKBONE = "test_resnet"
CONFIG = str(Path(__file__).parents[2] / "configs" / "fcn.yaml")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


class Narrow(FCNModule):
    def __init__(self, note: str = "", **options: Any) -> None:  # noqa: ANN401
        super().__init__(BACKBONE, output_stride=8, **options)
        self.note = note


def test_names_that_a_class_knows() -> None:
    names = known_names(Narrow)
    assert {"note", "backbone", "learning_rate", "region"} <= names  # and those that ** is for
    assert not {"self", "options", "network", "args", "kwargs"} & names
    assert "more_training" in known_names(FaceMaskDataModule)


def test_hyperparameters_of_unknown_names_are_left_out() -> None:
    checkpoint = {
        MODULE_KEY: {"note": "x", "color_of_sky": "blue", 3: 4, "_class_path": "a.B"},
        "hparams": {"color_of_sky": "blue"},
        "module_arguments": {"note": "y"},
        DATA_KEY: {"size": 48},
    }
    with pytest.warns(UserWarning, match="hyperparameters 3, color_of_sky are left out: Narrow"):
        keep_known(checkpoint, Narrow)
    keep_known(checkpoint, FaceMaskDataModule, DATA_KEY)
    assert checkpoint == {MODULE_KEY: {"note": "x"}, DATA_KEY: {"size": 48}}
    keep_known(checkpoint, None)
    assert checkpoint == {DATA_KEY: {"size": 48}}


@pytest.fixture
def checkpoint(mask_root: Path, tmp_path: Path) -> Path:
    """Of a run, with a name among its hyperparameters that nobody knows."""
    path = tmp_path / "fcn.ckpt"
    data = FaceMaskDataModule(
        str(mask_root), clip_length=None, size=32, batch_size=2, num_workers=0
    )
    trainer = quiet_trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(FCNModule(BACKBONE, output_stride=8, learning_rate=0.002), data)
    trainer.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    content[MODULE_KEY]["color_of_sky"] = "blue"
    content[DATA_KEY] = {"batch_size": 3, "color_of_sky": "blue"}
    torch.save(content, path)
    return path


def test_loaders_build_without_unknown_names(checkpoint: Path) -> None:
    with pytest.warns(UserWarning, match="color_of_sky are left out: FCNModule has none"):
        module = FCNModule.load_from_checkpoint(checkpoint)
    assert module.learning_rate == 0.002
    saved = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(saved[name].equal(value) for name, value in module.state_dict().items())
    assert FCNModule.load_from_checkpoint(checkpoint, learning_rate=0.1).learning_rate == 0.1
    with pytest.warns(UserWarning, match="color_of_sky are left out: FaceMaskDataModule has none"):
        data = FaceMaskDataModule.load_from_checkpoint(checkpoint)
    assert (data.batch_size, data._first_epoch) == (3, 1)


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_no_verb_hands_unknown_names_to_lightning(
    verb: str, checkpoint: Path, mask_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    hook = FCNModule.on_load_checkpoint

    def look(module: FCNModule, content: dict[str, Any]) -> None:
        seen.append({key: set(content[key]) for key in (MODULE_KEY, DATA_KEY)})
        hook(module, content)

    monkeypatch.setattr(FCNModule, "on_load_checkpoint", look)
    options = [f"--model.backbone={BACKBONE}", "--model.output_stride=8", "--data.size=32",
               "--model.pretrained=false", f"--data.root={mask_root}", "--data.num_workers=0",
               "--trainer.accelerator=cpu", "--trainer.max_epochs=2",
               "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2",
               "--trainer.enable_progress_bar=false"]  # fmt: skip
    with pytest.warns(UserWarning, match="color_of_sky"):
        main([verb, "-c", CONFIG, *options, f"--ckpt_path={checkpoint}"])
    assert "learning_rate" in seen[0][MODULE_KEY]
    assert seen[0][DATA_KEY] == {"batch_size"}
    assert "color_of_sky" not in seen[0][MODULE_KEY]


def test_the_plugin_alone_keeps_none(checkpoint: Path) -> None:
    content = AtomicCheckpointIO().load_checkpoint(checkpoint)
    assert MODULE_KEY not in content
    assert DATA_KEY not in content
    plain = TorchCheckpointIO().load_checkpoint(checkpoint, weights_only=True)
    assert content.keys() == plain.keys() - {MODULE_KEY, DATA_KEY}


def test_no_reader_takes_objects(
    tmp_path: Path, mask_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "object.ckpt"
    torch.save({"state_dict": {}, "facemask": {}, "day": datetime.date(2026, 1, 2)}, path)
    readers: list[Any] = [
        load_model,
        Cascade.from_checkpoints,
        FCNModule.load_from_checkpoint,
        FaceMaskDataModule.load_from_checkpoint,
        AtomicCheckpointIO().load_checkpoint,
        read_weights,
        FCNModule(BACKBONE, output_stride=8, init_from=str(path)).load_initial_weights,
        ConvLSTMFCNModule(BACKBONE, init_from=str(path)).load_initial_weights,
    ]
    for reader in readers:
        with pytest.raises(InputError, match=r"object\.ckpt: no checkpoint, or one that holds Pyt"):
            reader(*() if reader in readers[-2:] else (path,))
    for words in (["extract", "--model", str(path), str(mask_root / "images_orig")],
                  ["test", "-c", CONFIG, f"--ckpt_path={path}"]):  # fmt: skip
        assert "holds Python objects beside weights" in error_of(words, capsys)


def test_the_oldest_lightning_that_is_safe() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    found = Requirement(re.findall(r'"(pytorch-lightning>[^"]+)"', text)[0])
    assert "2.6.6" in found.specifier
    assert not any(f"2.{v}" in found.specifier for v in ("5.6", "6.0", "6.1", "6.4", "6.5"))


def of_lightning(name: str) -> type:
    """A class that stands in for one of `lightning.pytorch`, which is not installed here."""
    base = type(name, (), {"__module__": "lightning.pytorch.trainer.trainer", "callbacks": []})
    return type(name, (base,), {"__module__": "project.training"})


@pytest.mark.parametrize("make", [TrainingGuard, ResumableRun, LabelWriter])
def test_our_callbacks_in_a_trainer_of_lightning(make: type) -> None:
    trainer = of_lightning("Trainer")()
    with pytest.raises(InputError, match=r"project\.training\.Trainer was given, but facemask works"
                       " with `import pytorch_lightning`, which has cla"):  # fmt: skip
        make().setup(trainer, FCNModule(BACKBONE), "fit")


def test_a_callback_of_lightning_in_our_trainer(tmp_path: Path, mask_root: Path) -> None:
    trainer: Any = quiet_trainer(tmp_path)
    trainer.callbacks.append(of_lightning("EarlyStopping")())
    module = FCNModule(BACKBONE)
    module.trainer = trainer
    with pytest.raises(InputError, match=r"project\.training\.EarlyStopping was given, but"):
        module.setup("fit")


def test_our_modules_beside_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning.pytorch", types.ModuleType("lightning.pytorch"))
    with pytest.warns(UserWarning, match=r"lightning\.pytorch is imported, whose Trainer refuses"
                      " .* take Trainer, callbacks and loggers from there"):  # fmt: skip
        FCNModule(BACKBONE)
    with pytest.warns(UserWarning, match=r"lightning\.pytorch is imported, whose Trainer refuses"):
        FaceMaskDataModule()


@pytest.mark.parametrize(("release", "told"), [("2.6.2", True), ("2.6.3", True), ("2.6.6", False)])
def test_a_malicious_release_is_told_and_not_imported(
    release: str, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_distribution, "version", lambda _: release)
    main(["weights", "list"])
    said = capsys.readouterr().err
    assert (f"lightning {release} is installed, a malicious release" in said) is told
    assert "lightning" not in sys.modules
