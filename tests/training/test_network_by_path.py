"""Modules whose network is given: by class path in YAML, or as an object in Python."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor, nn

from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.losses import SegmentationLoss
from facemask.models import FCN, FCNVGG16, ConvLSTMFCN, DeepLab
from facemask.training.baseline_modules import DeepLabModule, FCNVGG16Module
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, ConvLSTMModule, FCNModule
from facemask.training.scored_module import ScoredModule, Stage
from tests.test_cli import error_of
from tests.training.runs import quiet_trainer

BACKBONE: dict[str, Any] = {"backbone": "test_resnet", "output_stride": 8}
NARROW: dict[str, Any] = {"base_channels": 2, "fc_channels": 6}


def data(root: Path, **options: Any) -> FaceMaskDataModule:  # noqa: ANN401
    settings = {"clip_length": 3, "size": 32, "batch_size": 2, "num_workers": 0, **options}
    return FaceMaskDataModule(str(root), **settings)


class OwnConvLSTMFCN(ConvLSTMFCN):
    """A subclass of a user's."""


@pytest.mark.parametrize(
    ("module", "network", "options", "special"),
    [
        (MaskModule, FCN, BACKBONE, FCNModule),
        (MaskModule, FCNVGG16, NARROW, FCNVGG16Module),
        (MaskModule, DeepLab, NARROW, DeepLabModule),
        (ConvLSTMModule, OwnConvLSTMFCN, BACKBONE, ConvLSTMFCNModule),
    ],
)
def test_the_network_by_class_path_trains_as_in_its_own_module(
    module: type[MaskModule],
    network: type[nn.Module],
    options: dict[str, Any],
    special: type[MaskModule],
    mask_root: Path,
    tmp_path: Path,
) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ScoredModule, "model")
    chosen = {
        "class_path": f"{module.__module__}.{module.__name__}",
        "init_args": {
            "network": {
                "class_path": f"{network.__module__}.{network.__name__}",
                "init_args": options,
            },
            "learning_rate": 0.01,
        },
    }
    weights = []
    for make in (
        lambda: parser.instantiate(parser.parse_object({"model": chosen})).model,
        lambda: special(**options, learning_rate=0.01),
    ):
        torch.manual_seed(0)
        built = make()
        trainer = quiet_trainer(tmp_path, limit_train_batches=2, limit_val_batches=1)
        trainer.fit(built, data(mask_root))
        weights.append(built.network.state_dict())
    assert type(built) is special
    assert all(weights[1][name].equal(value) for name, value in weights[0].items())


def test_a_convlstm_of_ones_own_is_trained_by_gamma_and_loaded(
    mask_root: Path, tmp_path: Path
) -> None:
    module = ConvLSTMModule(OwnConvLSTMFCN(**BACKBONE), gamma=0, learning_rate=0.02)
    trainer = quiet_trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(module, data(mask_root))
    assert len(trainer.optimizers[0].param_groups) == 1
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    loaded = ConvLSTMModule.load_from_checkpoint(
        tmp_path / "own.ckpt", network=OwnConvLSTMFCN(**BACKBONE)
    )
    assert (loaded.gamma, loaded.learning_rate) == (0, 0.02)
    with pytest.raises(InputError, match=r"does not hold network, which ConvLSTMModule is built"):
        ConvLSTMModule.load_from_checkpoint(tmp_path / "own.ckpt")


def test_any_network_starts_from_a_checkpoint_of_its_own(mask_root: Path, tmp_path: Path) -> None:
    first = MaskModule(FCN(**BACKBONE))
    trainer = quiet_trainer(tmp_path, limit_train_batches=1, limit_val_batches=0)
    trainer.fit(first, data(mask_root))
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = MaskModule(FCN(**BACKBONE), init_from=str(tmp_path / "first.ckpt"))
    second.load_initial_weights()
    state = second.network.state_dict()
    assert all(state[name].equal(value) for name, value in first.network.state_dict().items())
    with pytest.raises(InputError, match=r"first\.ckpt holds network 'FCN'"):
        FCNVGG16Module(**NARROW, init_from=str(tmp_path / "first.ckpt")).load_initial_weights()
    with pytest.raises(InputError, match=r"pretrained is x.pth and model.init_from y.ckpt"):
        DeepLabModule(**NARROW, pretrained="x.pth", init_from="y.ckpt")


def test_a_loss_that_free_scores_make_unbounded_is_told_of_any_module() -> None:
    with pytest.warns(UserWarning, match="unbounded below"):
        MaskModule(FCN(**BACKBONE), loss=SegmentationLoss("linear", activation=None))


def test_hyperparameters_are_those_of_all_bases() -> None:
    hparams = ConvLSTMFCNModule(**BACKBONE, gamma=0.5).hparams
    assert {"backbone", "skips", "gamma", "freeze_bn", "learning_rate", "region"} <= hparams.keys()
    assert (hparams["backbone"], hparams["gamma"]) == ("test_resnet", 0.5)
    assert (hparams["freeze_bn"], hparams["learning_rate"]) == (True, 1e-3)
    assert not {"network", "loss", "optimizer", "training"} & hparams.keys()


@pytest.mark.parametrize("name", ["FCNModule", "ConvLSTMFCNModule"])
def test_help_shows_the_options_of_all_bases(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["facemask"])
    with pytest.raises(SystemExit):
        main(["fit", f"--model.help=facemask.training.modules.{name}"])
    shown = capsys.readouterr().out
    for option in ("backbone", "skips", "loss", "optimizer", "learning_rate", "freeze_bn", "region",
                   "smoothing", "compile_network", "init_from"):  # fmt: skip
        assert f"--model.{option}" in shown
    assert "--model.network" not in shown
    assert "it falls linearly to 0" in " ".join(shown.split())  # with their descriptions
    assert ("--model.gamma" in shown) is (name == "ConvLSTMFCNModule")


class Skin(ScoredModule):
    """Says that everything is skin; nothing is trained."""

    def __init__(self) -> None:
        network: Any = nn.Identity()
        network.num_classes = 5
        super().__init__(network, "face")

    def label(self, batch: ClipBatch, stage: Stage) -> list[list[Tensor]]:
        assert stage in ("val", "test", "predict")
        return [[torch.ones(size, dtype=torch.uint8) for size in clip]
                for clip in batch["original_sizes"]]  # fmt: skip


def test_a_module_that_is_only_scored(
    mask_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (result,) = quiet_trainer(tmp_path).test(Skin(), data(mask_root), verbose=False)
    assert 0 < result["test/iou_skin"] < 1
    assert result["test/iou_eyes"] == 0
    assert not [name for name in result if "loss" in name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    config = {
        "model": {"class_path": f"{__name__}.Skin"},
        "data": {"class_path": "FaceMaskDataModule", "init_args": {"root": str(mask_root)}},
        "trainer": {"logger": False, "accelerator": "cpu"},
    }
    Path("skin.yaml").write_text(yaml.safe_dump(config))
    assert "No `training_step()` method defined" in error_of(["fit", "-c", "skin.yaml"], capsys)
    cascade: dict[str, Any] = {"class_path": "facemask.training.cascade_module.CascadeModule"}
    checkpoint = tmp_path / "fcn.ckpt"
    module = FCNModule(**BACKBONE)
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, checkpoint)
    cascade["init_args"] = {"primary": str(checkpoint)}
    Path("cascade.yaml").write_text(yaml.safe_dump(config | {"model": cascade}))
    said = error_of(["fit", "-c", "cascade.yaml"], capsys)
    assert "error: A cascade is not trained as a whole: train a model for each region" in said
