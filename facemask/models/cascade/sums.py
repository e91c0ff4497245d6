"""Sums of probabilities over the pixels of a mask: what its confidence follows from.

They are taken at some of the networks' own pixels and weighted by what these cover of the frame, as
what is summed up is smooth.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.boxes import Box, enclosing
from facemask.classes import BACKGROUND, FACE_CLASSES, SKIN
from facemask.confidence import Floats
from facemask.models.cascade.rules import Rules, mixed
from facemask.models.cascade.stitch import Frame
from facemask.regions import REGIONS, Region

Bytes: TypeAlias = npt.NDArray[np.uint8]
Scores: TypeAlias = npt.NDArray[np.float32]
Bools: TypeAlias = npt.NDArray[np.bool_]

_STEP: Final = 2
"""Of a map's pixels, one of as many in each direction is taken, but for maps of few."""
_FEW: Final = 120
_ROOM: Final = 0.06
"""Share of a specialist's box to which an eye's or a mouth's edge may be soft."""


class Seen(NamedTuple):
    """Scores of a specialist, at its own pixels or, where the frame has fewer, at those.

    Attributes:
        region: "eyes" or "mouth".
        scores: Of the region's own classes, (C, h, w).
        box: What they show, in upright coordinates.
        labels: Class ids of the face, uint8 (h, w): 0 for background, others where they are not it.
    """

    region: Region
    scores: Tensor
    box: Box
    labels: Bytes


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

    def ious(self, present: npt.NDArray[np.bool_]) -> Floats:
        """Return the IoU to expect of each part; NaN for one that is not present in the mask."""
        ious = self.inside / np.maximum(self.area + self.total - self.inside, 1e-9)
        return np.asarray(np.where(present, ious, np.nan))


def sums_of(frame: Frame, rules: Rules, own_labels: Bytes, seen: Sequence[Seen]) -> Sums:
    """Return the sums over all pixels of a frame with a face.

    Args:
        frame: What the networks found; both specialists were asked.
        rules: The rules by which that becomes a mask.
        own_labels: The primary's labels at its own pixels, uint8 (S, S).
        seen: What the specialists found.
    """
    parts = [
        (zoom, part) for zoom in seen if (part := _part_of(frame, zoom, own_labels)) is not None
    ]
    sums = _of_skin(frame, rules, own_labels, [part for _, part in parts])
    for n, (zoom, part) in enumerate(parts):
        sums = sums.plus(_of_part(frame, rules, zoom, part, parts[:n]))
    return sums


def _part_of(frame: Frame, zoom: Seen, own_labels: Bytes) -> "_Nodes | None":
    """Return the pixels of a specialist around all that it or the primary calls the region's."""
    assert frame.face is not None
    of_primary = np.isin(own_labels[::_STEP, ::_STEP], REGIONS[zoom.region].classes[1:])
    there = [_extent(zoom.labels, zoom.box), _extent(of_primary.view(np.uint8), _whole(frame))]
    around = enclosing([extent for extent in there if extent is not None])
    if around is None:
        return None
    across, down = _ROOM * zoom.box.width, _ROOM * zoom.box.height
    limits = (zoom.box, frame.face, _whole(frame))  # elsewhere the specialist is not heard
    part = Box(
        max(around.left - across, *(limit.left for limit in limits)),
        max(around.top - down, *(limit.top for limit in limits)),
        min(around.right + across, *(limit.right for limit in limits)),
        min(around.bottom + down, *(limit.bottom for limit in limits)),
    )
    height, width = zoom.labels.shape
    step = 1 if max(height, width) < _FEW else _STEP
    nodes = _Nodes(zoom.box, (height, width), step, part)
    return nodes if nodes.shape[0] and nodes.shape[1] else None


def _of_skin(frame: Frame, rules: Rules, own_labels: Bytes, without: Sequence["_Nodes"]) -> Sums:
    """Return the sums of skin outside parts that specialists decide upon."""
    assert frame.face is not None
    height, width = own_labels.shape
    nodes = _Nodes(_whole(frame), (height, width), _STEP, _whole(frame))
    scores = frame.scores[:2, ::_STEP, ::_STEP].float()  # (2, h, w)
    counted = np.ones(nodes.shape, dtype=bool)
    for part in without:
        counted[nodes.within(part.box)] = False
    better = (scores[SKIN] > scores[BACKGROUND]).numpy()
    better[nodes.within(frame.face)] = True
    labels = own_labels[::_STEP, ::_STEP]
    is_skin = np.where(labels > SKIN, better, labels == SKIN) & counted
    # what the primary gave to eyes and mouth goes to skin and background
    of_skin = _softmax(scores, rules)[SKIN].numpy()
    return _weighted(nodes.weight, {SKIN: (is_skin, of_skin, counted)})


def _of_part(
    frame: Frame,
    rules: Rules,
    zoom: Seen,
    part: "_Nodes",
    earlier: Sequence[tuple[Seen, "_Nodes"]],
) -> Sums:
    """Return the sums of a specialist's classes and of skin in a part of its box in the face."""
    own = list(REGIONS[zoom.region].classes[1:])
    scores = part.sampled(frame.scores.float().numpy(), _whole(frame))  # (5, h, w)
    of_primary = _softmax(torch.from_numpy(scores), rules)
    rows, columns = part.pixels
    decided = _softmax(zoom.scores[:, rows, columns].float(), rules)
    if rules.primary_weight:
        decided = mixed(decided, of_primary[own], rules.primary_weight)
    background, *of_classes = decided.numpy()
    best = np.maximum.reduce(of_classes)
    claimed = best > background
    best_of_all = scores.max(axis=0)
    is_own = scores[own].max(axis=0) == best_of_all
    # what the primary gave to the region counts as skin where the label becomes skin, and is
    # shared by the other classes elsewhere
    lost, of_skin = of_primary[own].sum(dim=0).numpy(), of_primary[SKIN].numpy()
    of_skin = np.where(is_own, of_skin + lost, of_skin / np.maximum(1 - lost, 1e-6)) * background
    is_skin = (is_own | (scores[SKIN] == best_of_all)) & ~claimed
    counted = np.ones(part.shape, dtype=bool)
    alone = counted.copy()  # in no earlier part, of which skin is summed up already
    for other, place in earlier:
        alone[part.within(place.box)] = False
        if other.region == zoom.region:
            counted[part.within(place.box)] = False
    of_parts = {SKIN: (is_skin & alone, of_skin, alone)}
    for class_id, of_class in zip(own, of_classes, strict=True):
        of_parts[class_id] = ((of_class == best) & claimed & counted, of_class, counted)
    return _weighted(part.weight, of_parts)


def _extent(labels: Bytes, box: Box) -> Box | None:
    """Return where labels (h, w) of a box are not background."""
    left, top, width, height = cv2.boundingRect(labels)
    if width == 0:
        return None
    across, down = box.width / labels.shape[1], box.height / labels.shape[0]
    found = Box(left, top, left + width, top + height)
    return found.scaled(across, down).shifted(box.left, box.top)


class _Nodes:
    """Every so many of a network's pixels, as places in upright coordinates.

    Attributes:
        shape: How many rows and columns there are.
        weight: Pixels of the frame that each stands for.
        pixels: Which of the network's they are.
        box: What they cover together.
    """

    def __init__(self, box: Box, size: tuple[int, int], step: int, part: Box) -> None:
        """Take those that lie in a part of the network's box.

        Args:
            box: What the network sees.
            size: Rows and columns of its pixels.
            step: Of these, one of as many in each direction is taken.
            part: The part.
        """
        height, width = size
        across, down = box.width / width, box.height / height
        x = box.left + (np.arange(0, width, step) + 0.5) * across
        y = box.top + (np.arange(0, height, step) + 0.5) * down
        first, last = np.searchsorted(x, (part.left, part.right)).tolist()
        top, bottom = np.searchsorted(y, (part.top, part.bottom)).tolist()
        self._x, self._y = x[first:last], y[top:bottom]
        self.shape = (len(self._y), len(self._x))
        self.weight = step**2 * across * down
        self.pixels = (
            slice(step * top, step * bottom, step),
            slice(step * first, step * last, step),
        )
        self.box = part

    def within(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns of these that lie in a box."""
        rows = slice(*np.searchsorted(self._y, (box.top, box.bottom)).tolist())
        return rows, slice(*np.searchsorted(self._x, (box.left, box.right)).tolist())

    def sampled(self, maps: Scores, box: Box) -> Scores:
        """Return maps (C, H, W) of a box, sampled bilinearly, edges repeated: (C, h, w)."""
        height, width = maps.shape[1:]
        rows, down = _between(self._y, box.top, box.height, height)
        columns, across = _between(self._x, box.left, box.width, width)
        first = maps[:, rows]
        first += down[:, None] * (maps[:, rows + 1] - first)  # (C, h, W)
        left = first[:, :, columns]
        return np.asarray(left + across * (first[:, :, columns + 1] - left))


def _between(
    places: npt.NDArray[np.floating], start: float, side: float, count: int
) -> tuple[npt.NDArray[np.intp], Scores]:
    """Return the pixels before places, and how far towards the next ones these lie, 0 to 1."""
    among = np.clip((places - start) * (count / side) - 0.5, 0, count - 1)
    before = np.minimum(among.astype(np.intp), max(count - 2, 0))
    return before, (among - before).astype(np.float32)


def _softmax(scores: Tensor, rules: Rules) -> Tensor:
    return (scores / rules.temperature).softmax(dim=0)


def _weighted(weight: float, of_parts: Mapping[int, tuple[Bools, Scores, Bools]]) -> Sums:
    """Return sums over pixels of a weight.

    Args:
        weight: Pixels of the frame that each stands for.
        of_parts: By class id: where its label is, its probability, and what to count, all (h, w).
    """
    area, inside, total = np.zeros((3, len(FACE_CLASSES)))
    for class_id, (is_class, of_class, counted) in of_parts.items():
        part = class_id - 1
        area[part] = weight * np.count_nonzero(is_class)
        inside[part] = weight * float(of_class[is_class].sum())
        total[part] = weight * float(of_class[counted].sum())
    return Sums(area, inside, total)


def _whole(frame: Frame) -> Box:
    return Box(0.0, 0.0, *frame.view.size[::-1])
