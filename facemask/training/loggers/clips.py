"""Fixed validation clips, the masks that a module predicts on them, and pictures of both."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer

from facemask.data.clips import ClipDataset, collate_clips
from facemask.data.sheet import draw_head, draw_text, paint, stack
from facemask.regions import Region
from facemask.resample import resize_image, resize_mask

Bytes: TypeAlias = npt.NDArray[np.uint8]

_VIDEO_SIDE: Final = 256  # pixels of a frame in the video, at most
_SAMPLES: Final = 4096  # pixels of each class from which the video's colours are chosen
_MILLISECONDS: Final = 100  # a frame in the video: a third of the speed, so that flicker shows


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
    """Draw the indices of clips evenly: one from each of equal parts of the data set.

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
    """Return the indices of the clip `first` and of those that continue its video without a gap.

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


def in_a_row(frames: Bytes) -> Bytes:
    """Put frames (T, S, S[, 3]) side by side: (S, T * S[, 3])."""
    return np.concatenate(list(frames), axis=1)


def comparison(clip: LabelledClip, region: Region) -> Bytes:
    """Draw a clip with its true and its predicted masks in the palette's colours, with a legend.

    Args:
        clip: The clip.
        region: Whose class ids the masks hold.

    Returns:
        RGB, uint8 (H, W, 3): a clip's frames in two rows, a single frame's two pictures side by
        side.
    """
    blocks = []
    for title, masks in (("truth", clip.truth), ("prediction", clip.prediction)):
        row = in_a_row(paint(clip.images, masks, region))
        blocks.append(stack([draw_text(title, row.shape[1]), row]))
    picture = stack(blocks, axis=0 if len(clip.names) > 1 else 1)
    span = " to ".join(dict.fromkeys((clip.names[0], clip.names[-1])))
    return stack([draw_head(span, region, picture.shape[1]), picture])


def to_gif(clip: LabelledClip, region: Region) -> bytes:
    """Encode a clip as an animated GIF: each frame, and beside it the same with the predicted mask.

    It repeats for ever, at 10 frames a second.
    """
    painted = paint(clip.images, clip.prediction, region)
    side = min(_VIDEO_SIDE, clip.images.shape[1])
    palette = _palette(clip.images, painted, clip.prediction)
    frames = [
        # the colour nearest to each pixel's: dithering would flicker
        Image.fromarray(resize_image(np.concatenate(pair, axis=1), side, 2 * side)).quantize(
            palette=palette, dither=Image.Dither.NONE
        )
        for pair in zip(clip.images, painted, strict=True)
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=_MILLISECONDS,
        loop=0,
    )
    return content.getvalue()


def _palette(images: Bytes, painted: Bytes, masks: Bytes) -> Image.Image:
    """Choose 256 colours, of which every class gets its share: eyes are few pixels.

    One palette for all frames, which keeps colours from changing and takes less time.
    """
    parts = [images.reshape(-1, 3), *(painted[masks == c] for c in np.unique(masks))]
    taken = [part[np.linspace(0, len(part) - 1, _SAMPLES).astype(int)] for part in parts]
    return Image.fromarray(np.stack(taken)).quantize(256, method=Image.Quantize.MEDIANCUT)
