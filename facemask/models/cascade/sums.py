"""Sums of probabilities over pixels of a mask: what its confidence follows from."""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box
from facemask.classes import BACKGROUND, SKIN
from facemask.confidence import PARTS, Floats
from facemask.models.cascade.rules import Rules, mixed
from facemask.models.cascade.stitch import Frame, Zoom
from facemask.regions import REGIONS

Bytes: TypeAlias = npt.NDArray[np.uint8]

_STEP: Final = 4
"""Of the pixels of a specialist where there is no eye or mouth, one of as many in each direction is
summed up."""


class Sums(NamedTuple):
    """Sums over pixels, of each part of the face, float64 (4,); see `expected_ious`.

    Attributes:
        area: Pixels with the part's label.
        inside: The part's probability, summed over these.
        total: The same, summed over all pixels.
    """

    area: Floats
    inside: Floats
    total: Floats

    def plus(self, other: "Sums") -> "Sums":
        """Return the sums over the pixels of both."""
        return Sums(*(one + more for one, more in zip(self, other, strict=True)))

    def ious(self) -> Floats:
        """Return the IoU to expect of each part; NaN for one without a label."""
        ious = self.inside / np.maximum(self.area + self.total - self.inside, 1e-9)
        return np.asarray(np.where(self.area > 0, ious, np.nan))


def sums_of(labels: Tensor, probabilities: Tensor, counted: Tensor) -> Sums:
    """Return the sums over pixels.

    Args:
        labels: Class ids, uint8 (h, w).
        probabilities: Of the classes, float32 (5, h, w).
        counted: Which pixels to take, bool (h, w).
    """
    parts = torch.arange(1, len(probabilities), dtype=torch.uint8, device=labels.device)
    is_part = (labels == parts[:, None, None]) & counted  # (4, h, w)
    of_parts = probabilities[1:]
    total, inside = ((of_parts * where).sum(dim=(1, 2)) for where in (counted, is_part))
    area = is_part.sum(dim=(1, 2))
    return Sums(*(of_all.cpu().double().numpy() for of_all in (area, inside, total)))


def of_skin(frame: Frame, rules: Rules, without: Sequence[Box], own_labels: Bytes) -> Sums:
    """Return the sums of skin outside boxes, in pixels of the frame.

    Every other row and column of the network's own scores is enough for what is so large.
    """
    assert frame.face is not None
    whole = _whole(frame)
    scores = frame.scores[:2, ::2, ::2].float()  # (2, h, w)
    counted = np.ones(scores.shape[-2:], dtype=bool)
    for box in without:
        counted[nodes(box, whole, own_labels.shape[0], 2)] = False
    in_face = np.zeros_like(counted)
    in_face[nodes(frame.face, whole, own_labels.shape[0], 2)] = True
    labels = own_labels[::2, ::2]
    better = (scores[SKIN] > scores[BACKGROUND]).numpy()
    is_skin = np.where(labels > SKIN, in_face | better, labels == SKIN) & counted
    # what the primary gave to eyes and mouth goes to skin and background
    of_skin = (scores / rules.temperature).softmax(dim=0)[SKIN].numpy()
    weight = 4 * whole.width * whole.height / own_labels.size
    sums = (is_skin.sum(), of_skin[is_skin].sum(), of_skin[counted].sum())
    others = [0.0] * (len(PARTS) - 1)
    return Sums(*(np.array([weight * float(of_skin), *others]) for of_skin in sums))


def of_region_elsewhere(frame: Frame, rules: Rules, zoom: Zoom, part: Box) -> Sums:
    """Return the sums of a specialist's classes in its box outside the part decided upon."""
    whole, start = _whole(frame), _STEP // 2
    scores = zoom.scores[:, start::_STEP, start::_STEP].float()  # (C, h, w)
    size = zoom.scores.shape[-1]
    of_classes = (scores / rules.temperature).softmax(dim=0)
    counted = torch.ones(scores.shape[-2:], dtype=torch.bool)
    counted[nodes(part, zoom.box, size, _STEP)] = False
    if rules.primary_weight:
        box = zoom.box
        places = (torch.arange(start, size, _STEP) + 0.5) / size
        x, y = (
            2 * (first + places * side) / of_whole - 1
            for first, side, of_whole in (
                (box.left, box.width, whole.width),
                (box.top, box.height, whole.height),
            )
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
        there = F.grid_sample(
            frame.scores[None].float(), grid, padding_mode="border", align_corners=False
        )[0]
        of_primary = (there / rules.temperature).softmax(dim=0)
        own = of_primary[list(REGIONS[zoom.region].classes[1:])]
        of_classes = mixed(of_classes, own, rules.primary_weight)
    weight = _STEP**2 * zoom.box.width * zoom.box.height / size**2
    totals = np.zeros(len(PARTS))
    for of_class, class_id in zip(of_classes[1:], REGIONS[zoom.region].classes[1:], strict=True):
        totals[class_id - 1] = weight * float(of_class[counted].sum())
    return Sums(np.zeros(len(PARTS)), np.zeros(len(PARTS)), totals)


def _whole(frame: Frame) -> Box:
    return Box(0.0, 0.0, *frame.view.size[::-1])


def nodes(box: Box, whole: Box, size: int, step: int = 1) -> tuple[slice, slice]:
    """Return which rows and columns of every step-th pixel of a map lie in a box.

    Args:
        box: The box.
        whole: The map's own box.
        size: Pixels of the map in each direction.
        step: Distance of the pixels; the first is in the middle of a step, or 0 for one of 2.
    """
    count = -(-size // step) if step <= 2 else -(-(size - step // 2) // step)
    start = 0.5 if step <= 2 else step // 2 + 0.5
    moved = box.shifted(-whole.left, -whole.top).scaled(size / whole.width, size / whole.height)
    centred = moved.shifted(-start, -start).scaled(1 / step, 1 / step).shifted(0.5, 0.5)
    return centred.rounded(count, count).pixels
