"""Clips of face crops for training, scoring and prediction."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

import cv2
import numpy as np
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from facemask.classes import IGNORE
from facemask.data.splits import Split
from facemask.data.transforms import ClipTransform, resize_image, resize_mask
from facemask.data.vw300_mask import (
    Frame,
    check_same_size,
    cut_clips,
    list_crops,
    read_label,
    read_split,
)
from facemask.errors import InputError
from facemask.files import read_image
from facemask.parallel import available_cpus


class ClipBatch(TypedDict):
    """A batch of B clips of T frames, or of B single frames (then without the T axis).

    Attributes:
        images: uint8 (B, T, 3, S, S) or (B, 3, S, S), RGB.
        masks: Class ids, uint8 (B, T, S, S) or (B, S, S); 255 = ignore, and all of a frame
            that pads a short clip is 255. No labels (prediction): all 255.
        original_masks: For each clip, the masks of its real frames at their own sizes, uint8
            (H, W); empty in training and prediction.
        original_sizes: For each clip, (H, W) of its real frames.
        names: For each clip, the file stems of its real frames, such as 001_000001.
    """

    images: torch.Tensor
    masks: torch.Tensor
    original_masks: list[list[torch.Tensor]]
    original_sizes: list[list[tuple[int, int]]]
    names: list[list[str]]


class ClipDataset(Dataset[dict[str, Any]]):
    """Clips of at most `clip_length` frames, resized, as uint8.

    Args:
        frames: Frames sorted by video and number.
        clip_length: T; None gives single frames without a time axis.
        size: Height and width S of the resized frames in pixels.
        augmentation: Applied to each clip after resizing, or None.
        seed: With the epoch and the index, decides the augmentation.
        keep_original_masks: Deliver the masks at their original size too (evaluation).
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        clip_length: int | None,
        size: int,
        augmentation: ClipTransform | None = None,
        seed: int = 0,
        keep_original_masks: bool = False,
    ) -> None:
        """See the class."""
        self.clips = cut_clips(frames, clip_length or 1)
        self.clip_length = clip_length
        self.size = size
        self.augmentation = augmentation
        self.seed = seed
        self.keep_original_masks = keep_original_masks

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Load one clip.

        Args:
            key: The clip's index, or (epoch, index) as `EpochSampler` gives it.

        Returns:
            One entry of a `ClipBatch`, without the B axis.

        Raises:
            InputError: An image or a label cannot be read, or their sizes differ.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        clip = self.clips[index]
        images, masks, originals, sizes = [], [], [], []
        for frame in clip:
            image = read_image(frame.image)
            sizes.append((image.shape[0], image.shape[1]))
            if frame.label is None:
                mask = np.full(image.shape[:2], IGNORE, dtype=np.uint8)
            else:
                mask = read_label(frame.label)
                check_same_size(frame, image.shape, mask.shape)
            images.append(resize_image(image, self.size, self.size))
            masks.append(resize_mask(mask, self.size, self.size))
            if self.keep_original_masks:
                originals.append(torch.from_numpy(mask))
        if self.augmentation is not None:
            seed = np.random.SeedSequence([self.seed, epoch, index]).generate_state(1)[0]
            images, masks = self.augmentation(images, masks, seed=int(seed))
        padding = (self.clip_length or 1) - len(clip)
        images += [images[-1]] * padding
        masks += [np.full_like(masks[0], IGNORE)] * padding
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (T, 3, S, S)
        labels = torch.from_numpy(np.stack(masks))  # (T, S, S)
        return {
            "images": pixels if self.clip_length else pixels[0],
            "masks": labels if self.clip_length else labels[0],
            "original_masks": originals,
            "original_sizes": sizes,
            "names": [frame.image.stem for frame in clip],
        }


def collate_clips(samples: Sequence[dict[str, Any]]) -> ClipBatch:
    """Stack what has one size and list what differs from frame to frame."""
    return ClipBatch(
        images=torch.stack([sample["images"] for sample in samples]),
        masks=torch.stack([sample["masks"] for sample in samples]),
        original_masks=[sample["original_masks"] for sample in samples],
        original_sizes=[sample["original_sizes"] for sample in samples],
        names=[sample["names"] for sample in samples],
    )


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs, each process its share.

    The epoch travels with the index, so that order and augmentation depend on (seed, epoch,
    index) alone, not on the number of workers or on where a run was resumed.
    """

    trainer: Trainer | None = None
    """Where given, an iteration takes its epoch: in a resumed run, loader workers fetch their
    first clips before Lightning calls `set_epoch`."""
    first_epoch: int = 0
    """The epoch that a resumed run begins with; Lightning may still count the one before."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this epoch's pairs."""
        if self.trainer is not None:
            self.set_epoch(max(self.trainer.current_epoch, self.first_epoch))
        for index in super().__iter__():
            yield self.epoch, index  # type: ignore[misc]  # the base class yields indices


def _limit_threads(_worker: int) -> None:
    """One thread a worker: the loader's processes already share the CPUs."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class FaceMaskDataModule(LightningDataModule):
    """Loaders over a data set in the 300VW-Mask layout, as `facemask prepare` writes it.

    Args:
        root: The data set's folder.
        split: Which split: a folder below data_splits.
        clip_length: Frames a clip, T (5 in the paper); None gives single frames (FCN).
        size: Side of the square network input in pixels.
        batch_size: Clips (or single frames) a batch, per process.
        augmentation: What happens to training clips; null for nothing.
        num_workers: Loader processes; null is one a CPU, at most 4.
        seed: Seed of order and augmentation.
        predict_dir: Folder of face crops for `facemask predict`; null predicts the split's test
            side.

    Raises:
        InputError: A number is out of range; in `setup`, the data set is missing or wrong.
    """

    def __init__(
        self,
        root: str | None = None,
        split: str = "split_1",
        clip_length: int | None = 5,
        size: int = 320,
        batch_size: int = 2,
        augmentation: ClipTransform | None = None,
        num_workers: int | None = None,
        seed: int = 0,
        predict_dir: str | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        least = {"clip_length": 1, "size": 1, "batch_size": 1, "num_workers": 0, "seed": 0}
        given = (clip_length, size, batch_size, num_workers, seed)
        for (name, minimum), value in zip(least.items(), given, strict=True):
            if value is not None and value < minimum:
                raise InputError(f"data.{name} is {value}, expected at least {minimum}.")
        self.root = root
        self.split = split
        self.clip_length = clip_length
        self.size = size
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.num_workers = min(4, available_cpus()) if num_workers is None else num_workers
        self.seed = seed
        self.predict_dir = predict_dir
        self.datasets: dict[str, ClipDataset] = {}
        self._sampler: EpochSampler | None = None
        self._first_epoch = 0

    def setup(self, stage: str) -> None:
        """Read the split files that a stage ("fit", "validate", "test", "predict") needs."""
        if stage == "predict":
            frames = list_crops(Path(self.predict_dir)) if self.predict_dir else self._read("test")
            self.datasets["predict"] = ClipDataset(frames, self.clip_length, self.size)
            return
        if stage == "fit":
            self._first_epoch = 0  # a resumed run's checkpoint is read after this
            self.datasets["train"] = ClipDataset(
                self._read("train"), self.clip_length, self.size, self.augmentation, self.seed
            )
        side: Split = "test" if stage == "test" else "val"
        self.datasets[side] = ClipDataset(
            self._read(side), self.clip_length, self.size, keep_original_masks=True
        )

    def _read(self, side: Split) -> list[Frame]:
        if not self.root:
            raise InputError("data.root is not set; pass --data.root FOLDER (from prepare).")
        return read_split(Path(self.root), self.split, side)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled, augmented training clips."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        sampler = EpochSampler(
            self.datasets["train"],  # only its length is used
            num_replicas=None if distributed else 1,
            rank=None if distributed else 0,
            shuffle=True,
            seed=self.seed,
        )
        sampler.trainer, sampler.first_epoch = self.trainer, self._first_epoch
        self._sampler = sampler
        return self._loader("train", sampler)

    def state_dict(self) -> dict[str, Any]:
        """The epoch that a run resumed from now begins with, kept in the checkpoint."""
        if self._sampler is None or self.trainer is None:
            return {}
        return {"epoch": self._sampler.epoch + int(self.trainer.is_last_batch)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the epoch to begin with from a checkpoint."""
        self._first_epoch = state_dict.get("epoch", 0)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Validation clips, in order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Test clips, in order."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Clips to predict, in order."""
        return self._loader("predict")

    def _loader(self, side: str, sampler: EpochSampler | None = None) -> DataLoader[dict[str, Any]]:
        if self.num_workers:
            # a worker forked while OpenCV's thread pool runs here hangs at its first OpenCV call
            cv2.setNumThreads(0)
        return DataLoader(
            self.datasets[side],
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=collate_clips,
            num_workers=self.num_workers,
            worker_init_fn=_limit_threads,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
