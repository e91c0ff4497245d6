"""Filling the cache of encoder features: what is missing is computed, by all processes together."""

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.progress import track
from torch import Tensor

from facemask.data import feature_clips as stored
from facemask.data.clips import ClipDataset
from facemask.data.datamodule import FaceMaskDataModule
from facemask.data.feature_clips import FeatureDataset, FeatureParts, cache_key, pack_part
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.models.backbone import Encoder
from facemask.models.normalisation import normalise
from facemask.models.own_network import evaluating

_FORMAT: Final = 1
"""Counts up when features are computed or stored in another way."""


@dataclass(frozen=True)
class FeatureCache:
    """Features of a frozen encoder on disk, in bfloat16.

    Attributes:
        folder: Where to; every process must see it. Each combination of weights, data and
            settings has a folder of its own in it, so that many trainings can share one.
        encoder: The encoder, with its final weights, on the training's device.
        trainer: Says which device, precision and processes there are.
        variants: Number of augmented draws of each training clip: epoch e sees the clips as epoch
            e mod `variants` of a training without a cache does. 0 leaves augmentation, the
            stills' motion and the noise of the boxes out.
    """

    folder: Path
    encoder: Encoder
    trainer: Trainer
    variants: int = 1

    def fill(self, data: FaceMaskDataModule, sides: Sequence[str]) -> None:
        """Compute what is missing, and let the loaders of these sides read from the cache.

        Args:
            data: Set up for training; its loaders and batch size are used.
            sides: Names of its data sets.

        Raises:
            InputError: The folder cannot be written to or lacks space, an augmentation cannot be
                described, or an image cannot be read.
        """
        trainer, strategy = self.trainer, self.trainer.strategy
        given = [data.datasets[side] for side in sides]
        clips = given if self.variants else [_still(dataset) for dataset in given]
        parts = [self._parts(dataset) for dataset in clips]
        missing = strategy.broadcast([part.missing() for part in parts])
        todo = list(zip(sides, clips, parts, missing, strict=True))
        self._check_space(
            sum(p.clip_bytes * len(p.indices(n)) for _, _, p, pairs in todo for _, n in pairs)
        )
        for side, dataset, part, pairs in todo:
            if pairs:
                rank_zero_info(
                    f"Computing features of {len(dataset)} {side} clips, {part.variants} of each, "
                    f"into {part.folder}."
                )
                self._compute(dataset, part, pairs[trainer.global_rank :: trainer.world_size], data)
        strategy.barrier("facemask_features")
        if any(part.missing() for part in parts):
            raise InputError(
                f"model.feature_cache: {self.folder} does not hold what the other processes "
                "computed: give a folder that all of them see."
            )
        data.feature_sets = {s: FeatureDataset(c, p) for s, c, p, _ in todo}

    def _parts(self, clips: ClipDataset) -> FeatureParts:
        """Make the folder of a data set's features, and return what goes into it."""
        about = self._about(clips)
        key = self.trainer.strategy.broadcast(cache_key(about, clips, self.encoder.state_dict()))
        parts = FeatureParts(
            self.folder / key,
            len(clips),
            max(1, self.variants) if _is_random(clips) else 1,
            self._clip_bytes(clips),
        )
        make_folder(parts.folder)
        write_atomic(parts.folder / "about.json", json.dumps(about, indent=1).encode())
        parts.remove_unfinished()
        return parts

    def _about(self, clips: ClipDataset) -> dict[str, Any]:
        """Return all that decides the features, but for weights and files."""
        about: dict[str, Any] = {
            "format": _FORMAT,
            "part_bytes": stored.PART_BYTES,
            "encoder": self.encoder.name,
            "output_stride": self.encoder.stride,
            "mean": self.encoder.mean.flatten().tolist(),
            "std": self.encoder.std.flatten().tolist(),
            "precision": str(self.trainer.precision),
            "size": clips.size,
            "clip_length": clips.clip_length,
            "original_masks": clips.keep_original_masks,
            "region": "face",
        }
        if clips.boxes is not None:
            names = ("region", "margin", "shift", "scale")
            about |= {name: getattr(clips.boxes, name) for name in names}
        return about | _draws(clips)

    def _clip_bytes(self, clips: ClipDataset) -> int:
        side = -(-clips.size // self.encoder.feature_stride)
        frame = 2 * self.encoder.channels * side**2 + clips.size**2
        return frame * (clips.clip_length or 1)

    def _check_space(self, size: int) -> None:
        free = self.trainer.strategy.broadcast(shutil.disk_usage(self.folder).free)
        needed = 1.05 * size  # masks of original size, headers
        if needed > free:
            raise InputError(
                f"model.feature_cache needs {needed / 2**30:.3g} GiB in {self.folder}, where "
                f"{free / 2**30:.3g} GiB are free: make room, give another folder, or fewer "
                "model.feature_variants."
            )

    def _compute(
        self,
        clips: ClipDataset,
        parts: FeatureParts,
        share: Sequence[tuple[int, int]],
        data: FaceMaskDataModule,
    ) -> None:
        """Compute and write the parts of this process's share, each whole or not at all."""
        plan = {}  # each part's batches
        for variant, part in share:
            keys = [(variant, index) for index in parts.indices(part)]
            starts = range(0, len(keys), data.batch_size)
            plan[variant, part] = [keys[i : i + data.batch_size] for i in starts]
        batches = list(chain(*plan.values()))
        loaded = track(
            data.load(clips, batches),
            "Features",
            total=len(batches),
            console=Console(stderr=True),
            disable=self.trainer.progress_bar_callback is None or not self.trainer.is_global_zero,
        )
        encoded = ((self._encode(batch["images"]).cpu(), batch) for batch in loaded)
        with evaluating(self.encoder), self.trainer.precision_plugin.forward_context():
            for pair, keys_of_part in plan.items():
                packed = pack_part(*zip(*islice(encoded, len(keys_of_part)), strict=True))
                write_atomic(parts.file(*pair), safetensors.torch.save(packed))

    def _encode(self, images: Tensor) -> Tensor:
        """Return features (B, [T,] F, h, w), bfloat16, of uint8 images (B, [T,] 3, S, S)."""
        images = images.to(self.trainer.strategy.root_device)
        pixels = normalise(images, self.encoder)
        features: Tensor = self.encoder(pixels)
        return features.to(torch.bfloat16)


def _still(clips: ClipDataset) -> ClipDataset:
    """Return the same clips without augmentation and with unmoved boxes."""
    clips = copy.copy(clips)
    clips.augmentation = None
    if clips.still_motion is not None:
        clips.still_motion = None
        clips.clips = [tuple(dict.fromkeys(clip)) for clip in clips.clips]  # one frame, padded
    if clips.boxes is not None:
        clips.boxes = replace(clips.boxes, shift=0.0, scale=0.0)
    return clips


def _is_random(clips: ClipDataset) -> bool:
    """Return whether a clip differs from epoch to epoch."""
    boxes = clips.boxes
    moved = bool(boxes and (boxes.shift or boxes.scale))
    return clips.augmentation is not None or clips.still_motion is not None or moved


def _draws(clips: ClipDataset) -> dict[str, Any]:
    """Return what decides the random draws of a data set, in plain values; empty without any."""
    draws: dict[str, Any] = {}
    if _is_random(clips):
        draws = {"seed": clips.seed, "augmentation": None}
        if clips.clips_in_a_row is not None:  # which have one draw
            draws["clips_in_a_row"] = clips.clips_in_a_row
    if (augmentation := clips.augmentation) is not None:
        draws["augmentation"] = _describe(
            augmentation,
            "transforms",
            lambda: augmentation.describe(),
            "does not say what its arguments are",
            "augmentation: use a ClipTransform of transforms that albumentations can serialise",
        )
    if (motion := clips.still_motion) is not None:
        draws["still_motion"] = _describe(
            motion,
            "arguments",
            lambda: dict(vars(motion)),
            "has attributes that are no plain values",
            "motion: keep numbers and texts only",
        )
    return draws


def _describe(
    part: object, key: str, values: Callable[[], object], wrong: str, advice: str
) -> dict[str, object]:
    """Return the class of a part of the data set and its arguments, `key`, in plain values.

    Raises:
        InputError: They are no plain values.
    """
    name = f"{type(part).__module__}.{type(part).__qualname__}"
    try:
        plain = values()
        json.dumps(plain)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"model.feature_cache: {name} {wrong} ({error}), so cached features could be those of "
            f"another {advice}, or use model.feature_variants 0."
        ) from error
    return {"class": name, key: plain}
