"""Modules on region data: their metrics, their checkpoints, and scores at original size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from facemask.data import FaceMaskDataModule
from facemask.errors import InputError
from facemask.files import write_image
from facemask.regions import REGIONS, Region
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.runs import quiet_trainer as trainer

BACKBONE = "mobilenetv3_small_050"


def data(root: Path, region: str, **options: Any) -> FaceMaskDataModule:  # noqa: ANN401
    settings = {"clip_length": None, "size": 32, "batch_size": 3, "num_workers": 0, **options}
    return FaceMaskDataModule(str(root), region=region, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def painted_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces whose pictures show their labels: grey level 60 × class id; frames differ in size."""
    root = tmp_path_factory.mktemp("painted")
    split = root / "data_splits" / "split_1"
    for folder in (root / "images_orig", root / "labels_orig", split):
        folder.mkdir(parents=True)
    lines = []
    for number in range(1, 8):
        height, width = 190 + number, 200 - 2 * (number % 3)
        label = np.zeros((height, width), dtype=np.uint8)
        middle = width // 2 + number
        cv2.ellipse(label, (middle, 100), (75, 90), 0, 0, 360, 1, -1)
        for x in (middle - 33, middle + 31):
            cv2.ellipse(label, (x, 70), (17, 7), 0, 0, 360, 2, -1)
        cv2.ellipse(label, (middle, 187), (40, 14), 0, 0, 360, 3, -1)  # its box leaves the image
        cv2.ellipse(label, (middle, 187), (25, 6), 0, 0, 360, 4, -1)
        name = f"001_{number:06d}"
        write_image(root / "labels_orig" / f"{name}.png", label)
        write_image(root / "images_orig" / f"{name}.png", np.repeat(label[..., None] * 60, 3, 2))
        lines.append(f"/images_orig/{name}.png /labels_orig/{name}.png\n")
    (split / "test_per10.txt").write_text("".join(lines))
    return root


class Oracle(nn.Module):
    """Reads the labels of `painted_root` from the pictures."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self.classes = REGIONS[region].classes
        self.num_classes = len(self.classes)
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = images[..., 0, :, :] * 255 / 60
        scores = [-(level - class_id).abs() for class_id in self.classes]
        elsewhere = [-(level - c).abs() for c in range(5) if c not in self.classes]
        scores[0] = torch.stack([scores[0], *elsewhere]).amax(dim=0)
        return torch.stack(scores, dim=-3)


@pytest.mark.parametrize("region", ["eyes", "mouth"])
@pytest.mark.parametrize("clip_length", [None, 5])
def test_an_oracle_scores_full_marks_at_original_size(
    region: Region, clip_length: int | None, painted_root: Path, tmp_path: Path
) -> None:
    module = MaskModule(Oracle(region), None, torch.optim.Adam, 1e-3, False, region)
    clips = data(painted_root, region, size=320, clip_length=clip_length)
    result = trainer(tmp_path).test(module, clips, verbose=False)[0]
    expected = {"eyes": ["eyes"], "mouth": ["lips", "inner_mouth"]}[region]
    named = {name.removeprefix("test/iou_") for name in result if "/iou_" in name}
    assert named == {"background", *expected}
    # between lips and what is around them, interpolated grey levels pass through other classes
    least = {"eyes": 0.97, "lips": 0.9, "inner_mouth": 0.93}
    for name in expected:
        assert result[f"test/iou_{name}"] > least[name]
    mean = np.mean([result[f"test/iou_{name}"] for name in expected])
    assert result["test/miou"] == pytest.approx(mean, abs=1e-6)


def test_the_region_decides_the_classes() -> None:
    for module in (FCNModule, ConvLSTMFCNModule):
        assert module(BACKBONE).network.num_classes == 5
        assert module(BACKBONE, num_classes=3).network.num_classes == 3
        eyes = module(BACKBONE, region="eyes")
        assert eyes.network.num_classes == 2
        assert eyes.test_iou.class_names == ("background", "eyes")
        assert eyes.describe_network()["region"] == "eyes"
        mouth = module(BACKBONE, region="mouth")
        assert mouth.train_iou.class_names == ("background", "lips", "inner_mouth")
        with pytest.raises(InputError, match="region is 'nose': give one of face, eyes, mouth"):
            module(BACKBONE, region="nose")  # type: ignore[arg-type]


def test_model_and_data_of_different_regions(mask_root: Path, tmp_path: Path) -> None:
    message = "model.region is 'eyes', but data.region is 'mouth': give both the same"
    with pytest.raises(InputError, match=message):
        trainer(tmp_path).fit(FCNModule(BACKBONE, region="eyes"), data(mask_root, "mouth"))
    with pytest.raises(InputError, match=r"model\.region is 'face', but data\.region is 'eyes'"):
        trainer(tmp_path).test(FCNModule(BACKBONE), data(mask_root, "eyes"))


@pytest.fixture(scope="module")
def eyes_checkpoint(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eyes")
    run = trainer(folder, limit_train_batches=2, limit_val_batches=2)
    run.fit(FCNModule(BACKBONE, region="eyes"), data(mask_root, "eyes"))
    assert "val/iou_eyes" in run.callback_metrics
    run.save_checkpoint(folder / "eyes.ckpt")
    return folder / "eyes.ckpt"


def test_checkpoints_of_another_region_are_refused(
    eyes_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    restored = FCNModule.load_from_checkpoint(eyes_checkpoint, weights_only=True)
    assert restored.region == "eyes"
    mouth = FCNModule(BACKBONE, region="mouth")
    message = (
        "holds num_classes 2, region 'eyes', but the model has num_classes 3, region 'mouth': give"
    )
    with pytest.raises(InputError, match=message):
        trainer(tmp_path).test(
            mouth, data(mask_root, "mouth"), ckpt_path=eyes_checkpoint, weights_only=True
        )
    primary = ConvLSTMFCNModule(BACKBONE, init_from=str(eyes_checkpoint))
    with pytest.raises(InputError, match=r"eyes\.ckpt holds num_classes 2, region 'eyes', but"):
        trainer(tmp_path).fit(primary, data(mask_root, "face", clip_length=5))


def test_checkpoints_that_name_no_region_are_of_faces(eyes_checkpoint: Path) -> None:
    checkpoint = torch.load(eyes_checkpoint, weights_only=True)
    del checkpoint["facemask"]["region"]
    with pytest.raises(InputError, match="holds region 'face', but the model has region 'eyes'"):
        FCNModule(BACKBONE, region="eyes").on_load_checkpoint(checkpoint)
    FCNModule(BACKBONE, num_classes=2).on_load_checkpoint(checkpoint)
