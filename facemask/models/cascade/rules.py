"""The rules by which scores of a cascade's networks at the same pixels become one mask.

They are those of `docs/cascade.md`.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Crop
from facemask.classes import BACKGROUND, SKIN
from facemask.regions import REGIONS, Region

LEAST = 1e-4
"""Probability below which the primary and a specialist are equally sure that it is not so."""
SPECIALISTS: Final[tuple[Region, ...]] = ("eyes", "mouth")
"""Regions that have networks of their own."""


class Pasted(NamedTuple):
    """A specialist's scores at pixels of a frame, or of a part of it.

    Attributes:
        region: "eyes" or "mouth".
        scores: (C, h, w), floating point.
        crop: The pixels.
        inside: Which of them lie in the specialist's box, bool (h, w); None where all do.
    """

    region: Region
    scores: Tensor
    crop: Crop
    inside: Tensor | None


class Rules(NamedTuple):
    """The rules by which scores of one frame, or of a part of it, become a mask.

    Attributes:
        temperature: What scores are divided by before the softmax.
        primary_weight: Weight of the primary's probabilities inside the boxes.
    """

    temperature: float
    primary_weight: float

    def decide(
        self,
        scores: Tensor,
        in_face: Tensor | None,
        zooms: Sequence[Pasted],
        asked: Collection[Region],
        with_probabilities: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return class ids, uint8 (h, w), and on request probabilities, float32 (5, h, w).

        Args:
            scores: The primary's at these pixels, (5, h, w).
            in_face: Whether a pixel lies in the face's box, bool (h, w); None without a face.
            zooms: What specialists found here.
            asked: Regions whose specialist was asked, here or elsewhere in the frame.
            with_probabilities: Whether to compute the second result.
        """
        labels = primary = first_argmax(scores)[1][0].byte()  # (h, w)
        probabilities = None
        if with_probabilities or (zooms and self.primary_weight):
            probabilities = (scores / self.temperature).softmax(dim=0)
        if in_face is not None and asked:
            known = _Known(primary, probabilities, self.primary_weight, in_face, self.temperature)
            claims = [_claim(region, zooms, region in asked, known) for region in SPECIALISTS]
            labels = _resolve(primary, plain_labels(scores, in_face), *claims)
            if with_probabilities and probabilities is not None:
                for claim in claims:
                    _combine(probabilities, claim, in_face)
        if not with_probabilities or probabilities is None:
            return labels, None
        return labels, _agree(probabilities, labels)


def plain_labels(scores: Tensor, in_face: Tensor) -> Tensor:
    """Return what pixels are that are neither eye nor mouth: skin in the face's box, else or not.

    Args:
        scores: The primary's, (5, ...).
        in_face: Whether a pixel lies in the face's box, bool (...).
    """
    return ((scores[SKIN] > scores[BACKGROUND]) | in_face).to(torch.uint8) * SKIN


class _Known(NamedTuple):
    """Facts known of a frame at some pixels before its specialists are heard.

    Attributes:
        primary: The primary's class ids, uint8 (h, w).
        probabilities: Its probabilities of the five classes, (5, h, w); None where they have no
            weight.
        weight: Their weight against those of a region's own network.
        in_face: Whether a pixel lies in the face's box, bool (h, w).
        temperature: What scores are divided by before the softmax.
    """

    primary: Tensor
    probabilities: Tensor | None
    weight: float
    in_face: Tensor
    temperature: float


class _Claim(NamedTuple):
    """Pixels that a region's own network calls the region's.

    Attributes:
        classes: The face's class ids of the region's classes, background first.
        primary: Where the primary says so, bool (h, w).
        claimed: Where the network that decides says so, bool (h, w).
        labels: The face's class id there, uint8 (h, w).
        probabilities: Of the region's own classes, (C, h, w), 1 for background outside the boxes;
            None where the primary decides.
    """

    classes: tuple[int, ...]
    primary: Tensor
    claimed: Tensor
    labels: Tensor
    probabilities: Tensor | None


def _claim(region: Region, zooms: Sequence[Pasted], asked: bool, known: _Known) -> _Claim:
    """Return what a region's specialist claims, or the primary where it was not asked."""
    primary, classes = known.primary, REGIONS[region].classes
    own = primary == classes[1]
    for class_id in classes[2:]:
        own |= primary == class_id
    if not asked:
        return _Claim(classes, own, own, primary, None)
    ids = torch.zeros_like(primary)
    probabilities = torch.zeros(len(classes), *primary.shape, device=primary.device)
    probabilities[0] = 1
    for zoom in zooms:
        if zoom.region != region:
            continue
        rows, columns = zoom.crop.pixels
        decided = zoom.scores
        new = (decided / known.temperature).softmax(dim=0)
        if known.weight and known.probabilities is not None:
            of_primary = known.probabilities[list(classes[1:]), rows, columns]
            decided = new = mixed(new, of_primary, known.weight)
        # where two boxes overlap, the one that is surer to see the region
        surer = known.in_face[rows, columns] & (new[0] < probabilities[0, rows, columns])
        surer = surer if zoom.inside is None else surer & zoom.inside
        # of the scores, where they decide: the softmax may round ties together
        new_ids = first_argmax(decided)[1][0].to(ids.dtype)
        ids[rows, columns] = torch.where(surer, new_ids, ids[rows, columns])
        probabilities[:, rows, columns] = torch.where(surer, new, probabilities[:, rows, columns])
    labels = torch.zeros_like(ids)
    for i, class_id in enumerate(classes[1:], start=1):
        labels += (ids == i) * ids.new_tensor(class_id)  # faster than a look-up
    return _Claim(classes, own, ids > 0, labels, probabilities)


def mixed(own: Tensor, of_primary: Tensor, weight: float) -> Tensor:
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
