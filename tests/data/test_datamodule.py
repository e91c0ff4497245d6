import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.data.datamodule import EpochSampler
from facemask.data.loaders import start_worker
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.files import read_image
from facemask.threads import Cores


def make(root: Path, **options: object) -> FaceMaskDataModule:
    settings = {"root": str(root), "size": 48, "num_workers": 0, **options}
    return FaceMaskDataModule(**settings)  # type: ignore[arg-type]


def test_training_batches_of_clips(mask_root: Path) -> None:
    data = make(mask_root, augmentation=ClipAugmentation())
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (2, 5, 3, 48, 48)
    assert batch["masks"].shape == (2, 5, 48, 48)
    assert batch["images"].dtype == batch["masks"].dtype == torch.uint8
    assert batch["original_masks"] == [[], []]
    assert set(batch["masks"].unique().tolist()) <= {0, 1, 2, 3, 4, 255}


def test_single_frames_for_the_fcn(mask_root: Path) -> None:
    data = make(mask_root, clip_length=None, batch_size=3)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["images"].shape == (3, 3, 48, 48)
    assert batch["masks"].shape == (3, 48, 48)
    assert [len(names) for names in batch["names"]] == [1, 1, 1]


def test_evaluation_scores_every_frame_once_at_its_own_size(mask_root: Path) -> None:
    data = make(mask_root, batch_size=3)
    for stage, loader in (("validate", data.val_dataloader), ("test", data.test_dataloader)):
        data.setup(stage)
        names, padded = [], 0
        for batch in loader():
            for b, clip in enumerate(batch["names"]):
                names += clip
                assert (batch["masks"][b, len(clip) :] == 255).all()
                assert (batch["masks"][b, : len(clip)] != 255).all()
                assert len(batch["original_masks"][b]) == len(clip)
                padded += 5 - len(clip)
                for name, mask, size in zip(
                    clip, batch["original_masks"][b], batch["original_sizes"][b], strict=True
                ):
                    label = read_label(mask_root / "labels_orig" / f"{name}.png")
                    np.testing.assert_array_equal(mask, label)
                    assert tuple(mask.shape) == size == label.shape
        side = "val" if stage == "validate" else "test"
        lines = (mask_root / f"data_splits/split_1/{side}_per10.txt").read_text().splitlines()
        assert sorted(names) == sorted(Path(line.split()[0]).stem for line in lines)
        assert padded > 0


def test_padding_repeats_the_last_frame(mask_root: Path) -> None:
    data = make(mask_root)
    data.setup("fit")
    dataset = data.datasets["train"]
    index = next(i for i, clip in enumerate(dataset.clips) if len(clip) < 5)
    sample = dataset[index]
    real = len(sample["names"])
    assert torch.equal(sample["images"][real], sample["images"][real - 1])


def test_order_and_augmentation_depend_on_seed_epoch_and_index_only(mask_root: Path) -> None:
    def epoch(data: FaceMaskDataModule, number: int) -> tuple[list[str], torch.Tensor]:
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, EpochSampler)
        loader.sampler.set_epoch(number)
        batches = list(loader)
        names = [clip[0] for batch in batches for clip in batch["names"]]
        return names, torch.cat([batch["images"] for batch in batches])

    one = make(mask_root, augmentation=ClipAugmentation(), seed=3)
    two = make(mask_root, augmentation=ClipAugmentation(), seed=3, num_workers=2)
    for data in (one, two):
        data.setup("fit")
    names, images = epoch(one, 4)
    torch.manual_seed(123)  # global seeds play no part
    names_again, images_again = epoch(two, 4)
    assert names == names_again
    assert torch.equal(images, images_again)
    names_later, images_later = epoch(one, 5)
    assert names_later != names
    assert sorted(names_later) == sorted(names)
    at, later = names.index(names[0]), names_later.index(names[0])
    assert not torch.equal(images[at], images_later[later])  # augmented anew


def test_prediction_from_a_folder_and_from_the_split(mask_root: Path) -> None:
    folder = make(mask_root, predict_dir=str(mask_root / "images_orig"))
    folder.setup("predict")
    names = [n for batch in folder.predict_dataloader() for clip in batch["names"] for n in clip]
    assert sorted(names) == sorted(p.stem for p in (mask_root / "images_orig").iterdir())
    split = make(mask_root)
    split.setup("predict")
    batch = next(iter(split.predict_dataloader()))
    image = read_image(mask_root / "images_orig" / f"{batch['names'][0][0]}.jpg")
    assert batch["original_sizes"][0][0] == image.shape[:2]


def test_bad_options_and_data(mask_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size is 0, expected at least 1"):
        make(mask_root, batch_size=0)
    with pytest.raises(InputError, match="clip_length is -5"):
        make(mask_root, clip_length=-5)
    with pytest.raises(InputError, match="clip_length is 0"):
        make(mask_root, clip_length=0)
    with pytest.raises(InputError, match="num_workers is -1, expected at least 0"):
        make(mask_root, num_workers=-1)
    with pytest.raises(InputError, match=r"data\.root is not set"):
        FaceMaskDataModule().setup("fit")
    with pytest.raises(InputError, match="no such folder"):
        make(tmp_path / "none").setup("fit")
    with pytest.raises(InputError, match="missing; run `facemask prepare"):
        make(tmp_path).setup("test")


@pytest.mark.parametrize("workers", [0, 1])
def test_label_of_another_size(mask_root: Path, tmp_path: Path, workers: int) -> None:
    root = shutil.copytree(mask_root, tmp_path / "root")
    cv2.imwrite(str(root / "labels_orig/001_000001.png"), np.zeros((7, 9), dtype=np.uint8))
    data = make(root, predict_dir=None, num_workers=workers)
    for side in ("train", "val", "test"):
        text = (root / f"data_splits/split_1/{side}_per10.txt").read_text()
        if "001_000001" in text:
            (root / "data_splits/split_1/test_per10.txt").write_text(text)
    data.setup("test")
    with pytest.raises(InputError, match=r"001_000001\.png: 9×7 pixels, but its image has"):
        list(data.test_dataloader())


def test_unreadable_image(mask_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(mask_root, tmp_path / "root")
    for image in (root / "images_orig").iterdir():
        image.write_bytes(b"broken")
    data = make(root)
    data.setup("test")
    with pytest.raises(InputError, match="cannot read the image: not a readable image"):
        next(iter(data.test_dataloader()))


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 3), (5, 4), (64, 4)])
def test_one_core_is_left_to_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, workers: int
) -> None:
    monkeypatch.setattr("facemask.data.datamodule.free_cores", lambda: Cores(cores, 64))
    assert make(tmp_path, num_workers=None).num_workers == workers
    assert make(tmp_path, num_workers=7).num_workers == 7


class ThreadCounts(Dataset[tuple[int, int]]):
    """Numbers of threads of torch and of OpenCV in the process that reads."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[int, int]:
        return torch.get_num_threads(), cv2.getNumThreads()


def test_workers_have_one_thread_each(mask_root: Path) -> None:
    data = make(mask_root, num_workers=2)
    data.setup("fit")
    assert data.train_dataloader().worker_init_fn is start_worker
    loader = DataLoader(
        ThreadCounts(), num_workers=2, persistent_workers=True, worker_init_fn=start_worker
    )
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in range(2):
            assert [[int(n) for n in counts] for counts in loader] == [[1, 1]] * 4
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
