"""Pixels of a frame whose label is certain without sampling any scores there.

Scores between the network's own pixels are weighted means of those at the pixels. So where a class
is the best one at all of these, it is in between; and what two networks say alike at all of theirs,
their weighted mean says, too.
"""

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, Crop
from facemask.classes import SKIN
from facemask.turned import TurnedBox

Bytes: TypeAlias = npt.NDArray[np.uint8]
Scores: TypeAlias = npt.NDArray[np.float32]

OPEN: Final = 255
"""In a map of labels: not settled."""
_NEARLY: Final = 1e-3
"""Difference of two probabilities, or of their logarithms, that rounding does not change."""


def of_primary(scores: Scores, labels: Bytes, temperature: float) -> Bytes:
    """Return the primary's labels, uint8 (S, S), and `OPEN` for eyes and mouth where it is unsure.

    It is sure from a probability of 1/2 on: no other class, and not all others together, have more.

    Args:
        scores: The primary's, (5, S, S).
        labels: Its labels, uint8 (S, S).
        temperature: What scores are divided by before the softmax.
    """
    settled: Bytes = labels.copy()
    inner = np.flatnonzero(labels > SKIN)
    of_inner = scores.reshape(len(scores), -1)[:, inner]  # (5, n)
    best = of_inner.max(axis=0)
    one_over_best = np.exp((of_inner - best) / temperature).sum(axis=0)
    settled.reshape(-1)[inner[one_over_best > 2 - 4 * _NEARLY]] = OPEN
    return settled


def of_specialist(scores: Scores, classes: tuple[int, ...], temperature: float) -> Bytes:
    """Return a specialist's labels as class ids of the face, uint8 (h, w), `OPEN` where near a tie.

    Args:
        scores: Of the region's own classes, (C, h, w), background first.
        classes: Their ids in the face's mask.
        temperature: What scores are divided by before the softmax.
    """
    settled = np.full(scores.shape[1:], OPEN, dtype=np.uint8)
    least = scores.max(axis=0) - np.float32(_NEARLY * temperature)
    contenders = scores > least
    alone = contenders.sum(axis=0, dtype=np.uint8) == 1
    for contends, class_id in zip(contenders, classes, strict=True):
        settled -= (contends & alone).view(np.uint8) * np.uint8(OPEN - class_id)
    return settled


def only_inside(settled: Bytes, map_box: Box, box: Box, room: int) -> Bytes:
    """Return settled labels, `OPEN` for eyes and mouth near the edges of a box or outside it.

    Args:
        settled: uint8 (h, w).
        map_box: What the map shows.
        box: Where specialists are heard, in the same coordinates.
        room: Pixels of the map, from its own edges and the box's, that count as near.
    """
    height, width = settled.shape
    rows, columns = (
        slice(
            max(room, math.ceil((first - start) * count / side) + room),
            max(0, min(count - room, math.floor((last - start) * count / side) - room)),
        )
        for first, last, start, side, count in (
            (box.top, box.bottom, map_box.top, map_box.height, height),
            (box.left, box.right, map_box.left, map_box.width, width),
        )
    )
    limited = np.where(settled == 0, settled, np.uint8(OPEN))
    limited[rows, columns] = settled[rows, columns]
    return limited


def at_pixels(settled: Bytes, box: Box, place: TurnedBox, crop: Crop) -> Bytes:
    """Return what is settled at pixels of an image, uint8 (h, w), between a map's own pixels, too.

    Args:
        settled: Labels at the map's own pixels.
        box: What the map shows, in upright coordinates.
        place: The upright view in the image.
        crop: The pixels.
    """
    # of the pixels around the nearest one; those around the place itself are among them
    around = np.ones((3, 3), dtype=np.uint8)
    padded = cv2.copyMakeBorder(settled, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    least, most = cv2.erode(padded, around), cv2.dilate(padded, around)
    least[least != most] = OPEN
    height, width = settled.shape
    corners = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])  # the first pixels' centres
    upright = place.to_upright(corners + crop[:2]) - box[:2]
    first, right, below = upright * (width / box.width, height / box.height) + 0.5  # padded
    matrix = np.stack([right - first, below - first, first], axis=1)
    return np.asarray(
        cv2.warpAffine(
            least,
            matrix,
            (crop.width, crop.height),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )
