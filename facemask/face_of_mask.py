"""The place of a face that its mask shows: its crop, and its roll by eyes and mouth."""

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import FACE_CROP_SCALE, Box, face_box_of_mask
from facemask.classes import BACKGROUND, EYES, IGNORE, INNER_MOUTH, LIPS
from facemask.turned import TurnedBox, wrapped

Labels = npt.NDArray[np.uint8]

_SECOND_EYE: Final = 0.2
"""Least area of the second eye over the first's; smaller ones are stray pixels."""
_EYES_APART: Final = 0.15
"""Least distance of both eyes over the square root of the face's area; nearer ones are parts of
one, or a profile's, whose line says little."""
_MOUTH_ASIDE: Final = 40.0
"""Degrees by which the mouth may lie beside the middle of the eyes, as seen from there."""
_OTHER_WAY: Final = 60.0
"""Degrees from which one eye and the mouth say that the face is turned another way."""


def turned_box_of_mask(labels: Labels, roll: float) -> Box | None:
    """Return the face crop that follows from the mask of a turned face, None where it has no face.

    It is the square of side 1.3 × (width + height) / 2 of the mask as it is with the face upright:
    to be turned by the roll about its centre.

    Args:
        labels: Class ids uint8 (H, W) at the image's size; 255 counts as background.
        roll: Degrees by which the face is turned clockwise.

    Raises:
        InputError: The labels have another shape or type.
    """
    upright = face_box_of_mask(labels)
    if upright is None or roll == 0:
        return upright
    # about any centre, the upright coordinates of the outline differ by a shift alone
    about = TurnedBox(Box(0.0, 0.0, 0.0, 0.0), roll)
    points = about.to_upright(_outline(labels))
    # pixels are squares: their centres lie about half a pixel inside the outline of any direction
    low, high = points.min(axis=0) - 0.5, points.max(axis=0) + 0.5
    x, y = about.to_image(((low + high) / 2)[None])[0].tolist()
    return Box.around(x, y, FACE_CROP_SCALE * float((high - low).mean()))


def roll_of_mask(labels: Labels, near: float = 0.0) -> float | None:
    """Return the roll of a face by its mask, in degrees clockwise in [-180, 180), None if unknown.

    It is the direction of the line from eye to eye, with the mouth below it. One eye and the mouth
    say it only roughly: they count where they contradict `near`.

    Args:
        labels: Class ids uint8 (H, W) at the image's size.
        near: Roll that the face is thought to have.

    Examples:
        >>> labels = np.ones((40, 40), dtype=np.uint8)
        >>> labels[8:12, 8:12] = labels[18:22, 28:32] = 2  # eyes
        >>> labels[28:32, 10:14] = 3  # lips
        >>> round(roll_of_mask(labels), 2)
        26.57
    """
    eyes = _parts(labels == EYES)[:2]
    mouths = _parts((labels == LIPS) | (labels == INNER_MOUTH))
    if not eyes or not mouths:
        return None
    (_, mouth), apart = mouths[0], 0.0
    if len(eyes) == 2 and eyes[1][0] >= _SECOND_EYE * eyes[0][0]:
        first, second = eyes[0][1], eyes[1][1]
        apart = float(np.linalg.norm(second - first))
    middle = eyes[0][1]
    face = (labels != BACKGROUND) & (labels != IGNORE)
    if apart >= _EYES_APART * math.sqrt(np.count_nonzero(face)):
        middle = (first + second) / 2
        down = _direction(mouth - middle) - 90
        along = _direction(second - first)
        roll = along if abs(wrapped(along - down)) < 90 else wrapped(along + 180)
        if abs(wrapped(roll - down)) <= _MOUTH_ASIDE:
            return roll
    roughly = wrapped(_direction(mouth - middle) - 90)
    return roughly if abs(wrapped(roughly - near)) > _OTHER_WAY else None


def _parts(mask: npt.NDArray[np.bool_]) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """Return area and centre x, y of each connected part, largest first."""
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    return [(int(areas[i]), np.asarray(centres[i + 1], dtype=np.float64)) for i in order]


def _direction(vector: npt.NDArray[np.float64]) -> float:
    return math.degrees(math.atan2(vector[1], vector[0]))


def _outline(labels: Labels) -> npt.NDArray[np.float64]:
    """Return the outline of the largest part of the face, x, y (N, 2) of its pixels' centres."""
    face = ((labels != BACKGROUND) & (labels != IGNORE)).astype(np.uint8)
    contours, _ = cv2.findContours(face, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    return np.asarray(largest, dtype=np.float64).reshape(-1, 2) + 0.5
