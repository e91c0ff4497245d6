"""A second look at faces of which a detector is not sure: alone, upright and large enough."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch

from facemask.boxes import Box, overlap
from facemask.resample import crop_pixels
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Detection, FaceDetector, Image, best_first, resized
from facemask.tracking.turns import EIGHT_TURNS, RIGHT_ANGLES, detect_turned
from facemask.turned import TurnedBox, wrapped
from facemask.views import View

SURE: Final = 0.8
"""Score from which on a face is not looked at again."""
_WIDE: Final = 2.0
"""Side of the part that is looked at, over the crop's."""
_SIDE: Final = 216
"""The same in pixels: that of the crop, 108, is one that all detectors see."""
_SAME_FACE: Final = 0.25
_STRICTER: Final = 1.5
"""Power of the second score: it is high for faces, so that 0.63 there is as good as 0.5."""
_PART: Final = 0.6
"""Width and height of a part that is looked at more closely, over the image's."""
_ENLARGED: Final = 1280
"""Least pixels of its longer side: detectors look for no faces of few pixels."""
_NOT_SEEN: Final = 0.5
"""Share of the first score that is left to what is not seen again."""


def faces_of_photograph(detector: FaceDetector, image: Image, least: float) -> list[Detection]:
    """Return the faces of one picture, whichever way they are turned, best first.

    It is searched in four turns; where that finds no face, in four enlarged parts; and where these
    show none, at every 45 degrees. What CenterFace is not sure of is looked at again (`surer`).

    Args:
        detector: Any detector.
        image: RGB uint8 (H, W, 3).
        least: Score from which a detection is a face. Less sure ones are returned, too.
    """
    found: list[Detection] = []
    for seen in _searches(detector, image):
        # CenterFace's scores of small faces are low; others' scores mean something else
        found = surer(detector, image, seen) if isinstance(detector, CenterFaceDetector) else seen
        if found and found[0].score >= least:
            break
    return found


def _searches(detector: FaceDetector, image: Image) -> Iterator[list[Detection]]:
    yield detect_turned(detector, image, RIGHT_ANGLES)
    yield _closer(detector, image)
    yield detect_turned(detector, image, EIGHT_TURNS)


def _closer(detector: FaceDetector, image: Image) -> list[Detection]:
    """Return the upright faces of four parts of an image, which overlap and are enlarged."""
    height, width = image.shape[:2]
    rows, columns = (math.ceil(_PART * length) for length in (height, width))
    faces: list[Detection] = []
    for top in (0, height - rows):
        for left in (0, width - columns):
            part = image[top : top + rows, left : left + columns]
            larger = resized(part, max(1.0, _ENLARGED / max(rows, columns)))
            x, y = columns / larger.shape[1], rows / larger.shape[0]
            for face in detector.detect(np.ascontiguousarray(larger)):
                faces.append(face._replace(box=face.box.scaled(x, y).shifted(left, top)))
    distinct: list[Detection] = []
    for face in best_first(faces):
        if all(overlap(face.box, other.box) <= _SAME_FACE for other in distinct):
            distinct.append(face)
    return distinct


def surer(detector: FaceDetector, image: Image, faces: Iterable[Detection]) -> list[Detection]:
    """Return the same faces, those with low scores as a second look sees them, best first.

    Scores of small faces, and of those half on their side, say little: a second look, from all
    four sides at the part of the image around the face, tells most of them from other things,
    and finds the roll. What it does not see is left with half the score.

    Args:
        detector: The detector that found them.
        image: RGB uint8 (H, W, 3).
        faces: Its faces. Each with a score below 0.8 costs four runs on 216 × 216 pixels.
    """
    return best_first([f if f.score >= SURE else _again(detector, image, f) for f in faces])


def _again(detector: FaceDetector, image: Image, face: Detection) -> Detection:
    """Return a face as it is seen in the part around it."""
    x, y = face.box.center
    part = TurnedBox(Box.around(x, y, _WIDE * face.box.side), face.roll)
    middle = Box.around(_SIDE / 2, _SIDE / 2, _SIDE / _WIDE)
    shares = [
        (overlap(seen.box, middle), seen) for seen in detect_turned(detector, _cut(image, part))
    ]
    same = [(share * seen.score, seen) for share, seen in shares if share > _SAME_FACE]
    if same:  # a surer face beside it is another one
        _, seen = max(same)
        scale = part.box.side / _SIDE
        box = part.part(seen.box.scaled(scale, scale)).box
        return Detection(box, seen.score**_STRICTER, wrapped(face.roll + seen.roll))
    return face._replace(score=_NOT_SEEN * face.score)


def _cut(image: Image, part: TurnedBox) -> Image:
    """Return a part of an image, upright, uint8 (216, 216, 3)."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    if part.roll == 0:
        cut = crop_pixels(pixels, part.box, (_SIDE, _SIDE))
    else:
        cut = View(pixels, part).cut(Box(0.0, 0.0, 1.0, 1.0), _SIDE)
    return cut.permute(1, 2, 0).contiguous().numpy()
