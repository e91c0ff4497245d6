"""Loaders of clips for training, scoring and prediction."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader, DistributedSampler

from facemask.data.clips import ClipBatch, ClipDataset, collate_clips
from facemask.data.region_boxes import LabelExtent, RegionBoxes, read_extents
from facemask.data.splits import Split
from facemask.data.transforms import ClipTransform
from facemask.data.vw300_mask import Frame, list_crops, read_split
from facemask.errors import InputError
from facemask.parallel import available_cpus
from facemask.regions import REGIONS, Region, check_region

__all__ = ["ClipBatch", "ClipDataset", "EpochSampler", "FaceMaskDataModule"]

NOISE = 0.1
"""Default of the boxes' random shift and scale in training, as a share of the box's side."""


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
        seed: Seed of order, augmentation and the boxes' noise.
        predict_dir: Folder of face crops for `facemask predict`; null predicts the split's test
            side.
        region: What clips show: the whole face crop, or the eyes or the mouth, cut out of the
            original face crops by one square box a clip, with the region's own classes. Clips
            without the region are left out.
        box_margin: Side of the box over the region's width, at least 1; null is 1.25 for eyes and
            2 for the mouth.
        box_shift: In training, largest random shift of the box either way, as a share of its
            side; null is 0.1. The region always stays inside.
        box_scale: In training, largest random enlargement or reduction of the box, as a share of
            its side, below 1; null is 0.1. The region always stays inside.
        original_images: Deliver the whole face crops at their original sizes too, which the
            cascade zooms into; not in training.

    Raises:
        InputError: A number is out of range, the region is unknown, or a box is given for the
            whole face; in `setup`, the data set is missing or wrong, or never shows the region.
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
        region: Region = "face",
        box_margin: float | None = None,
        box_shift: float | None = None,
        box_scale: float | None = None,
        original_images: bool = False,
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
        self.region = check_region(region)
        _check_box(self.region, box_margin, box_shift, box_scale)
        self.box_margin = REGIONS[self.region].margin if box_margin is None else box_margin
        self.box_shift = NOISE if box_shift is None else box_shift
        self.box_scale = NOISE if box_scale is None else box_scale
        self.original_images = original_images
        self._extents: dict[Path, LabelExtent] = {}
        self.datasets: dict[str, ClipDataset] = {}
        self._sampler: EpochSampler | None = None
        self._first_epoch = 0

    def setup(self, stage: str) -> None:
        """Read the split files that a stage ("fit", "validate", "test", "predict") needs."""
        if stage == "predict":
            if self.region != "face":
                raise InputError(
                    f"data.region is {self.region!r}: prediction has no labels that say where the "
                    "box goes; the cascade finds the boxes and combines the regions' models."
                )
            frames = list_crops(Path(self.predict_dir)) if self.predict_dir else self._read("test")
            self.datasets["predict"] = ClipDataset(
                frames, self.clip_length, self.size, original_images=self.original_images
            )
            return
        if stage == "fit":
            self._first_epoch = 0  # a resumed run's checkpoint is read after this
            self.datasets["train"] = self._dataset("train")
        side: Split = "test" if stage == "test" else "val"
        self.datasets[side] = self._dataset(side)

    def _dataset(self, side: Split) -> ClipDataset:
        frames, training = self._read(side), side == "train"
        boxes = None if self.region == "face" else self._boxes(self.region, frames, training)
        dataset = ClipDataset(
            frames,
            self.clip_length,
            self.size,
            self.augmentation if training else None,
            self.seed,
            keep_original_masks=not training,
            boxes=boxes,
            original_images=self.original_images and not training,
        )
        if boxes is not None:
            total = len(dataset) + dataset.left_out
            if len(dataset) == 0:
                raise InputError(
                    f"{self.root}: no label of the {total} {side} clips shows {self.region}, so "
                    "there is nothing to cut out; choose another region or data set."
                )
            rank_zero_info(
                f"{dataset.left_out} of {total} {side} clips do not show {self.region} and are "
                "left out."
            )
        return dataset

    def _boxes(self, region: Region, frames: list[Frame], training: bool) -> RegionBoxes:
        """Boxes of a region; each label is read once in this object's life."""
        labels = [frame.label for frame in frames if frame.label is not None]
        unread = [label for label in labels if label not in self._extents]
        self._extents |= read_extents(unread, region)
        return RegionBoxes(
            region,
            {label: self._extents[label] for label in labels},
            self.box_margin,
            self.box_shift if training else 0.0,
            self.box_scale if training else 0.0,
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


def _check_box(
    region: Region, margin: float | None, shift: float | None, scale: float | None
) -> None:
    """Raise an `InputError` if the options of the boxes are wrong."""
    given = {"box_margin": margin, "box_shift": shift, "box_scale": scale}
    for name, value in given.items():
        if value is None:
            continue
        if region == "face":
            raise InputError(
                f"data.{name} is {value}, but data.region is 'face', which has no box: leave it "
                "out or choose eyes or mouth."
            )
        low, high = (1.0, math.inf) if name == "box_margin" else (0.0, 1.0)
        if not low <= value < high:
            expected = "at least 1" if name == "box_margin" else "0 or more and below 1"
            raise InputError(f"data.{name} is {value}, expected {expected}.")
