"""The fixed validation clips of the panels, and the masks that a module predicts on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer

from facemask.data.clips import ClipDataset, collate_clips
from facemask.resample import resize_mask

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledClip:
    """A clip with its masks at the network's size S, T frames without padding.

    Attributes:
        names: The frames' file stems.
        images: uint8 (T, S, S, 3), RGB.
        truth: The module's class ids, uint8 (T, S, S); 255 is ignored.
        prediction: The same, without 255: what the module predicts at original size, resized to
            the nearest pixel.
    """

    names: tuple[str, ...]
    images: Bytes
    truth: Bytes
    prediction: Bytes


def choose_clips(count: int, clips: int, seed: int) -> list[int]:
    """Indices of clips, drawn evenly: one from each of equal parts of the data set.

    Args:
        count: Clips in the data set.
        clips: How many to draw, at most.
        seed: Same seed, same clips.

    Returns:
        Sorted indices, all different.

    Examples:
        >>> choose_clips(100, 4, seed=0)
        [21, 40, 62, 81]
        >>> choose_clips(2, 4, seed=0)
        [0, 1]
    """
    parts = np.linspace(0, count, min(clips, count) + 1).round().astype(int)
    rng = np.random.default_rng(seed)
    return [int(rng.integers(a, b)) for a, b in pairwise(parts)]


def following_clips(dataset: ClipDataset, first: int, frames: int) -> list[int]:
    """Indices of the clip `first` and those after it that continue its video without a gap.

    Args:
        dataset: Its clips are sorted by video and frame number.
        first: Where to begin.
        frames: How many frames are wanted; there may be fewer.
    """
    chosen, found = [first], len(dataset.clips[first])
    for index in range(first + 1, len(dataset.clips)):
        last, begin = dataset.clips[index - 1][-1], dataset.clips[index][0]
        if found >= frames or (begin.video, begin.number) != (last.video, last.number + 1):
            break
        chosen.append(index)
        found += len(dataset.clips[index])
    return chosen


def predict_clips(
    trainer: Trainer, module: LightningModule, samples: Sequence[dict[str, Any]], batch_size: int
) -> list[LabelledClip]:
    """Predict clips with the module as it is, at the trainer's precision.

    Args:
        trainer: Gives device and precision.
        module: Its `predict_step` returns the label image, uint8 (H, W), of each frame by name.
        samples: Entries of a `ClipDataset` with masks.
        batch_size: Clips at a time.
    """
    labels: dict[str, torch.Tensor] = {}
    for start in range(0, len(samples), batch_size):
        batch = collate_clips(samples[start : start + batch_size])
        batch = trainer.strategy.batch_to_device(batch)
        with torch.no_grad(), trainer.precision_plugin.predict_step_context():
            labels |= module.predict_step(batch, 0)
    return [_labelled(sample, labels) for sample in samples]


def _labelled(sample: dict[str, Any], labels: dict[str, torch.Tensor]) -> LabelledClip:
    names = tuple(sample["names"])
    size = sample["masks"].shape[-1]
    frames = slice(0, len(names))  # padding comes last
    images = sample["images"].reshape(-1, 3, size, size)[frames]
    prediction = [resize_mask(labels[name].cpu().numpy(), size, size) for name in names]
    return LabelledClip(
        names,
        images.permute(0, 2, 3, 1).numpy(),
        sample["masks"].reshape(-1, size, size)[frames].numpy(),
        np.stack(prediction),
    )
