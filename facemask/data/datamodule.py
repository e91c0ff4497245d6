"""Loaders of clips for training, scoring and prediction."""

import math
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import cv2
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader

from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipTransform
from facemask.data.clips import ClipBatch, ClipDataset, collate_clips
from facemask.data.features import FeatureDataset, collate_features
from facemask.data.more_training import check_shares, count_shares, read_more
from facemask.data.region_boxes import LabelExtent, RegionBoxes, read_extents
from facemask.data.samplers import EpochSampler, Shares, WholeBatches
from facemask.data.vw300_mask import Frame, Split, list_crops, read_split
from facemask.errors import InputError
from facemask.hyperparameters import DATA_KEY, build_from
from facemask.lightning_trees import warn_of_lightning
from facemask.parallel import available_cpus
from facemask.regions import REGIONS, Region, check_region

if TYPE_CHECKING:
    from facemask.training.feature_cache import FeatureCache

__all__ = ["ClipBatch", "ClipDataset", "EpochSampler", "FaceMaskDataModule"]

Data = TypeVar("Data", bound="FaceMaskDataModule")

NOISE = 0.1
"""Default of the boxes' random shift and scale in training, as a share of the box's side."""


def _start_worker(_worker: int) -> None:
    """One thread a worker, as they already share the CPUs; Ctrl-C is for the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class FaceMaskDataModule(LightningDataModule):
    """Loaders over a data set in the 300VW-Mask layout, as `facemask prepare` writes it.

    With several processes each loads its share: in training of an epoch's shuffled clips, none
    twice; otherwise whole batches in order, every frame once, some of them empty (B = 0) so that
    all processes have equally many.

    Args:
        root: The data set's folder.
        split: Which split: a folder below data_splits such as split_1, or a folder and its
            lists to train, validate and test on, such as split_2:A,B,C.
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
        still_motion: In training, makes clips out of stills (clips of a single frame) by simulated
            motion; null pads them. Of no effect where clip_length is null or 1.
        more_training: Further data sets whose training sides, of the same split, are trained on
            too: each one's folder, and how many times an epoch sees each of its clips on average
            (0.25: a quarter of them, each epoch another one). Validation and test stay those of
            `root`.

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
    ) -> None:
        super().__init__()
        warn_of_lightning()
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
        self.still_motion = still_motion
        self.more_training = dict(more_training or {})
        check_shares(self.more_training)
        self._shares: Shares | None = None
        self._extents: dict[Path, LabelExtent] = {}
        self.datasets: dict[str, ClipDataset] = {}
        self.feature_sets: dict[str, FeatureDataset] = {}  # instead of images, for one training
        self.allow_zero_length_dataloader_with_multiple_devices = True  # limit_val_batches: 0.1
        self._first_epoch = 0
        self._batches_done = 0

    def setup(self, stage: str) -> None:
        """Read the split files that a stage ("fit", "validate", "test", "predict") needs."""
        self.feature_sets = {}
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
            # a resumed run's checkpoint is read after this
            self._first_epoch = self._batches_done = 0
            self.datasets["train"] = self._dataset("train")
        side: Split = "test" if stage == "test" else "val"
        self.datasets[side] = self._dataset(side)

    def _dataset(self, side: Split) -> ClipDataset:
        frames, training = self._read(side), side == "train"
        if training:
            for number, folder in enumerate(self.more_training, start=1):
                frames += read_more(folder, self.split, number)
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
            still_motion=self.still_motion if training else None,
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
        if training and self.more_training:
            self._shares = count_shares(dataset.clips, self.more_training, self.region, self.seed)
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

    def use_features(self, cache: "FeatureCache", sides: Sequence[str]) -> None:
        """Load cached encoder features instead of images, until the next `setup`.

        Args:
            cache: Where they are, and how to compute what is missing.
            sides: Of "train" and "val"; validation is never augmented.

        Raises:
            InputError: As `FeatureCache.fill`.
        """
        clips = {side: self.datasets[side] for side in sides}
        self.feature_sets = cache.fill(clips, self.batch_size, self._listed)

    def _listed(
        self, clips: ClipDataset, batches: Sequence[list[tuple[int, int]]]
    ) -> DataLoader[dict[str, Any]]:
        """The clips of a list of batches of (epoch, index)."""
        return self._loader(clips, batch_sampler=batches)

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Shuffled, augmented training clips, this process's share."""
        replicas, rank = _processes()
        dataset = self.datasets["train"] if self._shares is None else range(len(self._shares))
        clips = len(dataset)
        if clips < replicas:
            raise InputError(
                f"{self.root}: the training side has {clips} clips for {replicas} processes: train "
                "on at most as many devices as there are clips."
            )
        sampler = EpochSampler(
            dataset,  # type: ignore[arg-type]  # only its length is used
            num_replicas=replicas,
            rank=rank,
            shuffle=True,
            seed=self.seed,
            drop_last=True,
        )
        sampler.trainer, sampler.first_epoch = self.trainer, self._first_epoch
        sampler.skip = self._batches_done * self.batch_size
        sampler.shares = self._shares
        return self._loader(
            self.feature_sets.get("train", self.datasets["train"]),
            batch_size=self.batch_size,
            sampler=sampler,
        )

    def state_dict(self) -> dict[str, Any]:
        """Where a run resumed from now goes on, kept in the checkpoint."""
        if self.trainer is None or "train" not in self.datasets:
            return {}
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        epoch, batches = progress.processed, 0
        if progress.started > progress.processed:  # in the middle of an epoch, or at its last batch
            batch: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
            at_end = self.trainer.is_last_batch
            epoch, batches = (epoch + 1, 0) if at_end else (epoch, batch.processed)
        replicas, _ = _processes()
        return {
            "epoch": epoch,
            "batches": batches,
            "batch_size": self.batch_size,
            "processes": replicas,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take where to go on from a checkpoint.

        Raises:
            InputError: That is in the middle of an epoch, and the batches are others now.
        """
        self._first_epoch = state_dict.get("epoch", 0)
        self._batches_done = state_dict.get("batches", 0)
        if self._batches_done:
            given = (self.batch_size, _processes()[0])
            found = (state_dict["batch_size"], state_dict["processes"])
            if given != found:
                raise InputError(
                    f"The checkpoint was written after batch {self._batches_done} of an epoch with "
                    f"data.batch_size {found[0]} and {found[1]} processes, and now these are "
                    f"{given[0]} and {given[1]}: give the same, or resume from the end of an epoch."
                )

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # files only, and no objects in them
        cls: type[Data],
        checkpoint_path: str | Path,
        map_location: None = None,  # noqa: ARG003  # Lightning's, as the next two
        hparams_file: None = None,  # noqa: ARG003
        weights_only: Literal[True] | None = True,  # noqa: ARG003
        **kwargs: Any,  # noqa: ANN401  # the class's own
    ) -> Data:
        """A data module that goes on where a checkpoint was written; no code is run from it.

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
        """Validation clips, in order."""
        return self._whole("val")

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Test clips, in order."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Clips to predict, in order."""
        return self._whole("predict")

    def _whole(self, side: str) -> DataLoader[dict[str, Any]]:
        """Every clip of a side once, in order, in whole batches."""
        replicas, rank = _processes()
        length = len(self.datasets[side])
        return self._loader(
            self.feature_sets.get(side, self.datasets[side]),
            batch_sampler=WholeBatches(length, self.batch_size, replicas, rank),
        )

    def _loader(
        self,
        clips: ClipDataset | FeatureDataset,
        batch_size: int = 1,
        sampler: EpochSampler | None = None,
        batch_sampler: WholeBatches | Sequence[list[tuple[int, int]]] | None = None,
    ) -> DataLoader[dict[str, Any]]:
        collate = partial(_collate, clip_length=self.clip_length, size=self.size)
        if self.num_workers:
            # a worker forked while OpenCV's thread pool runs here hangs at its first OpenCV call
            cv2.setNumThreads(0)
        return DataLoader(
            clips,
            batch_size=batch_size,
            sampler=sampler,
            batch_sampler=batch_sampler,
            collate_fn=collate_features if isinstance(clips, FeatureDataset) else collate,
            num_workers=self.num_workers,
            worker_init_fn=_start_worker,
            persistent_workers=self.num_workers > 0,
            pin_memory=self._goes_to_gpu(),
            # its own: starting a loader must not move the random numbers of the training
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _goes_to_gpu(self) -> bool:
        """Whether batches are copied to a GPU: else pinned memory only costs time and a context."""
        trainer = self.trainer
        return trainer is not None and trainer.strategy.root_device.type == "cuda"


def _processes() -> tuple[int, int]:
    """Number of processes that train or test together, and which this one is, from 0."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def _collate(samples: Sequence[dict[str, Any]], clip_length: int | None, size: int) -> ClipBatch:
    """A batch of samples, or the empty batch (B = 0) of a process that has none left."""
    if samples:
        return collate_clips(samples)
    time = () if clip_length is None else (clip_length,)
    return ClipBatch(
        images=torch.zeros(0, *time, 3, size, size, dtype=torch.uint8),
        masks=torch.zeros(0, *time, size, size, dtype=torch.uint8),
        original_masks=[],
        original_sizes=[],
        original_images=[],
        boxes=torch.zeros(0, 4),
        names=[],
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
