"""Numbers of a face's mask that are worth plotting over time."""

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_NAMES, EYES, INNER_MOUTH, LIPS
from facemask.extraction.results import ExtractedFace

_AREAS: Final = tuple(f"area_{name.replace(' ', '_')}" for name in CLASS_NAMES[1:])
SIGNALS: Final = (*_AREAS, "left_eye_opening", "right_eye_opening", "eye_opening", "mouth_opening")
"""Names of the signals, in order."""

_SECOND_EYE: Final = 0.2
"""Least area of the second eye over the first's; smaller ones are stray pixels."""


def face_signals(face: ExtractedFace) -> dict[str, float]:
    """Areas and openings of one face of one frame.

    An opening is how high something is over how wide, both measured as the standard deviation of
    its pixels along its short and its long axis, so that it changes neither with the face's size
    nor with its roll nor with the shape of the video's pixels. It is 0 where something is shut and
    about 0.3 for an open eye.

    Args:
        face: One face.

    Returns:
        By the names in `SIGNALS`: areas in pixels of the frame; the openings of the eyes that
        are left and right in the image and their mean (NaN for an eye that is not seen: shut
        tight, hidden or in profile); and the height of the inner mouth over the width of the
        mouth, 0 for a shut mouth and NaN without one.
    """
    labels, aspect = face.crop_labels, face.pixel_aspect
    counts = np.bincount(labels.ravel(), minlength=len(CLASS_NAMES))
    signals = {name: float(counts[i]) for i, name in enumerate(_AREAS, start=1)}
    left, right = _eye_openings(labels == EYES, aspect)
    seen = [opening for opening in (left, right) if not math.isnan(opening)]
    signals["left_eye_opening"], signals["right_eye_opening"] = left, right
    signals["eye_opening"] = sum(seen) / len(seen) if seen else math.nan
    signals["mouth_opening"] = _mouth_opening(labels, aspect)
    return signals


def _eye_openings(eyes: npt.NDArray[np.bool_], aspect: float) -> tuple[float, float]:
    count, ids, stats, centres = cv2.connectedComponentsWithStats(eyes.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count == 1:
        return math.nan, math.nan
    largest = np.argsort(-areas, kind="stable")[:2]
    parts = [int(i) + 1 for i in largest if areas[i] >= _SECOND_EYE * areas[largest[0]]]
    parts.sort(key=lambda i: centres[i][0])
    openings = [_opening(ids == i, aspect) for i in parts]
    if len(openings) == 2:
        return openings[0], openings[1]
    on_the_left = centres[parts[0]][0] < (eyes.shape[1] - 1) / 2
    return (openings[0], math.nan) if on_the_left else (math.nan, openings[0])


def _opening(mask: npt.NDArray[np.bool_], aspect: float) -> float:
    short, long = _deviations(mask, aspect)
    return short / long


def _mouth_opening(labels: npt.NDArray[np.uint8], aspect: float) -> float:
    inner = labels == INNER_MOUTH
    mouth = inner | (labels == LIPS)
    if not mouth.any():
        return math.nan
    if not inner.any():
        return 0.0
    return _deviations(inner, aspect)[0] / _deviations(mouth, aspect)[1]


def _deviations(mask: npt.NDArray[np.bool_], aspect: float) -> tuple[float, float]:
    """Standard deviation of the pixels along the short and the long axis, in heights of a pixel."""
    size = np.array([1.0, aspect])  # of a pixel
    points = np.argwhere(mask) * size
    points -= points.mean(axis=0)
    covariance = points.T @ points / len(points) + np.diag(size**2) / 12  # of a pixel itself
    short, long = np.linalg.eigvalsh(covariance)
    return math.sqrt(short), math.sqrt(long)
