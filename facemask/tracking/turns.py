"""Faces in any direction, found by a detector that knows those that are more or less upright."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import Detection, FaceDetector, Image, best_first, check_image
from facemask.turned import mean_angle, wrapped

RIGHT_ANGLES: Final = (0, 90, 180, 270)

_SAME_FACE: Final = 0.4
"""Share of the smaller crop inside the other one from which on two turns mean one face: a wrong
turn often sees half a face."""
_UPRIGHT: Final = 0.25
"""Power of the cosine of the roll in a turned image, by which a score is weighed there. Over 241
stills turned by 45°, in the median (90th percentile), rolls are off by 4.0° (10.6°) with it, and
without by 4.5° (11.8°); turned by 0 and 90° by 1.4° (3.6°) instead of 2.3° (16.4°)."""
_AS_GOOD: Final = 0.88
"""Share of the best weight from which on turns have a say in the roll: halves the error at 45°."""


class _Seen(NamedTuple):
    """A face of the image, the turn in which it was seen, and how much that is to be trusted."""

    face: Detection
    turn: int
    weight: float


def detect_turned(
    detector: FaceDetector, image: Image, turns: Sequence[int] = RIGHT_ANGLES
) -> list[Detection]:
    """Return the faces that a detector finds in an image and in turned copies of it, best first.

    Turns that see the same face are merged. The one with the best score counts, weighed with how
    upright the face lies in it; turns that are nearly as good have a say in the roll.

    Args:
        detector: Any detector, also one that knows no rolls.
        image: RGB uint8 (H, W, 3).
        turns: Rolls, in degrees, of the faces that stand upright in the copies: whole multiples
            of 90. Each costs a run of the detector.

    Returns:
        One detection a face, its box and roll in the image's own direction.

    Raises:
        InputError: There are no turns, or one is no right angle.
    """
    image = check_image(image)
    if not turns or any(turn % 90 for turn in turns):
        raise InputError(f"the turns are {tuple(turns)}: give multiples of 90 degrees.")
    height, width = image.shape[:2]
    seen = []
    for turn in dict.fromkeys(turn % 360 for turn in turns):
        for face in detector.detect(np.ascontiguousarray(np.rot90(image, turn // 90))):
            uprightness = max(math.cos(math.radians(face.roll)), 0.0)
            turned_back = _turned_back(face, turn, height, width)
            seen.append(_Seen(turned_back, turn, face.score * uprightness**_UPRIGHT))
    return best_first(_merged(seen))


def _turned_back(face: Detection, turn: int, height: int, width: int) -> Detection:
    """Return a face of a turned copy as it lies in the image of this size.

    A box is that of the face turned upright, so that only its centre and its roll change.
    """
    if turn == 0:
        return face
    x, y = face.box.center
    places = {90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}
    (new_x, new_y), half_x, half_y = places[turn], face.box.width / 2, face.box.height / 2
    box = Box(new_x - half_x, new_y - half_y, new_x + half_x, new_y + half_y)
    return Detection(box, face.score, wrapped(face.roll + turn))


def _merged(seen: list[_Seen]) -> list[Detection]:
    """Return one detection a face."""
    rest = sorted(seen, key=lambda one: -one.weight)
    faces = []
    while rest:
        best = rest[0]
        same = [one for one in rest if one is best or _same_face(one, best)]
        rest = [one for one in rest if one not in same]
        rolls = [
            one.face.roll
            for one in same
            if one.weight >= _AS_GOOD * best.weight
            and abs(wrapped(one.face.roll - best.face.roll)) < 45
        ]
        roll = mean_angle(rolls) if len(rolls) > 1 else best.face.roll
        score = max(one.face.score for one in same)
        faces.append(Detection(best.face.box, score, roll))
    return faces


def _same_face(one: _Seen, other: _Seen) -> bool:
    """Tell if two turns see one face; within a turn, the detector has told faces apart itself."""
    return one.turn != other.turn and _share_inside(one.face.box, other.face.box) > _SAME_FACE


def _share_inside(first: Box, second: Box) -> float:
    """Return how much of the smaller box the other one holds, in [0, 1]."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    area = min(box.width * box.height for box in (first, second))
    return max(width, 0.0) * max(height, 0.0) / area if area > 0 else 0.0
