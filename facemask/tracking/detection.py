"""Common parts of all face detectors: their answer, their protocol, the mapping of their boxes."""

import math
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from facemask._distribution import pip_install
from facemask.boxes import Box
from facemask.errors import InputError
from facemask.turned import TurnedBox

Image = npt.NDArray[np.uint8]

SMALLEST: Final = 1 / 8
"""Smallest face that dlib and YuNet look for by default, as a share of the image's longer side."""


class Detection(NamedTuple):
    """One face of one image.

    Attributes:
        box: The face crop.
        score: Certainty of the detector, in [0, 1]; 0.5 is its own usual threshold. Detectors
            also hand out less sure faces: they confirm a face that is known, and start none.
        roll: Degrees by which the face is turned clockwise in the image. The box is that of the
            face turned upright about the box's centre.
    """

    box: Box
    score: float
    roll: float = 0.0


class OwnBox(NamedTuple):
    """One face with its detector's own box, before that is mapped to the face crop.

    Attributes:
        box: The detector's own box, pixel edges in the image.
        kind: Index of the detector's mapping that applies.
        score: As in `Detection`.
    """

    box: Box
    kind: int
    score: float


class FaceDetector(Protocol):
    """Finds faces in single images."""

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces of an RGB image uint8 (H, W, 3), best first."""
        ...


@runtime_checkable
class GivenFaces(Protocol):
    """Knowledge of the faces without looking: nothing is left to detect or to track."""

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:
        """Return the boxes in a frame (counted from 0), with their rolls, by face id."""
        ...


class BoxMapping(NamedTuple):
    """Mapping from a detector's own box to the face crop.

    Attributes:
        x: Centre of the crop from the box's centre, in units of the box's side, to the right.
        y: The same, down.
        scale: Side of the crop over the box's side (mean of width and height).
    """

    x: float
    y: float
    scale: float

    def crop(self, own: Box) -> Box:
        """Return the face crop of a detector's own box.

        Examples:
            >>> BoxMapping(0.0, 0.1, 1.5).crop(Box(0.0, 0.0, 20.0, 20.0))
            Box(left=-5.0, top=-3.0, right=25.0, bottom=27.0)
        """
        x, y = own.center
        side = own.side
        return Box.around(x + self.x * side, y + self.y * side, self.scale * side)


def check_image(image: Image) -> Image:
    """Return an image with its rows one after the other in memory.

    Raises:
        InputError: It is not RGB uint8 (H, W, 3), or is empty.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
        shape = getattr(image, "shape", type(image).__name__)
        raise InputError(f"an image of shape {shape} was given: expected RGB, (height, width, 3).")
    if image.dtype != np.uint8:
        raise InputError(f"an image of type {image.dtype} was given: expected uint8, 0 to 255.")
    if 0 in image.shape:
        raise InputError(f"an empty image of shape {image.shape} was given.")
    return np.ascontiguousarray(image)


def resized(image: Image, scale: float) -> Image:
    """Return an image enlarged or reduced by one factor, antialiased when reduced."""
    if scale == 1:
        return image
    height, width = (max(1, round(scale * n)) for n in image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), dtype=np.uint8)


def best_first(faces: list[Detection]) -> list[Detection]:
    """Return detections by falling score."""
    return sorted(faces, key=lambda face: -face.score)


def rescored(score: float, threshold: float) -> float:
    """Return a network's score, in [0, 1], as the power of it that makes its threshold 0.5.

    Examples:
        >>> rescored(0.7, 0.7), round(rescored(0.49, 0.7), 3)
        (0.5, 0.25)
    """
    return float(score ** (math.log(0.5) / math.log(threshold)))


def check_smallest(smallest: float) -> float:
    """Return the smallest face's share of an image's longer side, if it makes sense.

    Raises:
        InputError: It is not from 0.02 to 1.
    """
    if not 0.02 <= smallest <= 1:
        raise InputError(
            f"smallest is {smallest}: give the smallest face's share of the image's longer "
            "side, from 0.02 to 1."
        )
    return smallest


def import_dlib(needed: str) -> Any:  # noqa: ANN401  # a module without types
    """Return the module dlib.

    Args:
        needed: Beginning of the sentence where it is missing, such as "landmarks need dlib".

    Raises:
        InputError: It is not installed.
    """
    try:
        import dlib
    except ImportError as error:
        raise InputError(f"{needed}: {pip_install('dlib')}.") from error
    return dlib
