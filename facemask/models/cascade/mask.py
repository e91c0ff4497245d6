"""Masks of frames: labels and their confidence, quickly; probabilities where they are asked for.

Most pixels' labels follow from those of the networks' own pixels around (`settled`); scores are
sampled at the others, near a border of two classes or where two networks disagree.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Box, Crop
from facemask.classes import NUM_CLASSES, SKIN
from facemask.confidence import Floats, expected_ious
from facemask.models.cascade import settled
from facemask.models.cascade.rules import SPECIALISTS, Pasted, Rules, plain_labels
from facemask.models.cascade.settled import OPEN
from facemask.models.cascade.stitch import Frame, Zoom, asked_regions, stitch_everywhere
from facemask.models.cascade.sums import Seen, sums_of
from facemask.regions import REGIONS
from facemask.sampled import Sampled, Straight

Bytes: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]

FEW: Final = 32_000
"""Pixels below which scores at all of them take no longer, where the face is not turned."""
FEW_TURNED: Final = 16_000
"""The same where it is turned (`benchmarks/pasting.py`)."""


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

    Labels are those of `stitch`. What confidence follows from is summed up over some of the
    networks' own pixels rather than the frame's, but for small faces, which is the same to about a
    hundredth.

    Args:
        frame: What the networks found.
        rules: The rules.
    """
    view = frame.view
    height, width = view.pixels.shape[-2:]
    on_cpu = frame.scores.device.type == "cpu"
    pays = on_cpu and height * width >= (FEW_TURNED if view.is_turned else FEW)
    if pays and frame.face is not None and len(asked_regions(frame)) == len(SPECIALISTS):
        labels, expected = _Pasting(frame, frame.face, rules).result()
        return Mask(frame, rules, torch.from_numpy(labels), expected)
    all_labels, probabilities = stitch_everywhere(frame, rules, True)
    expected = expected_ious(all_labels.cpu().numpy(), probabilities.cpu().numpy())
    return Mask(frame, rules, all_labels, expected)


class _Pasting:
    """One frame's mask, put together where that is needed."""

    def __init__(self, frame: Frame, face: Box, rules: Rules) -> None:
        self._frame, self._view, self._face, self._rules = frame, frame.view, face, rules
        self._whole = Box(0.0, 0.0, *frame.view.size[::-1])
        height, width = frame.view.pixels.shape[-2:]
        self._crop = Crop(0, 0, width, height)
        self._zooms = [(zoom, self._view.sampled(zoom.scores, zoom.box)) for zoom in frame.zooms]
        self._seen = [self._seen_by(zoom, sampled) for zoom, sampled in self._zooms]

    def _seen_by(self, zoom: Zoom, sampled: Sampled) -> Seen:
        classes, maps = REGIONS[zoom.region].classes, sampled.maps
        labels = settled.of_specialist(maps.numpy(), classes, self._rules.temperature)
        is_resized = isinstance(sampled, Straight)
        box = Box(*map(float, sampled.crop)) if is_resized else zoom.box
        return Seen(zoom.region, maps, box, labels)

    def result(self) -> tuple[Bytes, Floats]:
        """Return labels, uint8 (H, W), and `expected_ious`."""
        scores = self._frame.scores
        own_labels = self._frame.labels  # (S, S)
        if own_labels is None:
            own_labels = first_argmax(scores)[1][0].byte().numpy()
        labels = self._settled(own_labels)
        rows, columns = (labels == OPEN).nonzero()
        if len(rows):
            labels[rows, columns] = self._decided(rows, columns)
        if self._view.is_turned and _touches_border(own_labels):
            labels *= self._view.inside(self._whole).numpy().view(np.uint8)
        present = np.array([bool((labels == part).any()) for part in range(SKIN, NUM_CLASSES)])
        sums = sums_of(self._frame, self._rules, own_labels, self._seen)
        return labels, sums.ious(present)

    def _settled(self, own_labels: Bytes) -> Bytes:
        """Return labels, uint8 (H, W), `OPEN` where scores have to be sampled."""
        frame, place, temperature = self._frame, self._view.place, self._rules.temperature
        known = settled.of_primary(frame.scores.float().numpy(), own_labels, temperature)
        of_primary = settled.at_pixels(known, self._whole, place, self._crop)
        # eyes and mouth are settled only by a specialist that says the same
        labels = np.where(of_primary > SKIN, np.uint8(OPEN), of_primary)
        for (_, sampled), seen in zip(self._zooms, self._seen, strict=True):
            if not seen.labels.size:
                continue
            of_zoom = self._at_pixels(seen, sampled)
            before, here = of_primary[sampled.crop.pixels], labels[sampled.crop.pixels]
            np.copyto(here, np.where(of_zoom == before, of_zoom, np.uint8(OPEN)), where=of_zoom > 0)
        return labels

    def _at_pixels(self, seen: Seen, sampled: Sampled) -> Bytes:
        """Return what a specialist says for sure at the pixels around its box, uint8 (h, w)."""
        is_resized = isinstance(sampled, Straight)
        known = settled.only_inside(seen.labels, seen.box, self._face, 1 if is_resized else 2)
        if is_resized:
            return known
        return settled.at_pixels(known, seen.box, self._view.place, sampled.crop)

    def _decided(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Bytes:
        """Return the labels of n pixels in the order of rows, uint8 (n,), by the scores there."""
        view = self._view
        x, y = view.upright_points(rows, columns)
        in_face = _in_box(self._face, x, y)
        heard = [_in_box(zoom.box, x, y) & in_face for zoom, _ in self._zooms]
        primary = view.sampled(self._frame.scores)
        scores = primary.at_points(torch.from_numpy(rows), torch.from_numpy(columns))  # (5, n)
        best = scores[:, None]
        labels = first_argmax(best)[1][0, 0].byte().numpy()
        unheard = labels > SKIN
        for where in heard:
            unheard &= ~where
        if unheard.any():
            stray = torch.from_numpy(unheard)
            of_face = torch.from_numpy(in_face)[stray]
            labels[unheard] = plain_labels(scores[:, stray], of_face).numpy()
        anywhere = np.logical_or.reduce(heard) if heard else np.zeros_like(in_face)
        asked = np.flatnonzero(anywhere)
        if len(asked):
            pasted = [
                self._pasted(zoom, sampled, where[asked], rows[asked], columns[asked])
                for (zoom, sampled), where in zip(self._zooms, heard, strict=True)
            ]
            decided, _ = self._rules.decide(
                scores[:, None, torch.from_numpy(asked)],
                torch.from_numpy(in_face[asked])[None],
                [part for part in pasted if part is not None],
                SPECIALISTS,
                False,
            )
            labels[asked] = decided[0].numpy()
        if view.is_turned:
            labels *= _in_box(self._whole, x, y).view(np.uint8)
        return labels

    @staticmethod
    def _pasted(
        zoom: Zoom,
        sampled: Sampled,
        heard: Bools,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
    ) -> Pasted | None:
        """Return a specialist's scores at n pixels, as a row of those from the first heard on."""
        where = np.flatnonzero(heard)
        if not len(where):
            return None
        first, end = int(where[0]), int(where[-1]) + 1
        crop = sampled.crop
        rows = np.clip(rows[first:end], crop.top, crop.bottom - 1)
        columns = np.clip(columns[first:end], crop.left, crop.right - 1)
        scores = sampled.at_points(torch.from_numpy(rows), torch.from_numpy(columns))
        inside = torch.from_numpy(heard[first:end])[None]
        return Pasted(zoom.region, scores[:, None], Crop(first, 0, end, 1), inside)


def _in_box(box: Box, x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> Bools:
    return (x >= box.left) & (x < box.right) & (y >= box.top) & (y < box.bottom)


def _touches_border(labels: Bytes) -> bool:
    """Tell if there is a face within two pixels of a map's border."""
    inner = labels[2:-2, 2:-2]
    return bool(np.count_nonzero(labels) > np.count_nonzero(inner))
