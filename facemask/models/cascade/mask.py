"""Masks of frames: labels and their confidence, quickly; probabilities where they are asked for.

Scores between the network's own pixels are weighted means of those at the pixels. So where a class
is the best one at all of these, it is in between; only pixels of the frame near a border of two
classes have to be looked at, and those where eyes or a mouth may be.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Box, Crop, enclosing
from facemask.classes import BACKGROUND, SKIN
from facemask.confidence import Floats, expected_ious
from facemask.models.cascade.rules import SPECIALISTS, Pasted, Rules, plain_labels
from facemask.models.cascade.stitch import Frame, Zoom, asked_regions, stitch_everywhere
from facemask.models.cascade.sums import nodes, of_region_elsewhere, of_skin, sums_of
from facemask.regions import REGIONS
from facemask.sampled import Sampled

Bytes: TypeAlias = npt.NDArray[np.uint8]

_OPEN: Final = 255
"""In a map of labels: not the same at all pixels of the network around."""
_SURE: Final = math.log(0.95 / 0.05)
"""Difference of scores, in units of the temperature, from which a network is sure that there is no
eye or mouth."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Mask of one frame.

    Attributes:
        frame: What the networks found.
        rules: The rules by which that became a mask.
        labels: Class ids, uint8 (H, W).
        expected: `expected_ious` of skin, eyes, lips and inner mouth, float64 (4,).
    """

    frame: Frame
    rules: Rules
    labels: Tensor
    expected: Floats

    def probabilities(self) -> Tensor:
        """Compute the classes' probabilities, float32 (5, H, W), whose arg-max the labels are."""
        return stitch_everywhere(self.frame, self.rules, True)[1]


def make_mask(frame: Frame, rules: Rules) -> Mask:
    """Put one frame's mask together without probabilities where they are not needed.

    Labels are those of `stitch`. So is what confidence follows from, for eyes and mouth; of skin it
    is summed up over the network's own pixels, which is the same to some thousandths.

    Args:
        frame: What the networks found.
        rules: The rules.
    """
    labels = expected = None
    on_cpu = frame.scores.device.type == "cpu"
    if on_cpu and frame.face is not None and len(asked_regions(frame)) == len(SPECIALISTS):
        labels, expected = _Pasting(frame, frame.face, rules).result()
    if labels is None or expected is None:
        labels, probabilities = stitch_everywhere(frame, rules, True)
        expected = expected_ious(labels.cpu().numpy(), probabilities.cpu().numpy())
    return Mask(frame, rules, labels, expected)


class _Pasting:
    """One frame's mask, put together where that is needed."""

    def __init__(self, frame: Frame, face: Box, rules: Rules) -> None:
        self._frame, self._view, self._face, self._rules = frame, frame.view, face, rules
        self._primary = frame.view.sampled(frame.scores)
        self._whole = Box(0.0, 0.0, *frame.view.size[::-1])
        self._height, self._width = frame.view.pixels.shape[-2:]

    def result(self) -> tuple[Tensor | None, Floats | None]:
        """Return labels and `expected_ious`; None for both where this way does not lead to them."""
        frame, view = self._frame, self._view
        own_labels = first_argmax(frame.scores)[1][0].byte().numpy()  # (S, S)
        labels = torch.from_numpy(self._cells(own_labels))
        zooms = [
            (zoom, box, view.sampled(zoom.scores, zoom.box))
            for zoom in frame.zooms
            if (box := self._part_to_decide(zoom)) is not None
        ]
        windows = [self._pixels_of(box, sampled) for _, box, sampled in zooms]
        for window in windows:
            labels[window.pixels] = BACKGROUND
        rows, columns = (labels == _OPEN).nonzero(as_tuple=True)
        near = self._near_borders(rows, columns)
        if near is None:
            return None, None
        labels[rows, columns] = near
        sums = of_skin(frame, self._rules, [box for _, box, _ in zooms], own_labels)
        for n, ((_, box, _), window) in enumerate(zip(zooms, windows, strict=True)):
            pasted = [
                part for zoom, _, sampled in zooms if (part := self._pasted(zoom, sampled, window))
            ]
            here, probabilities = self._rules.decide(
                self._primary.at(window),
                view.inside(self._face, window),
                pasted,
                SPECIALISTS,
                True,
            )
            assert probabilities is not None
            counted = view.inside(box, window)
            if view.is_turned:
                seen = view.inside(self._whole, window)
                here, counted = here * seen.view(torch.uint8), counted & seen
            for _, earlier, _ in zooms[:n]:
                counted &= ~view.inside(earlier, window)
            labels[window.pixels] = here
            sums = sums.plus(sums_of(here, probabilities, counted))
        for zoom, box, _ in zooms:
            sums = sums.plus(of_region_elsewhere(frame, self._rules, zoom, box))
        if view.is_turned and _touches_border(own_labels):
            labels *= view.inside(self._whole).view(torch.uint8)
        return labels, sums.ious()

    def _cells(self, own_labels: Bytes) -> Bytes:
        """Return skin and background where it is sure at the frame's pixels, `_OPEN` elsewhere.

        Args:
            own_labels: The primary's at its own pixels, (S, S).
        """
        size = own_labels.shape[0]
        padded = cv2.copyMakeBorder(own_labels, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        # of the four pixels around a place, and one more on each side, as places are rounded
        around = np.ones((4, 4), dtype=np.uint8)
        least = cv2.erode(padded, around, anchor=(1, 1))
        most = cv2.dilate(padded, around, anchor=(1, 1))
        least[(least != most) | (most > SKIN)] = _OPEN
        corners = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])  # the first pixels' centres
        upright = self._view.place.to_upright(corners)
        first, right, below = upright * (size / np.array(self._view.size[::-1]))
        matrix = np.stack([right - first, below - first, first], axis=1)
        return np.asarray(
            cv2.warpAffine(
                least,
                matrix,
                (self._width, self._height),
                flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            dtype=np.uint8,
        )

    def _near_borders(self, rows: Tensor, columns: Tensor) -> Tensor | None:
        """Return labels of pixels outside the windows; None where a specialist must be heard."""
        scores = self._primary.at_points(rows, columns)  # (5, n)
        labels = first_argmax(scores[:, None])[1][0, 0].byte()
        stray = (labels > SKIN).nonzero()[:, 0]
        if len(stray):
            rows, columns = rows[stray], columns[stray]
            for zoom in self._frame.zooms:
                if self._view.points_inside(zoom.box, rows, columns).any():
                    return None
            in_face = self._view.points_inside(self._face, rows, columns)
            labels[stray] = plain_labels(scores[:, stray], in_face)
        return labels

    def _part_to_decide(self, zoom: Zoom) -> Box | None:
        """Return the part of a specialist's box where one of two networks is not sure of nothing.

        It is in upright coordinates, in pixels; None if there is none.
        """
        least = _SURE * self._rules.temperature
        scores, box = zoom.scores, zoom.box
        shrinks = max(1.0, scores.shape[-1] / min(box.width, box.height))
        parts = [_extent(scores[0] - scores[1:].amax(dim=0) < least, box, 2 + math.ceil(shrinks))]
        primary = self._frame.scores  # (5, S, S)
        size = primary.shape[-1]
        rows, columns = nodes(box, self._whole, size)
        seen = primary[:, rows, columns]
        if seen.numel():
            own = list(REGIONS[zoom.region].classes[1:])
            others = [n for n in range(len(seen)) if n not in own]
            unsure = seen[others].amax(dim=0) - seen[own].amax(dim=0) < least
            across, down = self._whole.width / size, self._whole.height / size
            there = Box(columns.start, rows.start, columns.stop, rows.stop).scaled(across, down)
            parts.append(_extent(unsure, there, 3))
        part = enclosing([part for part in parts if part is not None])
        if part is None:
            return None
        left, top = max(part.left, box.left), max(part.top, box.top)
        right, bottom = min(part.right, box.right), min(part.bottom, box.bottom)
        return Box(left, top, right, bottom) if left < right and top < bottom else None

    def _pixels_of(self, box: Box, sampled: Sampled) -> Crop:
        bounds = self._view.place.part(box).bounds.covering(self._height, self._width)
        return bounds.intersection(sampled.crop)

    def _pasted(self, zoom: Zoom, sampled: Sampled, window: Crop) -> Pasted | None:
        part = sampled.crop.intersection(window)
        if not part.width or not part.height:
            return None
        inside = self._view.inside(zoom.box, part) if self._view.is_turned else None
        shifted = part.shifted(-window.left, -window.top)
        return Pasted(zoom.region, sampled.at(part), shifted, inside)


def _extent(mask: Tensor, box: Box, room: int) -> Box | None:
    """Return where a mask (h, w) of a box has something, with some of its pixels around."""
    left, top, width, height = cv2.boundingRect(mask.numpy().view(np.uint8))
    if width == 0:
        return None
    across, down = box.width / mask.shape[1], box.height / mask.shape[0]
    found = Box(left - room, top - room, left + width + room, top + height + room)
    return found.scaled(across, down).shifted(box.left, box.top)


def _touches_border(labels: Bytes) -> bool:
    """Tell if there is a face within two pixels of a map's border."""
    inner = labels[2:-2, 2:-2]
    return bool(np.count_nonzero(labels) > np.count_nonzero(inner))
