"""Assignment of detections to the faces known, by place, size and looks."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from facemask.boxes import overlap
from facemask.tracking.detection import Detection
from facemask.tracking.looks import Look, is_strange
from facemask.tracking.track import LARGEST_JUMP, Track

COVERED: Final = 0.05
"""IoU of two crops from which one face may hide part of the other."""
FARTHEST: Final = 0.6
"""How far a detection may be from its face, in crop sides."""
FARTHER_PER_FRAME: Final = 0.04
"""What a hidden face may have moved more per frame, in crop sides."""
NEVER: Final = 1e6


def is_covered(face: Detection, found: Sequence[Detection]) -> bool:
    """Tell if another face may hide part of this one, so that its looks prove nothing."""
    return any(other is not face and overlap(other.box, face.box) > COVERED for other in found)


def match(
    tracks: Sequence[Track], found: Sequence[Detection], looks: Sequence[Look]
) -> dict[int, int]:
    """Assign detections to tracks so that the sum of their differences is least.

    Args:
        tracks: The faces known.
        found: The detections.
        looks: The look of each detection.

    Returns:
        Index of the detection by index of the track; those without a partner are left out.
    """
    if not tracks or not found:
        return {}
    from scipy.optimize import linear_sum_assignment  # import takes half a second

    covered = [is_covered(face, found) for face in found]
    costs = np.array(
        [
            [_cost(track, *seen) for seen in zip(found, looks, covered, strict=True)]
            for track in tracks
        ]
    )
    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if costs[row, column] < NEVER}


def _cost(track: Track, face: Detection, look: Look, covered: bool) -> float:
    place = track.place.box
    apart = math.dist(place.center, face.box.center) / max(place.side, face.box.side, 1.0)
    growth = abs(math.log(max(face.box.side, 1.0) / max(place.side, 1.0)))
    if apart > FARTHEST + FARTHER_PER_FRAME * track.hidden or growth > math.log(LARGEST_JUMP):
        return NEVER
    if not track.visible and not covered and is_strange(track.look, look):
        return NEVER
    return apart + growth + 1 - float(track.look @ look)
