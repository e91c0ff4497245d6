"""Five points of a face, as many detectors give them: its crop, its roll, its likeness to a face.

The points are (5, 2) x, y in pixel edges: eye, eye, nose tip, corner and corner of the mouth; of
each pair the one comes first that lies on the image's left when the face is upright.
"""

import math
from typing import Final

import numpy as np

from facemask.boxes import Box
from facemask.tracking.detection import Detection
from facemask.turned import Points, wrapped

# In units of the points' spread (root mean square distance from their mean): the crop's side; how
# far its centre lies below the mean, along the face; and how far it lies beside it, over the
# nose's own offset, which points the other way when a face turns. Fitted on the same points of
# 68 landmarks (benchmarks/detectors.py checks it): IoU of mapped and true crop, median (5th
# percentile), 0.917 (0.858) on videos and 0.889 (0.791) on stills. A model's own scatter comes
# on top.
_SIDE_OVER_SPREAD: Final = 4.58
_DOWN: Final = 0.218
_BESIDE_OVER_NOSE: Final = -1.63

_MEAN_FACE: Final = np.array([-35 - 37.5j, 35 - 37.5j, 2j, -30 + 36.5j, 30 + 36.5j])
"""The mean of the stills' faces of Helen and LFPW, upright, as x + iy about the points' mean."""


def crop_of_five_points(points: Points) -> Box:
    """Return the face crop that follows from five points: that of the face turned upright."""
    mean = points.mean(axis=0)
    spread = float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean()))
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    down /= max(float(np.linalg.norm(down)), 1e-6)
    beside = np.array([down[1], -down[0]])
    nose = float((points[2] - mean) @ beside)
    x, y = (mean + _DOWN * spread * down + _BESIDE_OVER_NOSE * nose * beside).tolist()
    return Box.around(x, y, _SIDE_OVER_SPREAD * spread)


def roll_of_five_points(points: Points) -> float:
    """Return the roll in degrees, clockwise, in [-180, 180), that brings a mean face closest."""
    closest = _likeness(points)
    return wrapped(math.degrees(math.atan2(closest.imag, closest.real)))


def likeness_of_five_points(points: Points, roll: float = 0.0) -> float:
    """Return the correlation, in [-1, 1], of five points with a mean face of a given roll.

    It falls with the cosine of the angle between the points' own roll and the given one, and is
    the lower the less the points look like a face at all: 0.92 to 1 for people's, at their own
    roll, whichever way they look.

    Args:
        points: Five points (5, 2).
        roll: Degrees clockwise by which the mean face is turned; 0 tells upright faces.
    """
    radians = math.radians(roll)
    return (_likeness(points) * complex(math.cos(radians), -math.sin(radians))).real


def face_of_five_points(points: Points, score: float) -> Detection:
    """Return the detection, crop and roll, that follows from five points."""
    return Detection(crop_of_five_points(points), score, roll_of_five_points(points))


def _likeness(points: Points) -> complex:
    """Return how like a mean face points are, as length, and their roll, as angle."""
    complex_points = points[:, 0] + 1j * points[:, 1]
    complex_points -= complex_points.mean()
    sizes = float(np.linalg.norm(complex_points) * np.linalg.norm(_MEAN_FACE))
    return complex(np.vdot(_MEAN_FACE, complex_points)) / max(sizes, 1e-6)
