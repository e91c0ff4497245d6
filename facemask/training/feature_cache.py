"""Filling the cache of encoder features: what is missing is computed, by all processes together."""

import contextlib
import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from facemask.data import feature_clips as stored
from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipTransform
from facemask.data.clips import ClipBatch, ClipDataset
from facemask.data.feature_clips import FeatureDataset, FeatureParts, cache_key, pack_part
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic
from facemask.models.backbone import Encoder

_FORMAT: Final = 1
"""Counts up when features are computed or stored in another way."""

MakeLoader = Callable[[ClipDataset, Sequence[list[tuple[int, int]]]], "DataLoader[Any]"]
"""Makes a loader of a data set's clips, in the batches of (epoch, index) given."""


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

    def fill(
        self, sides: Mapping[str, ClipDataset], batch_size: int, make_loader: MakeLoader
    ) -> dict[str, FeatureDataset]:
        """Compute what is missing of the data sets.

        Args:
            sides: The data sets by name.
            batch_size: Clips through the encoder at once.
            make_loader: Makes the loader of clips.

        Returns:
            The data sets, read from the cache.

        Raises:
            InputError: The folder cannot be written to or lacks space, an augmentation cannot be
                described, or an image cannot be read.
        """
        strategy = self.trainer.strategy
        clips = {side: c if self.variants else _still(c) for side, c in sides.items()}
        parts = {side: self._parts(c) for side, c in clips.items()}
        missing = strategy.broadcast({side: p.missing() for side, p in parts.items()})
        self._check_space(
            sum(
                len(parts[side].indices(part)) * parts[side].clip_bytes
                for side, pairs in missing.items()
                for _, part in pairs
            )
        )
        for side, pairs in missing.items():
            if pairs:
                rank_zero_info(
                    f"Computing features of {len(clips[side])} {side} clips, "
                    f"{parts[side].variants} of each, into {parts[side].folder}."
                )
                share = pairs[self.trainer.global_rank :: self.trainer.world_size]
                if share:
                    self._compute(clips[side], parts[side], share, batch_size, make_loader)
        strategy.barrier("facemask_features")
        if any(p.missing() for p in parts.values()):
            raise InputError(
                f"model.feature_cache: {self.folder} does not hold what the other processes "
                "computed: give a folder that all of them see."
            )
        return {side: FeatureDataset(c, parts[side]) for side, c in clips.items()}

    def _parts(self, clips: ClipDataset) -> FeatureParts:
        """Where the features of a data set go; the folder is there after this."""
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
        """All that decides the features, but for weights and files."""
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
            about |= {
                name: getattr(clips.boxes, name) for name in ("region", "margin", "shift", "scale")
            }
        if _is_random(clips):
            about |= {"seed": clips.seed, "augmentation": _describe(clips.augmentation)}
        if clips.still_motion is not None:
            about["still_motion"] = _describe_motion(clips.still_motion)
        return about

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
        batch_size: int,
        make_loader: MakeLoader,
    ) -> None:
        """Compute and write the parts of this process's share, each whole or not at all."""
        plan: list[list[tuple[int, int]]] = []
        last: dict[int, tuple[int, int]] = {}  # the part that ends with a batch
        for variant, part in share:
            keys = [(variant, index) for index in parts.indices(part)]
            plan += [keys[i : i + batch_size] for i in range(0, len(keys), batch_size)]
            last[len(plan) - 1] = (variant, part)
        quiet = self.trainer.progress_bar_callback is None or not self.trainer.is_global_zero
        features: list[Tensor] = []
        batches: list[ClipBatch] = []
        with self._encoding():
            for n, batch in enumerate(
                track(
                    make_loader(clips, plan),
                    "Features",
                    total=len(plan),
                    console=Console(stderr=True),
                    disable=quiet,
                )
            ):
                features.append(self._encode(batch["images"]).cpu())
                batches.append(batch)
                if n in last:
                    packed = pack_part(features, batches)
                    write_atomic(parts.file(*last[n]), safetensors.torch.save(packed))
                    features.clear()
                    batches.clear()

    def _encode(self, images: Tensor) -> Tensor:
        """Features (B, [T,] F, h, w), bfloat16, of uint8 images (B, [T,] 3, S, S)."""
        images = images.to(self.trainer.strategy.root_device)
        pixels = (images.float() / 255 - self.encoder.mean) / self.encoder.std
        features: Tensor = self.encoder(pixels)
        return features.to(torch.bfloat16)

    @contextlib.contextmanager
    def _encoding(self) -> Iterator[None]:
        """As in a validation step: no gradients, eval mode, the training's precision."""
        modes = {module: module.training for module in self.encoder.modules()}
        self.encoder.eval()
        try:
            with torch.no_grad(), self.trainer.precision_plugin.forward_context():
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def _still(clips: ClipDataset) -> ClipDataset:
    """The same clips without augmentation and with unmoved boxes."""
    clips = copy.copy(clips)
    clips.augmentation = None
    if clips.still_motion is not None:
        clips.still_motion = None
        clips.clips = [tuple(dict.fromkeys(clip)) for clip in clips.clips]  # one frame, padded
    if clips.boxes is not None:
        clips.boxes = replace(clips.boxes, shift=0.0, scale=0.0)
    return clips


def _is_random(clips: ClipDataset) -> bool:
    """Whether a clip differs from epoch to epoch."""
    boxes = clips.boxes
    moved = bool(boxes and (boxes.shift or boxes.scale))
    return clips.augmentation is not None or clips.still_motion is not None or moved


def _describe(augmentation: ClipTransform | None) -> object:
    """Class and arguments of an augmentation in plain values.

    Raises:
        InputError: It does not say what its arguments are.
    """
    if augmentation is None:
        return None
    name = f"{type(augmentation).__module__}.{type(augmentation).__qualname__}"
    try:
        transforms = augmentation.describe()
        json.dumps(transforms)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"model.feature_cache: {name} does not say what its arguments are ({error}), so cached "
            "features could be those of another augmentation: use a ClipTransform of transforms "
            "that albumentations can serialise, or model.feature_variants 0."
        ) from error
    return {"class": name, "transforms": transforms}


def _describe_motion(motion: StillMotion) -> object:
    """Class and arguments of the stills' motion in plain values.

    Raises:
        InputError: A subclass has attributes that are no plain values.
    """
    name = f"{type(motion).__module__}.{type(motion).__qualname__}"
    try:
        json.dumps(vars(motion))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model.feature_cache: {name} has attributes that are no plain values ({error}), so "
            "cached features could be those of another motion: keep numbers and texts only, or use "
            "model.feature_variants 0."
        ) from error
    return {"class": name, "arguments": dict(vars(motion))}
