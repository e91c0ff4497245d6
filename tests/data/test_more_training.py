import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.data.datamodule import EpochSampler
from facemask.data.loaders import Shares
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError

SPLIT = "data_splits/split_1"


def make(root: Path, **options: object) -> FaceMaskDataModule:
    settings = {"root": str(root), "size": 32, "num_workers": 0, "clip_length": 5, **options}
    data = FaceMaskDataModule(**settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def keys(data: FaceMaskDataModule, epoch: int) -> list[tuple[int, int]]:
    sampler = data.train_dataloader().sampler
    assert isinstance(sampler, EpochSampler)
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.fixture
def other(mask_root: Path, tmp_path: Path) -> Path:
    """A second data set whose files are named as those of the first."""
    return shutil.copytree(mask_root, tmp_path / "other")


def test_clips_of_two_roots_never_join(mask_root: Path, other: Path) -> None:
    # the second set goes on where the first one's last video ends
    for root, numbers in ((mask_root, range(1, 4)), (other, range(4, 6))):
        target = other.parent / f"short_{root.name}"
        for folder in ("images_orig", "labels_orig"):
            target.mkdir(exist_ok=True)
            shutil.copytree(root / folder, target / folder)
        (target / SPLIT).mkdir(parents=True)
        lines = [f"/images_orig/001_{n:06d}.jpg /labels_orig/001_{n:06d}.png" for n in numbers]
        for side in ("train", "val", "test"):
            (target / SPLIT / f"{side}_per10.txt").write_text("\n".join(lines))
    first, second = (other.parent / f"short_{root.name}" for root in (mask_root, other))
    data = make(first, more_training={str(second): 1.0})
    clips = data.datasets["train"].clips
    assert [[frame.number for frame in clip] for clip in clips] == [[1, 2, 3], [4, 5]]
    assert [clip[0].image.parents[1] for clip in clips] == [first, second]
    assert len({clip[0].video for clip in clips}) == 2


def test_validation_and_test_stay_those_of_the_root(mask_root: Path, other: Path) -> None:
    plain, data = make(mask_root), make(mask_root, more_training={str(other): 1.0})
    for one in (plain, data):
        one.setup("test")
    for side in ("val", "test"):
        assert data.datasets[side].clips == plain.datasets[side].clips
    count = len(plain.datasets["train"])
    assert data.datasets["train"].clips[:count] == plain.datasets["train"].clips
    assert len(data.datasets["train"]) == 2 * count
    assert keys(make(mask_root, more_training={}), 3) == keys(plain, 3)


@pytest.mark.parametrize("share", [0.25, 0.3, 1.0, 2.0, 1.5])
def test_an_epoch_sees_each_root_as_often_as_its_share(
    share: float, mask_root: Path, other: Path
) -> None:
    data = make(mask_root, more_training={str(other): share})
    count = len(make(mask_root).datasets["train"])
    expected = count + round(share * count)
    assert len(data.train_dataloader().sampler) == expected  # type: ignore[arg-type]
    seen: Counter[int] = Counter()
    pairs: list[tuple[int, int]] = []
    for epoch in range(12):
        now = keys(data, epoch)
        assert len(now) == expected
        own = [index for _, index in now if index < count]
        assert sorted(own) == list(range(count))  # all of the root
        seen.update(index for _, index in now if index >= count)
        pairs += now
        # however many epochs: of the other root no clip comes twice before each came once
        amounts = [seen[index] for index in range(count, 2 * count)]
        assert max(amounts) - min(amounts) <= 1
    assert sum(seen.values()) == 12 * round(share * count)
    assert len(set(pairs)) == len(
        pairs
    )  # each sight of a clip has a key, and so a seed, of its own
    again = make(mask_root, more_training={str(other): share})
    assert keys(again, 7) == keys(data, 7)
    assert keys(make(mask_root, more_training={str(other): share}, seed=1), 7) != keys(data, 7)


def test_shares_by_hand() -> None:
    shares = Shares([3, 8], [1.0, 0.25], seed=5)
    epochs = [shares.epoch(epoch) for epoch in range(5)]
    assert [len(pairs) for pairs in epochs] == [5] * 5
    quarters = [pairs[3:] for pairs in epochs]
    assert sorted(pair for pairs in quarters[:4] for pair in pairs) == [
        (0, index) for index in range(3, 11)
    ]
    assert [number for number, _ in quarters[4]] == [1, 1]
    assert [number for number, _ in epochs[4][:3]] == [4, 4, 4]
    assert len(Shares([3, 8], [1.0, 0.01], seed=5)) == 4  # at least one


def test_samples_depend_on_seed_epoch_and_place_only(mask_root: Path, other: Path) -> None:
    def epoch(data: FaceMaskDataModule, number: int) -> tuple[list[str], torch.Tensor]:
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, EpochSampler)
        loader.sampler.set_epoch(number)
        batches = list(loader)
        names = [clip[0] for batch in batches for clip in batch["names"]]
        return names, torch.cat([batch["images"] for batch in batches])

    options = {"more_training": {str(other): 0.5}, "augmentation": ClipAugmentation(), "seed": 3}
    one, two = make(mask_root, **options), make(mask_root, num_workers=2, **options)
    names, images = epoch(one, 4)
    names_again, images_again = epoch(two, 4)
    assert names == names_again
    assert torch.equal(images, images_again)
    # resumed after two batches of that epoch
    resumed = make(mask_root, **options)
    resumed.load_state_dict({"epoch": 4, "batches": 2, "batch_size": 2, "processes": 1})
    names_rest, images_rest = epoch(resumed, 4)
    assert names_rest == names[4:]
    assert torch.equal(images_rest, images[4:])


def test_processes_share_an_epoch() -> None:
    shares = Shares([5, 6], [1.0, 0.5], seed=0)
    found: list[tuple[int, int]] = []
    for rank in range(2):
        sampler = EpochSampler(len(shares), seed=0, replicas=2, rank=rank)
        sampler.shares = shares
        sampler.set_epoch(1)
        found += list(sampler)
    assert sorted(found) == sorted(shares.epoch(1))


def test_clips_without_the_region_are_left_out_of_their_root(mask_root: Path, other: Path) -> None:
    lines = (other / SPLIT / "train_per10.txt").read_text().splitlines()
    labels = [other / line.split()[1].lstrip("/") for line in lines]
    for label in labels[:-1]:  # all but the last clip
        cv2.imwrite(str(label), np.minimum(read_label(label), 1))
    data = make(mask_root, region="mouth", more_training={str(other): 1.0})
    count = len(make(mask_root, region="mouth").datasets["train"])
    assert len(data.datasets["train"]) == count + 1
    assert sorted(index for _, index in keys(data, 2)) == list(range(count + 1))
    assert len(list(data.train_dataloader())) == -(-(count + 1) // 2)
    cv2.imwrite(str(labels[-1]), np.minimum(read_label(labels[-1]), 1))
    with pytest.raises(InputError, match=r"data\.more_training: no label .* shows mouth"):
        make(mask_root, region="mouth", more_training={str(other): 1.0})


@pytest.mark.parametrize("share", [0, -1.0, float("nan"), float("inf")])
def test_bad_shares(share: float, mask_root: Path) -> None:
    with pytest.raises(InputError, match=r"data\.more_training: the share of x is .*, expected a"):
        make(mask_root, more_training={"x": share})


def test_missing_root(mask_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.more_training: .*none: no such folder"):
        make(mask_root, more_training={str(tmp_path / "none"): 1.0})
