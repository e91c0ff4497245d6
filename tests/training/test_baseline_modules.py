"""The baselines on VGG-16 as LightningModules, in cascades and on the command line."""

import re
import sys
from pathlib import Path

import pytest
import torch

from facemask.cli import main
from facemask.configuration import read_configuration
from facemask.data import FaceMaskDataModule
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.losses import SegmentationLoss
from facemask.models import (
    FCN,
    FCNVGG16,
    Cascade,
    CascadeSettings,
    DeepLab,
    DenseCRF,
    TemporalSmoothing,
)
from facemask.training.baseline_modules import DeepLabModule, FCNVGG16Module
from facemask.training.modules import FCNModule
from tests.models.vgg16 import vgg16_weights
from tests.training.runs import quiet_trainer as trainer

CONFIGS = Path(__file__).parents[2] / "configs" / "baselines"
PAGE = Path(__file__).parents[2] / "docs" / "baselines.md"
MODULES = (FCNVGG16Module, DeepLabModule)


def data(root: Path, clip_length: int | None = None) -> FaceMaskDataModule:
    return FaceMaskDataModule(
        str(root), clip_length=clip_length, size=32, batch_size=3, num_workers=0
    )


@pytest.mark.parametrize("module_type", MODULES)
def test_training_starts_from_local_weights_and_ends_elsewhere(
    module_type: type[FCNVGG16Module] | type[DeepLabModule], mask_root: Path, tmp_path: Path
) -> None:
    weights = vgg16_weights(base=2, fc=6)
    torch.save(weights, tmp_path / "vgg16.pth")
    path = str(tmp_path / "vgg16.pth")
    module = module_type(pretrained=path, base_channels=2, fc_channels=6, learning_rate=1e-12)
    name = "features.28.weight"
    assert not torch.allclose(module.network.encoder.state_dict()[name], weights[name])
    run = trainer(tmp_path, limit_train_batches=2, limit_val_batches=1)
    run.fit(module, data(mask_root))
    torch.testing.assert_close(module.network.encoder.state_dict()[name], weights[name])
    run.save_checkpoint(tmp_path / "trained.ckpt")

    again = module_type(pretrained=path, base_channels=2, fc_channels=6, learning_rate=0.01)
    run = trainer(tmp_path, limit_train_batches=2, limit_val_batches=1)
    run.fit(again, data(mask_root))
    moved = [not torch.equal(value, module.network.state_dict()[key])
             for key, value in again.network.state_dict().items()]  # fmt: skip
    assert sum(moved) > len(moved) / 2
    (result,) = trainer(tmp_path).test(
        again, data(mask_root, 5), ckpt_path=tmp_path / "trained.ckpt", weights_only=True,
        verbose=False,
    )  # fmt: skip
    assert 0 <= result["test/miou"] <= 1
    torch.testing.assert_close(again.network.encoder.state_dict()[name], weights[name])

    other = module_type(base_channels=2, fc_channels=7)
    with pytest.raises(InputError, match="holds fc_channels 6, but the model has fc_channels 7"):
        trainer(tmp_path).test(
            other, data(mask_root), ckpt_path=tmp_path / "trained.ckpt", weights_only=True
        )
    with pytest.raises(InputError, match="but the model has network 'FCN', backbone"):
        trainer(tmp_path).test(
            FCNModule("mobilenetv3_small_050"), data(mask_root),
            ckpt_path=tmp_path / "trained.ckpt", weights_only=True,
        )  # fmt: skip


def test_descriptions_regions_and_losses() -> None:
    assert FCNVGG16Module(base_channels=2, fc_channels=6).describe_network() == {
        "network": "FCNVGG16",
        "backbone": "vgg16",
        "output_stride": 32,
        "num_classes": 5,
        "region": "face",
        "base_channels": 2,
        "fc_channels": 6,
    }
    mouth = DeepLabModule(base_channels=2, fc_channels=6, region="mouth")
    assert mouth.describe_network()["output_stride"] == 8
    assert mouth.network.num_classes == 3
    with pytest.raises(InputError, match="num_classes is 5, but the region 'eyes' has 2"):
        FCNVGG16Module(num_classes=5, base_channels=2, fc_channels=6, region="eyes")
    for module_type in MODULES:
        with pytest.warns(UserWarning, match="unbounded below"):
            module_type(
                base_channels=2, fc_channels=6, loss=SegmentationLoss("linear", activation=None)
            )


class LipsEverywhere(DenseCRF):
    """Puts lips everywhere."""

    def forward(self, scores: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        assert images.shape == (scores.shape[0], 3, *scores.shape[2:])
        refined = torch.zeros_like(scores)
        refined[:, 3] = 1
        return refined


@pytest.mark.parametrize(
    ("smoothing", "clip_length"), [(None, None), (None, 5), (TemporalSmoothing(), 5)]
)
def test_the_crf_is_asked_in_tests_and_predictions_only(
    smoothing: TemporalSmoothing | None, clip_length: int | None, mask_root: Path, tmp_path: Path
) -> None:
    module = DeepLabModule(
        base_channels=2, fc_channels=6, crf=LipsEverywhere(), smoothing=smoothing
    )
    for branch in module.network.classifier.branches:
        branch.get_submodule("6").get_parameter("bias").data[1] = 100.0  # the network says skin
    clips = data(mask_root, clip_length)
    (result,) = trainer(tmp_path).test(module, clips, verbose=False)
    assert result["test/iou_background"] == result["test/iou_skin"] == 0
    assert result["test/iou_lips"] > 0
    batches = trainer(tmp_path, limit_predict_batches=2).predict(module, clips)
    assert batches
    labels = {name: label for batch in batches for name, label in batch.items()}  # type: ignore[union-attr]
    for name, label in labels.items():
        assert (label == 3).all()
        assert label.shape == read_label(mask_root / "labels_orig" / f"{name}.png").shape
    (result,) = trainer(tmp_path).validate(module, clips, verbose=False)
    assert result["val/iou_skin"] > 0
    assert result["val/iou_lips"] == 0


def test_in_a_cascade_from_checkpoints_and_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    modules = {
        "face": DeepLabModule(base_channels=2, fc_channels=6),
        "eyes": FCNModule("mobilenetv3_small_050", region="eyes"),
        "mouth": FCNVGG16Module(base_channels=3, fc_channels=7, region="mouth"),
    }
    for region, module in modules.items():
        content: dict[str, object] = {"state_dict": module.state_dict()}
        module.on_save_checkpoint(content)
        torch.save(content, tmp_path / f"{region}.ckpt")
    primary, eyes, mouth = (tmp_path / f"{region}.ckpt" for region in modules)
    cascade = Cascade.from_checkpoints(primary, eyes, mouth, CascadeSettings(size=64))
    cascade.save(tmp_path / "cascade.safetensors")
    loaded = Cascade.load(tmp_path / "cascade.safetensors")
    assert [type(network) for network in loaded.networks().values()] == [DeepLab, FCN, FCNVGG16]
    for name, value in cascade.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    for module, network in zip(modules.values(), loaded.networks().values(), strict=True):
        assert all(torch.equal(v, module.network.state_dict()[k])
                   for k, v in network.state_dict().items())  # fmt: skip
    clip = torch.randint(0, 255, (2, 3, 70, 60), dtype=torch.uint8)
    with torch.inference_mode():
        outputs = [each([clip], probabilities=True) for each in (cascade, loaded)]
    assert outputs[0].probabilities is not None
    assert outputs[1].probabilities is not None
    for one, other in zip(outputs[0].probabilities[0], outputs[1].probabilities[0], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["fcn_vgg16", "deeplab_v2"])
def test_the_command_line(
    name: str, mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    options = [
        "-c", str(CONFIGS / f"{name}.yaml"), f"--data.root={mask_root}", "--data.size=32",
        "--data.num_workers=0", "--trainer.accelerator=cpu", "--model.base_channels=2",
        "--model.fc_channels=6", "--model.pretrained=false", "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
    ]  # fmt: skip
    main(["fit", *options])
    best = f"--ckpt_path=runs/{name}/best.ckpt"
    main(["test", *options, best, "--record.flow=null"])
    assert Path(f"runs/{name}/test/frames.csv").is_file()
    crf = ["--model.crf=facemask.models.DenseCRF", "--model.crf.iterations=2"]
    main(["predict", *options, best, "--predictions.folder=out",
          *(crf if name == "deeplab_v2" else [])])  # fmt: skip
    split = (mask_root / "data_splits/split_1/test_per10.txt").read_text("utf-8").split()
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(
        Path(label).name for label in split[1::2]
    )


def test_the_yaml_files_are_the_papers() -> None:
    contents = {p.stem: read_configuration(p) for p in CONFIGS.glob("*.yaml")}
    base = read_configuration(CONFIGS.parent / "fcn.yaml")
    for name in ("fcn_vgg16", "deeplab_v2", "fcn_smoothed"):
        content = contents[name]
        assert content["trainer"]["logger"]["init_args"]["name"] == name
        assert content["trainer"]["callbacks"][0]["init_args"]["dirpath"] == f"runs/{name}"
        assert content["trainer"]["max_epochs"] == base["trainer"]["max_epochs"] == 80
        assert content["data"]["init_args"]["size"] == 320
    smoothed = contents["fcn_smoothed"]
    smoothing = smoothed["model"]["init_args"].pop("smoothing")
    assert smoothing["init_args"] == {"window": 5, "sigma": 0.6}
    assert smoothed["model"] == base["model"]  # the checkpoint of configs/fcn.yaml fits
    assert smoothed["data"]["init_args"]["clip_length"] == 5


def test_the_snippet_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    names: dict[str, torch.Tensor] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["scores"].shape == (2, 19, 100, 120)
    assert names["masks"].shape == (2, 100, 120)
    assert capsys.readouterr().out == "torch.Size([2, 5, 5, 64, 64])\n"
