"""Assignment of detections to the faces known, by place, size and looks."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from facemask.boxes import FACE_CROP_SCALE, overlap
from facemask.tracking.detection import Detection
from facemask.tracking.flow import SmallFrame
from facemask.tracking.looks import Look, is_strange, look_of
from facemask.tracking.track import LARGEST_JUMP, Track
from facemask.turned import TurnedBox

COVERED: Final = 0.05
"""IoU of two crops from which one face may hide part of the other."""
FARTHEST: Final = 0.6
"""How far a detection may be from its face, in crop sides."""
FARTHER_PER_FRAME: Final = 0.04
"""What a hidden face may have moved more per frame, in crop sides."""
CROWDED: Final = 0.2
"""IoU of two crops from which one face may hide so much of the other that it is not found, nor its
flow its own."""
NEVER: Final = 1e6


class Sight(NamedTuple):
    """Detections of a frame, and whose they are.

    Attributes:
        found: The detections.
        looks: The look of each.
        pairs: Index of the detection by index of the track.
    """

    found: Sequence[Detection]
    looks: Sequence[Look]
    pairs: dict[int, int]

    @classmethod
    def of(cls, tracks: Sequence[Track], found: Sequence[Detection], frame: SmallFrame) -> "Sight":
        """Assign the detections of a frame to tracks."""
        looks = [look_of(frame, turned_box(face)) for face in found]
        return cls(found, looks, match(tracks, found, looks))

    @property
    def rest(self) -> list[Detection]:
        """Detections that belong to no track, the largest first."""
        matched = set(self.pairs.values())
        rest = [face for n, face in enumerate(self.found) if n not in matched]
        return sorted(rest, key=lambda face: -face.box.side)


def turned_box(face: Detection) -> TurnedBox:
    """Return the box and the roll of a detection."""
    return TurnedBox(face.box, face.roll)


def is_covered(face: Detection, found: Sequence[Detection]) -> bool:
    """Tell if another face may hide part of this one, so that its looks prove nothing."""
    return any(other is not face and overlap(other.box, face.box) > COVERED for other in found)


def is_crowded(track: Track, shown: Sequence[Track]) -> bool:
    """Tell if another face that is shown may hide most of this one."""
    return any(
        other is not track and overlap(track.place.box, other.place.box) > CROWDED
        for other in shown
    )


def is_part_of(face: Detection, track: Track) -> bool:
    """Tell if a detection is part of a larger face, among whose landmarks its centre lies."""
    place = track.place.box
    apart = math.dist(place.center, face.box.center)
    return face.box.side < place.side and apart < 0.5 * place.side / FACE_CROP_SCALE


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
