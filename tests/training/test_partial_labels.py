"""Data that label some classes only, through the command line and beside full data."""

import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor, nn

from facemask.cli import main
from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.losses import CompositeLoss, CrossEntropyLoss, IoULoss, SegmentationLoss
from facemask.report import read_run
from facemask.training.loggers import ValidationPanels, names
from facemask.training.mask_module import MaskModule
from facemask.training.merging import merge_labels
from facemask.training.modules import FCNModule
from tests.test_cli import error_of
from tests.training.feature_runs import BACKBONE, Run

SPLIT = "data_splits/split_1"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def partial_root(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small data set, of which eyes, lips and inner mouth alone are labelled."""
    root = shutil.copytree(mask_root, tmp_path_factory.mktemp("partial") / "set")
    for path in (root / "labels_orig").iterdir():
        label = read_label(path)
        cv2.imwrite(str(path), np.where(label < 2, 131, label).astype(np.uint8))
    return root


def config(root: Path, model: dict[str, Any], **data: Any) -> list[str]:  # noqa: ANN401
    """Two epochs of two batches; the folder is `run`."""
    saver = {"dirpath": "run", "filename": "best", "save_last": True, "monitor": "val/miou",
             "mode": "max", "enable_version_counter": False}  # fmt: skip
    content = {
        "seed_everything": 0,
        "trainer": {
            "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False,
            "max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 2,
            "logger": {"class_path": "CSVLogger",
                       "init_args": {"save_dir": ".", "name": "run", "version": ""}},
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": saver}],
        },
        "model": model,
        "data": {"class_path": "FaceMaskDataModule",
                 "init_args": {"root": str(root), "size": 32, "batch_size": 4, "num_workers": 0,
                               "clip_length": None, **data}},
    }  # fmt: skip
    Path("config.yaml").write_text(yaml.safe_dump(content))
    return ["-c", "config.yaml"]


def fcn(**options: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"class_path": "FCNModule", "init_args": {
        "backbone": BACKBONE, "output_stride": 8, **options}}  # fmt: skip


def values(path: str, prefix: str) -> dict[str, float]:
    """The last values of a metrics.csv; NaN where there is none."""
    header, *rows = [line.split(",") for line in Path(path).read_text().splitlines()]
    found: dict[str, float] = {}
    for row in rows:
        found |= {n: float(v) for n, v in zip(header, row, strict=True) if v}
    return {n.removeprefix(prefix): v for n, v in found.items() if n.startswith(prefix)}


@pytest.mark.parametrize("region", ["face", "eyes", "mouth"])
def test_full_and_partial_data_train_together(
    region: str, mask_root: Path, partial_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    augmentation = {"class_path": "ClipAugmentation", "init_args": {
        "border": "reflect", "perspective": 0.3,
        "occluders": {"class_path": "facemask.data.augment.occlusion.Occluders",
                      "init_args": {"region": region}}}}  # fmt: skip
    both = config(mask_root, fcn(region=region), region=region, augmentation=augmentation,
                  more_training={str(partial_root): 1.0})  # fmt: skip
    caplog.set_level("INFO")
    main(["fit", *both])
    trained = values("run/metrics.csv", "")
    assert math.isfinite(trained["train/loss_epoch"])
    assert trained["val/miou"] >= 0  # of the full set
    assert "never tell" not in caplog.text

    main(["test", *both, "--ckpt_path=run/best.ckpt", f"--data.root={partial_root}"])
    scores = values("run/test/metrics.csv", "test/")
    record = read_run(Path("run/test"))
    classes = {"face": ["eyes", "lips", "inner_mouth"], "eyes": ["eyes"],
               "mouth": ["lips", "inner_mouth"]}[region]  # fmt: skip
    assert scores["miou"] == pytest.approx(np.mean([scores[f"iou_{name}"] for name in classes]))
    assert record.table.miou() == pytest.approx(scores["miou"])
    if region == "face":
        said = "The masks to test on never tell background, skin from other classes for certain, "
        assert said + "so that these have no IoU: mIoU is that of eyes, lips, inner_mouth." in (
            caplog.text
        )
        assert math.isnan(scores.get("iou_skin", math.nan))
        assert np.isnan(record.table.iou()[:2]).all()
        main(["report", "run/test", "--baseline=run/test", "--out=report"])
        assert list(Path("report").iterdir())
    else:  # neither skin nor background is left open here
        assert "never tell" not in caplog.text
        assert scores["iou_background"] > 0


@pytest.mark.parametrize("region", ["eyes", "mouth"])
def test_a_region_is_cut_and_labelled_as_from_full_labels(
    region: Any,  # noqa: ANN401
    mask_root: Path,
    partial_root: Path,
) -> None:
    batches = []
    for root in (mask_root, partial_root):
        data = FaceMaskDataModule(str(root), size=32, num_workers=0, region=region)
        data.setup("fit")
        batches.append(next(iter(data.val_dataloader())))
    for key in ("images", "masks", "boxes"):
        assert torch.equal(batches[0][key], batches[1][key])


def test_features_are_cached_of_both(mask_root: Path, partial_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "more_training": {str(partial_root): 1.0}, "augmentation": ClipAugmentation(),
    }  # fmt: skip
    loss = {"loss": CompositeLoss({"ce": CrossEntropyLoss(), "iou": IoULoss()})}
    plain = Run(mask_root, None, loss, **options).fit()
    cached = Run(mask_root, tmp_path / "features", loss, **options).fit()
    assert cached.seen.kinds == {"features"}
    assert cached.seen.losses == pytest.approx(plain.seen.losses, rel=5e-3)
    clips = cached.data.datasets["train"]
    are_open = [bool((clips[i]["masks"] == 131).any()) for i in range(len(clips))]
    assert any(are_open)
    assert not all(are_open)


def test_the_loss_is_that_of_merged_scores(partial_root: Path) -> None:
    data = FaceMaskDataModule(str(partial_root), size=32, num_workers=0, clip_length=None)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    p = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    scores = p.log().view(5, 1, 1).expand(len(batch["masks"]), 5, 32, 32)
    expected = torch.full(batch["masks"].shape, -math.log(0.3))
    for c in (2, 3, 4):
        expected[batch["masks"] == c] = -p[c].log()
    for temperature in (1.0, 0.5):
        loss = CrossEntropyLoss(temperature=temperature)
        merged = merge_labels(loss, temperature * scores, batch["masks"].long(), batch["names"])
        assert loss(*merged).item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_show_paints_them_grey(partial_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", str(partial_root), "--side=val", "--clips=2", "--tile=64", "--out=sheet.png"])
    assert "sheet.png: val of" in capsys.readouterr().out
    assert cv2.imread("sheet.png") is not None


def test_panels_name_them(
    partial_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []

    def image(pixels: Any, *, masks: dict[str, Any], **_: object) -> str:  # noqa: ANN401
        assert pixels.ndim == 3
        shown.append(masks[names.TRUTH])
        return "image"

    monkeypatch.setattr("wandb.Image", image)
    data = FaceMaskDataModule(str(partial_root), size=32, num_workers=0, clip_length=None)
    logger = WandbLogger(mode="disabled", save_dir=tmp_path)
    panels = ValidationPanels(clips=2, video_frames=2)
    trainer = Trainer(
        accelerator="cpu", default_root_dir=tmp_path, logger=logger, callbacks=[panels],
        limit_val_batches=1, enable_progress_bar=False,
    )  # fmt: skip
    trainer.validate(FCNModule(BACKBONE), data, verbose=False)
    assert len(shown) == 2
    for mask in shown:
        assert mask["class_labels"][131] == "background or skin"
        assert set(np.unique(mask["mask_data"])) <= mask["class_labels"].keys()


def test_a_run_is_calibrated_on_them(
    partial_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["fit", *config(partial_root, fcn(learning_rate=0.003))])
    capsys.readouterr()
    main(["calibrate", "run", "--settings=config.yaml", "--force=true"])
    said = capsys.readouterr().out
    assert "Nowhere for certain in the validation side, offset 0: background, skin." in said
    offsets = torch.load("run/calibrated.ckpt", weights_only=True)["state_dict"]["network.offsets"]
    assert offsets[:2].tolist() == [0, 0]


@pytest.mark.parametrize(("value", "region"), [(129, "face"), (160, "face"), (192, "eyes")])
def test_labels_that_are_no_sets_name_the_file(
    value: int,
    region: str,
    partial_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = shutil.copytree(partial_root, tmp_path / "wrong")
    line = (root / SPLIT / "train_per10.txt").read_text().splitlines()[0]
    path = root / line.split(" /")[1]
    cv2.imwrite(str(path), np.full_like(read_label(path), value))
    fit = ["fit", *config(root, fcn(region=region), region=region)]
    said = error_of([*fit, "--trainer.limit_train_batches=1.0"], capsys)
    assert f"{path}: label values [{value}] are not class ids" in said


class Colors(nn.Module):
    """Scores some classes by the colours of the picture."""

    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layer = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layer(images)
        return scores


def test_a_network_that_lacks_a_class_names_the_frame() -> None:
    masks = torch.zeros(2, 2, 8, 8, dtype=torch.uint8)
    masks[1, 1] = 135
    images = torch.zeros(2, 2, 3, 8, 8, dtype=torch.uint8)
    frames = [["001_000001", "001_000002"], ["002_000007", "002_000008"]]
    batch: Any = {"images": images, "masks": masks, "names": frames}
    with pytest.raises(InputError, match=r"^002_000008: merge_class_sets got label 135"):
        MaskModule(Colors()).training_step(batch, 0)


def test_losses_that_cannot_be_merged_are_refused_by_the_first_set_only(
    mask_root: Path, partial_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {
        "backbone": BACKBONE, "output_stride": 8, "cell_activation": "tanh",
        "loss": {
            "class_path": "SegmentationLoss", "init_args": {"form": "linear", "activation": None},
        },
    }  # fmt: skip
    model = {"class_path": "ConvLSTMFCNModule", "init_args": options}
    main(["fit", *config(mask_root, model, clip_length=5), "--trainer.max_epochs=1"])
    line = error_of(["fit", *config(partial_root, model, clip_length=5)], capsys)
    assert "SegmentationLoss without an activation got labels that leave several classes" in line
    terms = {"ce": {"class_path": "CrossEntropyLoss", "init_args": {"temperature": 0.1}},
             "seg": {"class_path": "SegmentationLoss"}}  # fmt: skip
    options["loss"] = {"class_path": "CompositeLoss", "init_args": {"terms": terms}}
    line = error_of(["fit", *config(partial_root, model, clip_length=5)], capsys)
    assert "CompositeLoss has terms of several temperatures (ce 0.1, seg 1)" in line


def test_many_classes_have_no_sets() -> None:
    scores, masks = torch.zeros(1, 150, 4, 4), torch.full((1, 4, 4), 131)
    same, labels = merge_labels(SegmentationLoss(), scores, masks, [["a"]])
    assert same is scores
    assert labels is masks
    module = MaskModule(Colors(150))
    assert not module.train_iou.class_sets
    assert MaskModule(Colors(5)).train_iou.class_sets
