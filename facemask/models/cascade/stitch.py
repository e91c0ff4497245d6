"""The masks of a cascade's networks put together, at a frame's original size.

The rules are those of `docs/cascade.md`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Box
from facemask.classes import BACKGROUND, SKIN
from facemask.models.cascade.zoom import enclosed_background
from facemask.regions import REGIONS, Region
from facemask.views import View

LEAST = 1e-4
"""Probability below which the primary and a specialist are equally sure that it is not so."""


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
    """

    scores: Tensor
    view: View
    face: Box | None
    zooms: Sequence[Zoom]


class _Known(NamedTuple):
    """Facts known of a frame before its specialists are heard.

    Attributes:
        view: The frame.
        primary: The primary's class ids, uint8 (H, W).
        probabilities: Its probabilities of the five classes, (5, H, W); None where they have no
            weight.
        weight: Their weight against those of a region's own network.
        in_face: Whether a pixel lies in the face's box, bool (H, W).
        temperature: What scores are divided by before the softmax.
    """

    view: View
    primary: Tensor
    probabilities: Tensor | None
    weight: float
    in_face: Tensor
    temperature: float


class _Claim(NamedTuple):
    """Pixels that a region's own network calls the region's.

    Attributes:
        classes: The face's class ids of the region's classes, background first.
        primary: Where the primary says so, bool (H, W).
        claimed: Where the network that decides says so, bool (H, W).
        labels: The face's class id there, uint8 (H, W).
        probabilities: Of the region's own classes, (C, H, W), 1 for background outside the boxes;
            None where the primary decides.
    """

    classes: tuple[int, ...]
    primary: Tensor
    claimed: Tensor
    labels: Tensor
    probabilities: Tensor | None


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
    view = frame.view
    scores = view.scores(frame.scores)  # (5, H, W)
    labels = primary = first_argmax(scores)[1][0].byte()  # (H, W)
    zoomed = frame.face is not None and len(frame.zooms) > 0
    probabilities = None
    if with_probabilities or (zoomed and primary_weight):
        probabilities = (scores / temperature).softmax(dim=0)
    claims: list[_Claim] = []
    if frame.face is not None and zoomed:
        in_face = view.inside(frame.face)
        known = _Known(view, primary, probabilities, primary_weight, in_face, temperature)
        claims = [_claim(region, frame.zooms, known) for region in ("eyes", "mouth")]
        # what a pixel is that is neither eye nor mouth: skin in the face's box, else skin or not
        plain = ((scores[SKIN] > scores[BACKGROUND]) | in_face).to(torch.uint8) * SKIN
        labels = _resolve(primary, plain, *claims)
        if with_probabilities and probabilities is not None:
            for claim in claims:
                _combine(probabilities, claim, in_face)
    if with_probabilities and probabilities is not None:
        probabilities = _agree(probabilities, labels)
    if view.is_turned:
        outside = ~view.inside(Box(0.0, 0.0, *view.size[::-1]))
        labels[outside] = BACKGROUND
        if probabilities is not None:
            probabilities[:, outside] = 0
            probabilities[BACKGROUND, outside] = 1
    return labels, probabilities if with_probabilities else None


def _claim(region: Region, zooms: Sequence[Zoom], known: _Known) -> _Claim:
    """Return what a region's specialist claims, or the primary where it was not asked."""
    primary, classes = known.primary, REGIONS[region].classes
    own = primary == classes[1]
    for class_id in classes[2:]:
        own |= primary == class_id
    zooms = [zoom for zoom in zooms if zoom.region == region]
    if not zooms:
        return _Claim(classes, own, own, primary, None)
    ids = torch.zeros_like(primary)
    probabilities = torch.zeros(len(classes), *primary.shape, device=primary.device)
    probabilities[0] = 1
    for zoom in zooms:
        decided, (rows, columns), inside = known.view.paste(zoom.scores, zoom.box)
        new = (decided / known.temperature).softmax(dim=0)
        if known.weight and known.probabilities is not None:
            of_primary = known.probabilities[list(classes[1:]), rows, columns]
            decided = new = _mixed(new, of_primary, known.weight)
        # where two boxes overlap, the one that is surer to see the region
        surer = known.in_face[rows, columns] & (new[0] < probabilities[0, rows, columns])
        surer = surer if inside is None else surer & inside
        # of the scores, where they decide: the softmax may round ties together
        new_ids = first_argmax(decided)[1][0].to(ids.dtype)
        ids[rows, columns] = torch.where(surer, new_ids, ids[rows, columns])
        probabilities[:, rows, columns] = torch.where(surer, new, probabilities[:, rows, columns])
    labels = torch.zeros_like(ids)
    for i, class_id in enumerate(classes[1:], start=1):
        labels += (ids == i) * ids.new_tensor(class_id)  # faster than a look-up
    return _Claim(classes, own, ids > 0, labels, probabilities)


def _mixed(own: Tensor, of_primary: Tensor, weight: float) -> Tensor:
    """Return the weighted geometric mean of a specialist's and the primary's probabilities.

    What one of the two calls impossible is improbable then, and where one is unsure the other
    decides.

    Args:
        own: The specialist's, (C, h, w), background first.
        of_primary: The primary's of the same classes, without background, (C - 1, h, w).
        weight: The primary's.
    """
    of_primary = torch.cat([1 - of_primary.sum(dim=0, keepdim=True), of_primary])
    return torch.lerp((own + LEAST).log(), (of_primary + LEAST).log(), weight).softmax(dim=0)


def _resolve(primary: Tensor, plain: Tensor, eyes: _Claim, mouth: _Claim) -> Tensor:
    """Return the final labels; where both regions claim a pixel, the primary's class decides."""
    mouth_wins = mouth.primary
    if eyes.probabilities is not None and mouth.probabilities is not None:
        surer = mouth.probabilities[1:].amax(dim=0) > eyes.probabilities[1]
        mouth_wins = mouth_wins | (surer & ~eyes.primary)
    labels = torch.where(eyes.primary | mouth.primary, plain, primary)
    labels = torch.where(eyes.claimed & ~(mouth.claimed & mouth_wins), eyes.labels, labels)
    return torch.where(mouth.claimed & (mouth_wins | ~eyes.claimed), mouth.labels, labels)


def _combine(probabilities: Tensor, claim: _Claim, in_face: Tensor) -> None:
    """Take the probabilities of a region's classes from its specialist, in place.

    What the specialist leaves to its background goes to the other classes, in the proportions that
    the primary gives them; what the primary gave to the region's classes counts as skin where the
    label becomes skin.
    """
    if claim.probabilities is None:
        return
    own = claim.classes[1:]
    becomes_skin = claim.primary & in_face
    lost = torch.zeros_like(probabilities[0])
    for class_id in own:
        lost += probabilities[class_id]
        probabilities[class_id] = 0
    probabilities[SKIN] += lost * becomes_skin
    total = probabilities.sum(dim=0)
    nothing = total < 1e-12  # the primary was sure of the region
    probabilities[SKIN] += nothing
    probabilities *= claim.probabilities[0] / (total + nothing)
    for class_id, of_class in zip(own, claim.probabilities[1:], strict=True):
        probabilities[class_id] = of_class


def _agree(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Raise, in place, a label's probability just above the largest where the rules chose another.

    Args:
        probabilities: (5, H, W), sum 1.
        labels: (H, W).
    """
    best, index = first_argmax(probabilities)
    rows, columns = (index[0] != labels).nonzero(as_tuple=True)  # a few pixels, or none
    if len(rows):
        here = probabilities[:, rows, columns]  # (5, n)
        chosen = labels[None, rows, columns].long()
        here = here.scatter(0, chosen, 1.001 * best[:, rows, columns])
        probabilities[:, rows, columns] = here / here.sum(dim=0, keepdim=True)
    return probabilities
