import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facemask.boxes import Box
from facemask.data import ClipAugmentation, FaceMaskDataModule, region_boxes
from facemask.data.datamodule import EpochSampler
from facemask.data.region_boxes import LabelExtent, read_extents
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.regions import REGIONS, Region

SPLIT = "data_splits/split_1"


def make(root: Path, region: str, **options: object) -> FaceMaskDataModule:
    settings = {"root": str(root), "size": 48, "num_workers": 0, "region": region, **options}
    return FaceMaskDataModule(**settings)  # type: ignore[arg-type]


def blank(root: Path, names: list[str]) -> None:
    """Take eyes and mouth out of labels."""
    for name in names:
        path = root / "labels_orig" / f"{name}.png"
        cv2.imwrite(str(path), np.minimum(read_label(path), 1))


def names_of(root: Path, side: str) -> list[str]:
    lines = (root / SPLIT / f"{side}_per10.txt").read_text().splitlines()
    return sorted(Path(line.split()[0]).stem for line in lines)


@pytest.mark.parametrize("region", ["eyes", "mouth"])
def test_training_batches(region: Region, mask_root: Path) -> None:
    data = make(mask_root, region, augmentation=ClipAugmentation(), batch_size=3)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (3, 5, 3, 48, 48)
    assert batch["masks"].shape == (3, 5, 48, 48)
    assert batch["images"].dtype == batch["masks"].dtype == torch.uint8
    assert batch["boxes"].shape == (3, 4)
    assert batch["boxes"].dtype == torch.float32
    assert batch["original_masks"] == [[], [], []]
    ids = set(range(len(REGIONS[region].classes)))
    assert ids <= set(batch["masks"].unique().tolist()) <= ids | {255}


def test_a_region_fills_more_of_its_crop_than_of_the_face(mask_root: Path) -> None:
    shares = {}
    for region, class_id in (("face", 2), ("eyes", 1)):
        data = make(mask_root, region, clip_length=None, batch_size=12)
        data.setup("validate")
        masks = next(iter(data.val_dataloader()))["masks"]
        shares[region] = (masks == class_id).float().mean()
    assert shares["eyes"] > 2 * shares["face"] > 0
    assert 0.02 < shares["eyes"] < 0.05  # about 3 % in the paper


def test_faces_have_the_whole_image_as_box(mask_root: Path) -> None:
    data = make(mask_root, "face")
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["boxes"].tolist() == [[0, 0, 1, 1]] * 2


def test_evaluation_scores_the_box_at_original_size(mask_root: Path) -> None:
    data = make(mask_root, "mouth", batch_size=3)
    data.setup("test")
    seen = []
    for batch in data.test_dataloader():
        for b, names in enumerate(batch["names"]):
            seen += names
            box = Box(*batch["boxes"][b].double().tolist())
            for t, name in enumerate(names):
                label = read_label(mask_root / "labels_orig" / f"{name}.png")
                edges = box.in_pixels(*label.shape)
                mask, size = batch["original_masks"][b][t], batch["original_sizes"][b][t]
                assert tuple(mask.shape) == size
                height, width = edges.bottom - edges.top, edges.right - edges.left
                assert size == pytest.approx((height, width), abs=0.5 + 1e-3)
                # pixel by pixel, as Python counts
                for i, j in ((0, 0), (size[0] // 2, size[1] // 2), (size[0] // 2, 3)):
                    y = int(np.floor(edges.top + (i + 0.5) * height / size[0]))
                    x = int(np.floor(edges.left + (j + 0.5) * width / size[1]))
                    inside = 0 <= y < label.shape[0] and 0 <= x < label.shape[1]
                    own = {3: 1, 4: 2, 255: 255}
                    assert mask[i, j] == (own.get(int(label[y, x]), 0) if inside else 255)
                # all of the mouth is there; rounding the size skips or repeats a row and a column
                mouth = np.isin(label, (3, 4))
                rim = int(mouth.sum(axis=0).max() + mouth.sum(axis=1).max())
                assert ((mask == 1) | (mask == 2)).sum() == pytest.approx(mouth.sum(), abs=rim)
    assert sorted(seen) == names_of(mask_root, "test")


def test_training_boxes_move_with_epoch_and_index_only(mask_root: Path) -> None:
    def boxes(epoch: int, **options: object) -> dict[str, list[float]]:
        data = make(mask_root, "eyes", seed=3, **options)
        data.setup("fit")
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, EpochSampler)
        loader.sampler.set_epoch(epoch)
        return {
            names[0]: box.tolist()
            for batch in loader
            for names, box in zip(batch["names"], batch["boxes"], strict=True)
        }

    first = boxes(0)
    assert boxes(0, num_workers=2, augmentation=ClipAugmentation()) == first
    later = boxes(1)
    assert later.keys() == first.keys()
    assert all(later[name] != first[name] for name in first)
    still = boxes(0, box_shift=0, box_scale=0)
    assert boxes(1, box_shift=0, box_scale=0) == still
    wide = boxes(0, box_shift=0, box_scale=0, box_margin=2.5)
    for name, (left, top, right, bottom) in still.items():
        other = wide[name]
        assert other[2] - other[0] == pytest.approx(2 * (right - left), rel=1e-5)
        assert other[0] + other[2] == pytest.approx(left + right, abs=1e-5)
        assert other[1] + other[3] == pytest.approx(top + bottom, abs=1e-5)


def test_clips_without_the_region_are_left_out_and_counted(
    mask_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(mask_root, tmp_path / "root")
    for side in ("train", "test"):
        names = names_of(root, side)
        # one whole clip, and one frame of another
        clips = make(root, "face", clip_length=5)
        clips.setup("fit" if side == "train" else "test")
        first, second = clips.datasets[side].clips[:2]
        blank(root, [f.image.stem for f in first] + [second[0].image.stem])
        total = len(clips.datasets[side])

        data = make(root, "mouth")
        caplog.clear()
        with caplog.at_level(logging.INFO):
            data.setup("fit" if side == "train" else "test")
        assert f"1 of {total} {side} clips do not show mouth and are left out." in caplog.messages
        dataset = data.datasets[side]
        assert dataset.left_out == 1
        kept = [frame.image.stem for clip in dataset.clips for frame in clip]
        assert kept == sorted(set(names) - {f.image.stem for f in first})
        # the frame without a mouth is background inside its clip's box
        masks = dataset[0]["masks"]
        assert set(masks[0].unique().tolist()) <= {0, 255}
        assert 1 in masks[1]


def test_no_clip_shows_the_region(mask_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(mask_root, tmp_path / "root")
    blank(root, names_of(root, "val"))
    with pytest.raises(InputError, match=r"no label of the \d+ val clips shows eyes, so there is"):
        make(root, "eyes").setup("validate")


def test_each_label_is_read_once(mask_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def spy(paths: list[Path], region: Region) -> dict[Path, LabelExtent]:
        read.extend(paths)
        return read_extents(paths, region)

    monkeypatch.setattr(region_boxes, "read_extents", spy)
    data = make(mask_root, "eyes")
    for stage in ("fit", "validate", "test"):
        data.setup(stage)
    assert len(read) == len(set(read)) == 140


def test_bad_options_and_labels(mask_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="region is 'nose': give one of face, eyes, mouth"):
        make(mask_root, "nose")
    with pytest.raises(InputError, match=r"box_margin is 0\.9, expected at least 1\."):
        make(mask_root, "eyes", box_margin=0.9)
    with pytest.raises(InputError, match=r"box_shift is -0\.1, expected 0 or more and below 1"):
        make(mask_root, "mouth", box_shift=-0.1)
    with pytest.raises(InputError, match=r"box_scale is nan, expected"):
        make(mask_root, "mouth", box_scale=float("nan"))
    with pytest.raises(InputError, match=r"box_shift is 0\.2, but data\.region is 'face'"):
        make(mask_root, "face", box_shift=0.2)
    with pytest.raises(InputError, match=r"prediction has no labels .* the cascade finds"):
        make(mask_root, "eyes").setup("predict")
    root = shutil.copytree(mask_root, tmp_path / "root")
    name = names_of(root, "test")[0]
    cv2.imwrite(str(root / "labels_orig" / f"{name}.png"), np.full((9, 9), 77, dtype=np.uint8))
    with pytest.raises(InputError, match=rf"{name}\.png: label values \[77\] are not class ids"):
        make(root, "eyes").setup("test")
