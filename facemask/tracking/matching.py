"""Which detection is which face: by place, size and looks."""

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from facemask.boxes import Box, overlap
from facemask.tracking.detection import Detection
from facemask.tracking.flow import SmallFrame
from facemask.tracking.track import Track

COVERED: Final = 0.05
"""IoU of two crops from which one face may hide part of the other."""
CROWDED: Final = 0.2
"""The same, from which it may hide so much that the other is not found, nor its flow its own."""
LOOK_SIZE: Final = 8
LOOK_SHARE: Final = 0.6
"""Inner share of the crop that is compared: the face without its background."""
FARTHEST: Final = 0.6
"""How far a detection may be from its face, in crop sides."""
FARTHER_PER_FRAME: Final = 0.04
"""What a hidden face may have moved more per frame, in crop sides."""
LARGEST_GROWTH: Final = 1.8
LEAST_ALIKE: Final = 0.5
"""Correlation of looks; within 30 frames of real videos one face's never fell below 0.66."""
NEVER: Final = 1e6

Look = npt.NDArray[np.float32]


def look_of(frame: SmallFrame, box: Box) -> Look:
    """A face's coarse colour picture as a vector of mean 0 and length 1, float32 (192,)."""
    height, width = frame.colour.shape[:2]
    x, y = box.center
    inner = Box.around(x, y, LOOK_SHARE * box.side).scaled(frame.scale, frame.scale)
    crop = inner.rounded(height, width)
    if crop.width < 1 or crop.height < 1:
        return np.zeros(3 * LOOK_SIZE**2, dtype=np.float32)
    part = frame.colour[crop.pixels]
    small = cv2.resize(part, (LOOK_SIZE, LOOK_SIZE), interpolation=cv2.INTER_AREA)
    vector = np.asarray(small, dtype=np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), dtype=np.float32)


def is_strange(known: Look, seen: Look) -> bool:
    """Whether a picture is hardly that of the face known."""
    return float(known @ seen) < LEAST_ALIKE


def is_covered(face: Detection, found: Sequence[Detection]) -> bool:
    """Whether another face may hide part of this one, so that its looks prove nothing."""
    return any(other is not face and overlap(other.box, face.box) > COVERED for other in found)


def match(
    tracks: Sequence[Track], found: Sequence[Detection], looks: Sequence[Look]
) -> dict[int, int]:
    """Assign detections to tracks so that the sum of their differences is least.

    Args:
        tracks: The faces known.
        found: The detections.
        looks: What each detection looks like.

    Returns:
        Index of the detection by index of the track; those without a partner are left out.
    """
    if not tracks or not found:
        return {}
    costs = np.array(
        [
            [
                _cost(track, face, look, is_covered(face, found))
                for face, look in zip(found, looks, strict=True)
            ]
            for track in tracks
        ]
    )
    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if costs[row, column] < NEVER}


def _cost(track: Track, face: Detection, look: Look, covered: bool) -> float:
    place = track.place
    apart = math.dist(place.center, face.box.center) / max(place.side, face.box.side, 1.0)
    growth = abs(math.log(max(face.box.side, 1.0) / max(place.side, 1.0)))
    if apart > FARTHEST + FARTHER_PER_FRAME * track.hidden or growth > math.log(LARGEST_GROWTH):
        return NEVER
    if not track.visible and not covered and is_strange(track.look, look):
        return NEVER
    return apart + growth + 1 - float(track.look @ look)
