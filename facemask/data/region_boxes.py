"""The boxes that eye and mouth clips are cut out of face crops with, from the labels."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch

from facemask.boxes import Box
from facemask.classes import IGNORE
from facemask.data.vw300_mask import Frame, read_label
from facemask.errors import InputError
from facemask.regions import REGIONS, Region, clip_box, relative_extent, to_region_labels
from facemask.resample import crop_labels, crop_pixels
from facemask.threads import free_cores

Pixels: TypeAlias = npt.NDArray[np.uint8]

WHOLE_IMAGE = Box(0.0, 0.0, 1.0, 1.0)
NOISE: Final = 0.1
"""Default of the boxes' random shift and scale in training, as a share of the box's side."""


class LabelExtent(NamedTuple):
    """Place of a region in one label image.

    Attributes:
        extent: Its bounding box, or None where the label image lacks the region.
        size: (H, W) of the label image in pixels.
    """

    extent: Box | None
    size: tuple[int, int]


def read_extents(paths: Sequence[Path], region: Region) -> dict[Path, LabelExtent]:
    """Find a region in many label PNGs; about a millisecond each.

    Pixels that only may be of the region (see `classes.OPEN`) do not count.

    Raises:
        InputError: A label cannot be read.
    """

    def find(path: Path) -> LabelExtent:
        label = read_label(path)
        inside = np.logical_or.reduce([label == own for own in REGIONS[region].classes[1:]])
        return LabelExtent(relative_extent(inside), (label.shape[0], label.shape[1]))

    # threads: decoding leaves Python's lock, and processes would take longer to start
    with ThreadPoolExecutor(min(8, free_cores().count)) as pool:
        return dict(zip(paths, pool.map(find, paths), strict=True))


def extents_of(
    frames: Sequence[Frame], region: Region, known: dict[Path, LabelExtent]
) -> dict[Path, LabelExtent]:
    """Find a region in the labels of frames.

    Args:
        frames: Those without a label are passed over.
        region: The region.
        known: Labels read before; those read now are added.

    Raises:
        InputError: A label cannot be read.
    """
    labels = [frame.label for frame in frames if frame.label is not None]
    known |= read_extents([label for label in labels if label not in known], region)
    return {label: known[label] for label in labels}


@dataclass(frozen=True)
class RegionBoxes:
    """The boxes that clips are cut out with.

    Attributes:
        region: "eyes" or "mouth".
        extents: Where the region is in each label file.
        margin: Side of the box over the region's largest width in the clip, at least 1.
        shift: Largest random shift in x and in y either way, as a share of the box's side.
        scale: Largest random enlargement or reduction, as a share of the box's side, below 1.
    """

    region: Region
    extents: Mapping[Path, LabelExtent]
    margin: float
    shift: float = 0.0
    scale: float = 0.0

    def shows(self, clip: Sequence[Frame]) -> bool:
        """Return whether any frame of a clip shows the region."""
        return any(found.extent is not None for found in self._extents(clip))

    def box(self, clip: Sequence[Frame], seed: Sequence[int]) -> Box:
        """Return one square box for all frames of a clip that shows the region.

        Args:
            clip: Frames whose labels are in `extents`.
            seed: Decides the noise: same seed, same box. Without `shift` and `scale` it has no
                influence.

        Returns:
            The box, which holds the region of every frame and may leave the image.
        """
        found = self._extents(clip)
        # a stream of its own: the augmentation draws from the same seed
        noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        shift_x, shift_y, scale = noise.uniform(-1, 1, size=3).tolist()
        box = clip_box(
            [extent for extent, _ in found],
            [size for _, size in found],
            self.margin,
            (self.shift * shift_x, self.shift * shift_y),
            1 + self.scale * scale,
        )
        assert box is not None  # some frame shows the region
        return box

    def _extents(self, clip: Sequence[Frame]) -> list[LabelExtent]:
        return [self.extents[frame.label] for frame in clip if frame.label is not None]


def check_box(region: Region, **options: float | None) -> None:
    """Check the options of a data module's boxes, `box_margin`, `box_shift` and `box_scale`.

    Raises:
        InputError: One is given for the whole face, or is out of range.
    """
    for name, value in options.items():
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


def box_size(box: Box) -> tuple[int, int]:
    """Return the height and the width of a box in whole pixels, at least 1.

    Examples:
        >>> box_size(Box(left=-3.5, top=2.0, right=10.2, bottom=15.4))
        (13, 14)
    """
    return max(1, round(box.height)), max(1, round(box.width))


def cut_image(image: Pixels, box: Box, size: tuple[int, int]) -> Pixels:
    """Cut a box out of an image and resize it; 0 outside the image.

    Args:
        image: uint8 (H, W, 3).
        box: The box in pixels of this image.
        size: New height and width in pixels.

    Returns:
        uint8 (*size, 3), rounded.
    """
    cut = crop_pixels(torch.from_numpy(image).permute(2, 0, 1), box, size)  # (3, *size)
    return cast("Pixels", cut.permute(1, 2, 0).contiguous().numpy())


def cut_labels(mask: Pixels, box: Box, size: tuple[int, int], region: Region) -> Pixels:
    """Cut a box out of a face's mask, to the nearest pixels.

    Args:
        mask: The face's class ids, uint8 (H, W).
        box: The box in pixels of this mask.
        size: New height and width in pixels.
        region: Whose class ids to give back.

    Returns:
        The region's own class ids, uint8 (*size); 255 outside the image and where `mask` is 255.
    """
    return to_region_labels(crop_labels(torch.from_numpy(mask), box, size, IGNORE).numpy(), region)
