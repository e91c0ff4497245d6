"""The masks of a cascade's networks put together, at a frame's original size.

The rules are those of `docs/cascade.md`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Box, Crop
from facemask.classes import BACKGROUND
from facemask.models.cascade.rules import Pasted, Rules
from facemask.models.cascade.zoom import enclosed_background
from facemask.regions import Region
from facemask.views import View


class Zoom(NamedTuple):
    """Scores of a specialist in one box of one frame.

    Attributes:
        region: "eyes" or "mouth".
        box: The box in pixels of the upright view.
        scores: (C, S, S) of the region's own classes, floating point.
    """

    region: Region
    box: Box
    scores: Tensor


class Frame(NamedTuple):
    """Scores of one frame, to be put together.

    Attributes:
        scores: The primary's, (5, S, S), floating point.
        view: The frame.
        face: The face's box in pixels of the upright view; None without a face, and then no zooms.
        zooms: What specialists found. A region without one keeps the primary's mask.
        labels: The primary's labels at its own pixels, uint8 (S, S), where they are known.
    """

    scores: Tensor
    view: View
    face: Box | None
    zooms: Sequence[Zoom]
    labels: npt.NDArray[np.uint8] | None = None


def fill_holes(scores: Tensor) -> Tensor:
    """Give background that eyes or lips enclose to the best class beside background.

    The two scores change places, so that the hole is as sure of that class as it was of
    background. No truth has such holes, and they would show skin inside a mouth.

    Args:
        scores: Of a region's own classes, (N, C, S, S), background first.

    Returns:
        The same scores where there is no hole.
    """
    labels = first_argmax(scores)[1][:, 0].byte().cpu().numpy()  # (N, S, S)
    filled = scores
    for n, frame in enumerate(labels):
        holes = enclosed_background(frame)
        if not holes.any():
            continue
        if filled is scores:
            filled = scores.clone()
        inside = torch.from_numpy(holes).to(scores.device)  # (S, S)
        best, index = scores[n, 1:].max(dim=0, keepdim=True)  # (1, S, S)
        swapped = scores[n].scatter(0, index + 1, scores[n, :1])
        swapped[:1] = best
        filled[n] = torch.where(inside, swapped, scores[n])
    return filled


def stitch(
    frame: Frame, temperature: float, with_probabilities: bool, primary_weight: float = 0.0
) -> tuple[Tensor, Tensor | None]:
    """Put one frame's mask together.

    Args:
        frame: What the networks found.
        temperature: What scores are divided by before the softmax.
        with_probabilities: Whether to compute the second result.
        primary_weight: Weight of the primary's probabilities inside the boxes.

    Returns:
        Class ids uint8 (H, W); probabilities float32 (5, H, W) whose arg-max they are, or None.
    """
    labels, probabilities = stitch_everywhere(
        frame, Rules(temperature, primary_weight), with_probabilities
    )
    return labels, probabilities if with_probabilities else None


def asked_regions(frame: Frame) -> set[Region]:
    """Return the regions whose specialist saw a frame."""
    return {zoom.region for zoom in frame.zooms}


def stitch_everywhere(
    frame: Frame, rules: Rules, with_probabilities: bool
) -> tuple[Tensor, Tensor]:
    """Return labels (H, W), and probabilities (5, H, W), empty unless they are asked for."""
    view = frame.view
    scores = view.scores(frame.scores)  # (5, H, W)
    in_face = None if frame.face is None else view.inside(frame.face)
    pasted = [] if frame.face is None else [paste(view, zoom) for zoom in frame.zooms]
    labels, probabilities = rules.decide(
        scores, in_face, pasted, asked_regions(frame), with_probabilities
    )
    if view.is_turned:
        outside = ~view.inside(Box(0.0, 0.0, *view.size[::-1]))
        labels[outside] = BACKGROUND
        if probabilities is not None:
            probabilities[:, outside] = 0
            probabilities[BACKGROUND, outside] = 1
    return labels, scores.new_empty(0) if probabilities is None else probabilities


def paste(view: View, zoom: Zoom) -> Pasted:
    """Return a specialist's scores at the frame's pixels around its box."""
    scores, (rows, columns), inside = view.paste(zoom.scores, zoom.box)
    crop = Crop(columns.start, rows.start, columns.stop, rows.stop)
    return Pasted(zoom.region, scores, crop, inside)
