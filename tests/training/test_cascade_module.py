"""`CascadeModule` on batches made by hand, and its YAML."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import Tensor
from torch.utils.data import DataLoader

from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.datamodule import ClipBatch
from facemask.errors import InputError
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.training.cascade_module import CascadeModule
from facemask.training.modules import FCNModule
from facemask.training.scored_module import ScoredModule
from tests.models.oracles import all_background, make_clip, oracles, without
from tests.models.test_cascade_file import BACKBONE, checkpoint
from tests.training.runs import quiet_trainer as trainer

CONFIG = Path(__file__).parents[2] / "configs" / "cascade.yaml"


pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (".*LeafSpec", ".*max_epochs", ".*no .val_dataloader", ".*instantiate_classes")
]


@pytest.fixture
def primary(tmp_path: Path) -> str:
    return str(checkpoint(tmp_path / "face.ckpt", FCNModule(BACKBONE)))


def batch(number: int, lengths: tuple[int, ...], original_images: bool = True) -> Any:  # noqa: ANN401
    """A `ClipBatch` with the original images."""
    clips = [make_clip(120, 130, length, seed=10 * number + b) for b, length in enumerate(lengths)]
    batch = {
        "images": torch.zeros(len(clips), max(lengths), 3, 8, 8, dtype=torch.uint8),
        "masks": torch.full((len(clips), max(lengths), 8, 8), 255, dtype=torch.uint8),
        "original_masks": [masks for _, masks in clips],
        "original_sizes": [[tuple(mask.shape) for mask in masks] for _, masks in clips],
        "names": [
            [f"00{number}_{5 * b + t:06d}" for t in range(len(masks))]
            for b, (_, masks) in enumerate(clips)
        ],
    }
    return batch | ({"original_images": [images for images, _ in clips]} if original_images else {})


def loader(batches: list[ClipBatch]) -> DataLoader[ClipBatch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def with_oracles(path: str, **edits: Any) -> CascadeModule:  # noqa: ANN401
    module = CascadeModule(path)
    module.network = oracles(**edits, options=CascadeSettings(size=160))
    return module


def test_scores_every_frame_at_its_original_size(primary: str, tmp_path: Path) -> None:
    batches = [batch(1, (5, 3)), batch(2, (5,))]
    module = with_oracles(primary)
    result = trainer(tmp_path).test(module, loader(batches), verbose=False)[0]
    assert result["test/miou"] > 0.98
    assert result["test/iou_inner_mouth"] > 0.95
    assert result["test/eyes_found"] == result["test/mouth_found"] == 1
    worse = with_oracles(primary, primary=without(2), mouth=all_background)
    result = trainer(tmp_path).test(worse, loader(batches), verbose=False)[0]
    assert result["test/eyes_found"] == 0
    assert result["test/iou_eyes"] == result["test/iou_lips"] == 0
    masks = [m for one in batches for clip in one["original_masks"] for m in clip]
    skin = sum(int((m == 1).sum()) for m in masks)
    face = sum(int((m > 0).sum()) for m in masks)
    assert result["test/iou_skin"] == pytest.approx(skin / face, abs=2e-3)
    result = trainer(tmp_path).validate(module, loader(batches), verbose=False)[0]
    assert result["val/miou"] > 0.98


def test_steps_return_label_images_by_name(primary: str, tmp_path: Path) -> None:
    one = batch(1, (2, 3))
    module = with_oracles(primary).eval()
    (predicted,) = trainer(tmp_path).predict(module, loader([one])) or []
    assert isinstance(predicted, dict)
    truth = {
        name: mask
        for names, masks in zip(one["names"], one["original_masks"], strict=True)
        for name, mask in zip(names, masks, strict=True)
    }
    assert list(predicted) == list(truth)
    found: Tensor
    for name, found in predicted.items():
        assert found.dtype == torch.uint8
        assert found.shape == truth[name].shape
        assert (found != truth[name]).float().mean() < 0.002


def test_a_primary_alone_scores_as_its_own_module(mask_root: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = FCNModule(BACKBONE)
    path = str(checkpoint(tmp_path / "face.ckpt", module))
    data = FaceMaskDataModule(
        str(mask_root), size=32, batch_size=3, num_workers=0, original_images=True
    )
    alone = CascadeModule(path, settings=CascadeSettings(size=32))
    (expected,) = trainer(tmp_path).test(module, data, verbose=False)
    (found,) = trainer(tmp_path).test(alone, data, verbose=False)
    assert 0 < found["test/pixel_accuracy"] < 1
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-4, nan_ok=True), name


def test_batches_without_original_images(primary: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no original images.*: set data.original_images=true"):
        trainer(tmp_path).test(with_oracles(primary), loader([batch(1, (2,), False)]))


def test_does_not_train_or_take_a_checkpoint(primary: str, tmp_path: Path) -> None:
    module = CascadeModule(primary)
    with pytest.raises(InputError, match="A cascade is not trained as a whole"):
        trainer(tmp_path).fit(module, loader([batch(1, (2,))]))
    with pytest.raises(InputError, match="leave --ckpt_path out"):
        module.on_load_checkpoint({})


def test_networks_from_checkpoints_or_from_one_file(primary: str, tmp_path: Path) -> None:
    eyes = FCNModule(BACKBONE, num_classes=2)
    path = str(checkpoint(tmp_path / "eyes.ckpt", eyes, region="eyes"))
    module = CascadeModule(primary, eyes=path, settings=CascadeSettings(size=64))
    assert list(module.network.networks()) == ["primary", "eyes"]
    description = module.describe_network()
    assert description["networks"]["eyes"]["num_classes"] == 2
    assert description["settings"]["size"] == 64
    module.network.save(tmp_path / "saved.safetensors")
    loaded = CascadeModule(cascade=str(tmp_path / "saved.safetensors"))
    assert loaded.describe_network() == description
    each_eye = CascadeSettings(refine_each_eye=True)
    with pytest.raises(InputError, match=r"has settings of its own: give --model.settings null"):
        CascadeModule(cascade=str(tmp_path / "saved.safetensors"), settings=each_eye)

    with pytest.raises(InputError, match=r"model.cascade and model.eyes are both given"):
        CascadeModule(eyes=path, cascade="x")
    with pytest.raises(InputError, match=r"model.primary is not set"):
        CascadeModule(eyes=path)
    with pytest.raises(InputError, match=r"eyes.ckpt: holds a model of the region 'eyes', exp"):
        CascadeModule(path)


def test_the_command_line(
    primary: str, mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    mouth = checkpoint(
        tmp_path / "mouth.ckpt", FCNModule(BACKBONE, num_classes=3, region="mouth"), region="mouth"
    )
    options = [
        "-c", str(CONFIG), f"--model.primary={primary}", "--model.eyes=null",
        f"--model.mouth={mouth}", "--model.settings.size=32", f"--data.root={mask_root}",
        "--data.num_workers=0", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
    ]  # fmt: skip
    main(["test", *options])
    header, row = Path("runs/cascade/test/metrics.csv").read_text("utf-8").splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert 0 < float(values["test/pixel_accuracy"]) < 1
    assert 0 <= float(values["test/mouth_found"]) <= 1
    main(["predict", *options, "--predictions.folder=out"])
    split = (mask_root / "data_splits/split_1/test_per10.txt").read_text("utf-8").split()
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(
        Path(name).name for name in split[1::2]
    )


def test_the_yaml(primary: str) -> None:
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert config["data"]["init_args"]["original_images"] is True
    parser = ArgumentParser()
    parser.add_subclass_arguments(ScoredModule, "model")
    model = config["model"]
    assert CascadeSettings(**model["init_args"]["settings"]) == CascadeSettings()
    model["init_args"] |= {"primary": primary, "eyes": None, "mouth": None}
    parsed = parser.parse_object({"model": model})
    module = parser.instantiate_classes(parsed).model
    assert isinstance(module, CascadeModule)
    assert isinstance(module.network, Cascade)
    assert isinstance(module.network.primary, FCN)
    assert module.network.settings == CascadeSettings()
