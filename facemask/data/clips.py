"""Clips of face crops, or of the eyes or the mouth cut out of them."""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch.utils.data import Dataset

from facemask.boxes import Box, steady
from facemask.classes import IGNORE
from facemask.data.augment.still_motion import StillMotion
from facemask.data.augment.transforms import ClipTransform
from facemask.data.region_boxes import (
    WHOLE_IMAGE,
    Pixels,
    RegionBoxes,
    box_size,
    cut_image,
    cut_labels,
)
from facemask.data.vw300_mask import Frame, cut_clips, read_label, rows_of
from facemask.errors import InputError
from facemask.files import read_image
from facemask.resample import resize_image, resize_mask


class ClipBatch(TypedDict):
    """A batch of B clips of T frames, or of B single frames (then without the T axis).

    A region's clips (eyes, mouth) are what lies inside the clip's box: their images, their masks
    with the region's own class ids, and their original masks and sizes, so that a module scores
    every region alike.

    Attributes:
        images: uint8 (B, T, 3, S, S) or (B, 3, S, S), RGB; 0 outside the face crop.
        masks: Class ids, uint8 (B, T, S, S) or (B, S, S); 255 = ignore, and all of a frame
            that pads a short clip is 255. No labels (prediction): all 255.
        original_masks: For each clip, the masks of its real frames at their own sizes, uint8
            (H, W); empty in training and prediction. Of a region: the labels inside the box at
            the original resolution, as many pixels as the box measures in that frame (rounded);
            255 outside the face crop.
        original_sizes: For each clip, (H, W) of its real frames; of a region, of the box in them.
        original_images: For each clip, the whole face crops of its real frames at their own sizes,
            uint8 (3, H, W) RGB, for the cascade; empty unless asked for.
        boxes: Each clip's box in its face crops, float32 (B, 4): left, top, right, bottom over
            the crop's width and height; (0, 0, 1, 1) for faces.
        names: For each clip, the file stems of its real frames, such as 001_000001.
        numbers: int64 (B, 2): each clip's number in its data set, and that of the clip that it goes
            on from; -1 where it does not, which is everywhere but in `ClipDataset.rows`.
    """

    images: torch.Tensor
    masks: torch.Tensor
    original_masks: list[list[torch.Tensor]]
    original_sizes: list[list[tuple[int, int]]]
    original_images: list[list[torch.Tensor]]
    boxes: torch.Tensor
    names: list[list[str]]
    numbers: torch.Tensor


@dataclass(eq=False)
class ClipDataset(Dataset[dict[str, Any]]):
    """Clips of at most `clip_length` frames, resized, as uint8.

    Args:
        frames: Frames sorted by video and number.
        clip_length: T; None gives single frames without a time axis.
        size: Height and width S of the resized frames in pixels.
        augmentation: Applied to each clip after resizing, or None.
        seed: With the epoch and the index, decides the augmentation and the boxes' noise.
        keep_original_masks: Deliver the masks at their original size too (evaluation).
        boxes: What to cut out of the face crops; None takes them whole. Clips without the region
            are left out.
        original_images: Deliver the whole face crops at their original size too.
        still_motion: Makes clips of `clip_length` real frames out of those of a single one, after
            resizing and before the augmentation; None pads them. Of no effect on single frames.
        clips_in_a_row: Clips, at most, that go on from each other: they have one augmentation, and
            boxes that are kept as extraction keeps them. None: each clip is by itself.

    Attributes:
        clips: The frames of each clip; of a still that is to move, `clip_length` times the same.
        left_out: Number of clips that do not show the region.
        rows: Indices of the clips of each row; empty without `clips_in_a_row`.

    Raises:
        InputError: Stills are to move, but something of original size, which stays, is wanted.
    """

    frames: InitVar[Sequence[Frame]]
    clip_length: int | None
    size: int
    augmentation: ClipTransform | None = None
    seed: int = 0
    keep_original_masks: bool = False
    boxes: RegionBoxes | None = None
    original_images: bool = False
    still_motion: StillMotion | None = None
    clips_in_a_row: int | None = None

    def __post_init__(self, frames: Sequence[Frame]) -> None:
        """Cut the frames into clips, and leave out those that do not show the region."""
        if self.still_motion is not None and (self.keep_original_masks or self.original_images):
            raise InputError("still_motion is for training: it moves nothing of original size.")
        length = self.clip_length or 1
        clips = cut_clips(frames, length)
        self.clips = [clip for clip in clips if self.boxes is None or self.boxes.shows(clip)]
        self.left_out = len(clips) - len(self.clips)
        if self.still_motion is not None:
            # repeated here, so that all who count frames or name them see what is delivered
            self.clips = [c * length if len(c) == 1 else c for c in self.clips]
        if length == 1:
            self.still_motion = None
        most = self.clips_in_a_row
        self.rows = [] if most is None else rows_of(self.clips, most, length)
        self._firsts = {index: row.start for row in self.rows for index in row}
        if self.augmentation is not None:
            self.augmentation.prepare()  # here, not in each worker process

    def __len__(self) -> int:
        """Return the number of clips."""
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
        clip, first = self.clips[index], self._firsts.get(index, index)
        seed = (self.seed, epoch, first)
        box = WHOLE_IMAGE
        if self.boxes is not None:
            box = self.boxes.box(self.clips[first], seed)
            for later in self.clips[first + 1 : index + 1]:
                box = steady(box, self.boxes.box(later, seed))
        images, masks, originals, sizes, crops = [], [], [], [], []
        moves = self.still_motion is not None and len(clip) > 1 and clip[0] == clip[-1]
        for frame in clip[:1] if moves else clip:
            image, mask = read_frame(frame)
            if self.original_images:
                crops.append(torch.from_numpy(image).permute(2, 0, 1))
            image, mask, original, size = self._cut(image, mask, box)
            images.append(image)
            masks.append(mask)
            sizes.append(size)
            if original is not None:
                originals.append(torch.from_numpy(original))
        if self.still_motion is not None and moves:
            # a stream of its own, beside the boxes' and the augmentation's
            state = np.random.SeedSequence(seed, spawn_key=(2,)).generate_state(1)[0]
            images, masks = self.still_motion(images[0], masks[0], len(clip), seed=int(state))
            sizes *= len(clip)
        if self.augmentation is not None:
            state = np.random.SeedSequence(seed).generate_state(1)[0]
            images, masks = self.augmentation(images, masks, seed=int(state))
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
            "original_images": crops,
            "boxes": torch.tensor(box, dtype=torch.float32),
            "names": [frame.image.stem for frame in clip],
            "numbers": self.numbers(index),
        }

    def numbers(self, index: int) -> torch.Tensor:
        """Return a clip's entry of `ClipBatch.numbers`, int64 (2,)."""
        is_first = self._firsts.get(index, index) == index
        return torch.tensor([index, -1 if is_first else index - 1])

    def collate(self, samples: Sequence[dict[str, Any]]) -> ClipBatch:
        """Make a batch of some clips, or of none."""
        if samples:
            return collate_clips(samples)
        time = () if self.clip_length is None else (self.clip_length,)
        net = (self.size, self.size)
        empty: dict[str, Any] = dict.fromkeys(ClipBatch.__annotations__, ()) | {
            "images": torch.zeros(*time, 3, *net, dtype=torch.uint8),
            "masks": torch.zeros(*time, *net, dtype=torch.uint8),
            "boxes": torch.zeros(4),
            "numbers": torch.zeros(2, dtype=torch.int64),
        }
        return collate_clips([], empty)

    def _cut(
        self, image: Pixels, mask: Pixels, box: Box
    ) -> tuple[Pixels, Pixels, Pixels | None, tuple[int, int]]:
        """Return image and mask at the network's size, the mask at its own, and that size.

        The mask at its own size is None unless it is wanted.
        """
        height, width = mask.shape
        net = (self.size, self.size)
        if self.boxes is None:
            kept = mask if self.keep_original_masks else None
            return resize_image(image, *net), resize_mask(mask, *net), kept, (height, width)
        edges, region = box.in_pixels(height, width), self.boxes.region
        size = box_size(edges)
        kept = cut_labels(mask, edges, size, region) if self.keep_original_masks else None
        return cut_image(image, edges, net), cut_labels(mask, edges, net, region), kept, size


def read_frame(frame: Frame) -> tuple[Pixels, Pixels]:
    """Read a face crop, uint8 (H, W, 3) RGB, and its mask, uint8 (H, W); all 255 without a label.

    Raises:
        InputError: The image or the label cannot be read, or their sizes differ.
    """
    image = read_image(frame.image)
    if frame.label is None:
        return image, np.full(image.shape[:2], IGNORE, dtype=np.uint8)
    mask = read_label(frame.label)
    (height, width), (rows, columns) = image.shape[:2], mask.shape
    if (height, width) != (rows, columns):
        raise InputError(
            f"{frame.label}: {columns}×{rows} pixels, but its image has {width}×{height}."
        )
    return image, mask


def collate_clips(
    samples: Sequence[dict[str, Any]], empty: dict[str, Any] | None = None
) -> ClipBatch:
    """Stack what has one size and list what differs from frame to frame.

    Args:
        samples: Entries of one data set.
        empty: An entry that stands for the shapes where there is no sample, in a process that has
            none left; the batch is empty then (B = 0).
    """
    batch: dict[str, Any] = {}
    for key, value in (samples[0] if samples else empty or {}).items():
        column = [sample[key] for sample in samples]
        is_one_size = isinstance(value, torch.Tensor)
        batch[key] = torch.stack(column or [value])[: len(column)] if is_one_size else column
    return cast("ClipBatch", batch)
