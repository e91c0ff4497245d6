"""Faces in any direction, found by a detector that knows those that are more or less upright."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import Detection, FaceDetector, Image, best_first, check_image
from facemask.turned import TurnedBox, mean_angle, wrapped

RIGHT_ANGLES: Final = (0, 90, 180, 270)
EIGHT_TURNS: Final = (*RIGHT_ANGLES, 45, 135, 225, 315)
"""Find small faces that lie half on their side, too, which detectors see less well than others."""

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
    turn: float
    weight: float


def detect_turned(
    detector: FaceDetector, image: Image, turns: Sequence[float] = RIGHT_ANGLES
) -> list[Detection]:
    """Return the faces that a detector finds in an image and in turned copies of it, best first.

    Turns that see the same face are merged. The one with the best score counts, weighed with how
    upright the face lies in it; turns that are nearly as good have a say in the roll.

    Args:
        detector: Any detector, also one that knows no rolls.
        image: RGB uint8 (H, W, 3).
        turns: Rolls, in degrees, of the faces that stand upright in the copies. Each costs a run
            of the detector; copies that are not turned by a right angle are larger.

    Returns:
        One detection a face, its box and roll in the image's own direction.

    Raises:
        InputError: There are no turns.
    """
    return Looks(detector, image).all_around(turns)


class Looks:
    """Answers of a detector to one image and turned copies of it, each of them asked for once.

    Args:
        detector: Any detector, also one that knows no rolls.
        image: RGB uint8 (H, W, 3).
        upright: The detector's answer to the image as it is, if that is known; None asks.

    Raises:
        InputError: The image is not of that kind.
    """

    def __init__(
        self, detector: FaceDetector, image: Image, upright: list[Detection] | None = None
    ) -> None:
        self._detector = detector
        self._image = check_image(image)
        self._answers: dict[float, list[Detection]] = {} if upright is None else {0: upright}

    def upright(self) -> list[Detection]:
        """Return the faces in the image as it is, best first."""
        return self._answer(0, self._image)

    def all_around(self, turns: Sequence[float] = RIGHT_ANGLES) -> list[Detection]:
        """Return the faces at several turns, as `detect_turned` does."""
        if not turns:
            raise InputError("no turns are given: give degrees, such as 0, 90, 180 and 270.")
        seen = []
        for turn in dict.fromkeys(turn % 360 for turn in turns):
            copy, place = _copy(self._image, turn)
            for face in self._answer(turn, copy):
                uprightness = max(math.cos(math.radians(face.roll)), 0.0)
                turned_back = _turned_back(face, place) if turn else face
                seen.append(_Seen(turned_back, turn, face.score * uprightness**_UPRIGHT))
        return best_first(_merged(seen))

    def _answer(self, turn: float, copy: Image) -> list[Detection]:
        if turn not in self._answers:
            self._answers[turn] = self._detector.detect(copy)
        return self._answers[turn]


def _copy(image: Image, turn: float) -> tuple[Image, TurnedBox]:
    """Return a copy in which faces of a roll are upright, and where it lies in the image."""
    height, width = image.shape[:2]
    if turn % 90 == 0:
        copy = np.ascontiguousarray(np.rot90(image, round(turn / 90)))
        return copy, _around_middle(width, height, copy.shape[1], copy.shape[0], turn)
    corners = TurnedBox(Box(0.0, 0.0, float(width), float(height)), -turn).bounds
    columns, rows = math.ceil(corners.width), math.ceil(corners.height)
    place = _around_middle(width, height, columns, rows, turn)
    # where the centres of the copy's first pixel and of its right and lower neighbours lie
    first, right, below = place.to_image(np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])) - 0.5
    matrix = np.column_stack([right - first, below - first, first])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (columns, rows), flags=flags), np.uint8), place


def _around_middle(width: int, height: int, columns: int, rows: int, turn: float) -> TurnedBox:
    """Return the turned box of a size that has an image's middle."""
    left, top = (width - columns) / 2, (height - rows) / 2
    return TurnedBox(Box(left, top, left + columns, top + rows), turn)


def _turned_back(face: Detection, copy: TurnedBox) -> Detection:
    """Return a face of a turned copy as it lies in the image.

    A box is that of the face turned upright, so that only its centre and its roll change.
    """
    # at right angles, halves of pixels stay what they are
    ((x, y),) = copy.to_image(np.array([face.box.center])).round(9).tolist()
    box = Box.around(x, y, face.box.width, face.box.height)
    return Detection(box, face.score, wrapped(face.roll + copy.roll))


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
