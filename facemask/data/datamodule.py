"""Loaders of clips for training, scoring and prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader

from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipTransform
from facemask.data.clips import ClipBatch, ClipDataset
from facemask.data.feature_clips import FeatureDataset
from facemask.data.loaders import (
    EpochSampler,
    Shares,
    WholeBatches,
    check_place,
    check_shares,
    count_shares,
    place_in_training,
    processes,
    read_more,
    start_worker,
)
from facemask.data.region_boxes import NOISE, LabelExtent, RegionBoxes, check_box, extents_of
from facemask.data.rows import check_rows, training_sampler
from facemask.data.vw300_mask import Frame, Split, list_crops, read_split
from facemask.errors import InputError
from facemask.lightning_guard import DATA_KEY, build_from, warn_of_lightning
from facemask.regions import REGIONS, Region, check_region
from facemask.threads import free_cores

__all__ = ["ClipBatch", "ClipDataset", "EpochSampler", "FaceMaskDataModule"]

Data = TypeVar("Data", bound="FaceMaskDataModule")


class FaceMaskDataModule(LightningDataModule):
    """Loaders over a data set in the 300VW-Mask layout, as `facemask prepare` writes it.

    With several processes each loads its share: in training of an epoch's shuffled clips, none
    twice; otherwise whole batches in order, every frame once, some of them empty (B = 0) so that
    all processes have equally many.

    Args:
        root: The data set's folder.
        split: The split: a folder below data_splits such as split_1, or a folder and its
            lists to train, validate and test on, such as split_2:A,B,C.
        clip_length: Frames a clip, T (5 in the paper); None gives single frames (FCN).
        size: Side of the square network input in pixels.
        batch_size: Clips (or single frames) a batch, per process.
        augmentation: What happens to training clips; null for nothing.
        num_workers: Loader processes; null is one less than free cores, 1 to 4.
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
        still_motion: In training, makes clips out of stills (clips of a single frame) by simulated
            motion; null pads them. Of no effect where clip_length is null or 1.
        more_training: Further data sets whose training sides, of the same split, are trained on
            too: each one's folder, and how many times an epoch sees each of its clips on average
            (0.25: a quarter of them, each epoch another one). Validation and test stay those of
            `root`.
        clips_in_a_row: In training, clips, at most, that go on from each other at the same place of
            one batch after the other, so that a memory can be carried on (`model.carry_state`); all
            of a row are augmented alike. Null shuffles single clips.

    Raises:
        InputError: A number is out of range, the region is unknown, or a box is given for the
            whole face; in `setup`, a data set is missing or wrong, or never shows the region;
            in training, there are fewer clips than processes, or a run is resumed in the middle
            of an epoch with other batches.
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
        still_motion: StillMotion | None = None,
        more_training: dict[str, float] | None = None,
        clips_in_a_row: int | None = None,
    ) -> None:
        super().__init__()
        warn_of_lightning()
        least = {"clip_length": 1, "size": 1, "batch_size": 1, "num_workers": 0, "seed": 0}
        given = (clip_length, size, batch_size, num_workers, seed)
        for (name, minimum), value in zip(least.items(), given, strict=True):
            if value is not None and value < minimum:
                raise InputError(f"data.{name} is {value}, expected at least {minimum}.")
        check_rows(clips_in_a_row, clip_length)
        self.root = root
        self.split = split
        self.clip_length = clip_length
        self.size = size
        self.batch_size = batch_size
        self.augmentation = augmentation
        if num_workers is None:
            num_workers = min(4, max(1, free_cores().count - 1))
        self.num_workers = num_workers
        self.seed = seed
        self.predict_dir = predict_dir
        self.region = check_region(region)
        check_box(self.region, box_margin=box_margin, box_shift=box_shift, box_scale=box_scale)
        self.box_margin = REGIONS[self.region].margin if box_margin is None else box_margin
        self.box_shift = NOISE if box_shift is None else box_shift
        self.box_scale = NOISE if box_scale is None else box_scale
        self.original_images = original_images
        self.still_motion = still_motion
        self.clips_in_a_row = clips_in_a_row
        self.more_training = dict(more_training or {})
        check_shares(self.more_training)
        self._shares: Shares | None = None
        self._extents: dict[Path, LabelExtent] = {}
        self.datasets: dict[str, ClipDataset] = {}
        self.feature_sets: dict[str, FeatureDataset] = {}  # instead of images, for one training
        self.allow_zero_length_dataloader_with_multiple_devices = True  # limit_val_batches: 0.1
        self._first_epoch = self._batches_done = 0

    def setup(self, stage: str) -> None:
        """Read the split files that a stage ("fit", "validate", "test", "predict") needs."""
        self.feature_sets = {}
        if stage == "predict":
            if self.region != "face":
                raise InputError(
                    f"data.region is {self.region!r}: prediction has no labels that say where the "
                    "box goes; the cascade finds the boxes and combines the regions' models."
                )
            frames = list_crops(Path(self.predict_dir)) if self.predict_dir else self.read("test")
            self.datasets["predict"] = ClipDataset(
                frames, self.clip_length, self.size, original_images=self.original_images
            )
            return
        if stage == "fit":
            # a resumed run's checkpoint is read after this
            self._first_epoch = self._batches_done = 0
            self.datasets["train"] = self._dataset("train")
        side: Split = "test" if stage == "test" else "val"
        self.datasets[side] = self._dataset(side)

    def _dataset(self, side: Split) -> ClipDataset:
        frames, training = self.read(side), side == "train"
        if training:
            frames += read_more(self.more_training, self.split)
        boxes = None
        if self.region != "face":
            noise = (self.box_shift, self.box_scale) if training else (0.0, 0.0)
            extents = extents_of(frames, self.region, self._extents)
            boxes = RegionBoxes(self.region, extents, self.box_margin, *noise)
        options: dict[str, Any] = {"seed": self.seed, "boxes": boxes}
        if training:
            options |= {"augmentation": self.augmentation, "still_motion": self.still_motion}
            options["clips_in_a_row"] = self.clips_in_a_row
        else:
            options |= {"keep_original_masks": True, "original_images": self.original_images}
        dataset = ClipDataset(frames, self.clip_length, self.size, **options)
        total = len(dataset) + dataset.left_out
        if total == dataset.left_out:
            raise InputError(
                f"{self.root}: no label of the {total} {side} clips shows {self.region}, so "
                "there is nothing to cut out; choose another region or data set."
            )
        if boxes is not None:
            rank_zero_info(
                f"{dataset.left_out} of {total} {side} clips do not show {self.region} and are "
                "left out."
            )
        if training and self.more_training:
            given = (dataset.clips, self.more_training, self.region, self.seed, dataset.rows)
            self._shares = count_shares(*given)
        return dataset

    def read(self, side: Split) -> list[Frame]:
        """Return the frames of a side; raise an `InputError` if there are none."""
        if not self.root:
            raise InputError("data.root is not set; pass --data.root FOLDER (from prepare).")
        return read_split(Path(self.root), self.split, side)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of this process's share of the training clips, shuffled and augmented."""
        all_clips, shares = self.datasets["train"], self._shares
        sampler = training_sampler(
            all_clips.rows, len(all_clips), self.batch_size, self.seed, shares
        )
        sampler.trainer = self.trainer
        sampler.first_epoch, sampler.skip = self._first_epoch, self._batches_done * self.batch_size
        clips = self.feature_sets.get("train", all_clips)
        return DataLoader(clips, self.batch_size, sampler=sampler, **self._options(clips))

    def state_dict(self) -> dict[str, Any]:
        """Return the place at which a run resumed from now goes on, for the checkpoint."""
        if self.trainer is None or "train" not in self.datasets:
            return {}
        epoch, batches = place_in_training(self.trainer)
        common = {"batch_size": self.batch_size, "processes": processes()[0]}
        return {"epoch": epoch, "batches": batches, **common}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the place to go on at from a checkpoint.

        Raises:
            InputError: That is in the middle of an epoch, and the batches are others now.
        """
        self._first_epoch = state_dict.get("epoch", 0)
        self._batches_done = state_dict.get("batches", 0)
        if self._batches_done:
            check_place(state_dict, self.batch_size)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # files only, and no objects in them
        cls: type[Data],
        checkpoint_path: str | Path,
        map_location: None = None,  # noqa: ARG003  # Lightning's, as the next two
        hparams_file: None = None,  # noqa: ARG003
        weights_only: Literal[True] | None = True,  # noqa: ARG003
        **kwargs: Any,  # noqa: ANN401  # the class's own
    ) -> Data:
        """Build a data module that goes on where a checkpoint was written; no code is run from it.

        Args:
            checkpoint_path: The checkpoint.
            map_location: Not used.
            hparams_file: Not used.
            weights_only: Not used: nothing else is read.
            kwargs: What it is built with; a checkpoint's hyperparameters are taken where the class
                knows their names.

        Raises:
            InputError: The checkpoint cannot be read.
        """
        data, checkpoint = build_from(cls, Path(checkpoint_path), DATA_KEY, kwargs)
        data.load_state_dict(checkpoint.get(cls.__qualname__, {}))
        return data

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of the validation clips, in order."""
        return self._whole("val")

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of the test clips, in order."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of the clips to predict, in order."""
        return self._whole("predict")

    def _whole(self, side: str) -> DataLoader[dict[str, Any]]:
        """Return a loader of every clip of a side once, in order, in whole batches."""
        batches = WholeBatches(len(self.datasets[side]), self.batch_size, *processes())
        return self.load(self.feature_sets.get(side, self.datasets[side]), batches)

    def load(
        self,
        clips: ClipDataset | FeatureDataset,
        batch_sampler: WholeBatches | Sequence[list[tuple[int, int]]],
    ) -> DataLoader[dict[str, Any]]:
        """Return a loader of clips, by index or (epoch, index), in the batches given."""
        return DataLoader(clips, batch_sampler=batch_sampler, **self._options(clips))

    def _options(self, clips: ClipDataset | FeatureDataset) -> dict[str, Any]:
        """Return the options of every loader, and make this process ready for its workers."""
        if self.num_workers:
            # a worker forked while OpenCV's thread pool runs here hangs at its first OpenCV call
            cv2.setNumThreads(0)
        device = self.trainer.strategy.root_device.type if self.trainer else "cpu"
        return {
            "collate_fn": clips.collate,
            "num_workers": self.num_workers,
            "worker_init_fn": start_worker,
            "persistent_workers": self.num_workers > 0,
            # elsewhere pinned memory only costs time and a context
            "pin_memory": device == "cuda",
            # its own: starting a loader must not move the random numbers of the training
            "generator": torch.Generator().manual_seed(self.seed),
        }
