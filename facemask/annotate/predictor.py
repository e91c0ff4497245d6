"""The 68 landmarks of a face by dlib's predictor (Kazemi and Sullivan 2014), and its rectangle.

The predictor starts from a rectangle as dlib's face detector draws it. While a face is tracked,
the rectangle follows from the landmarks of the frame before, so that no detector need run
(section 4.2 of the paper): where c is the landmarks' centroid and r their root mean square
distance from it, the rectangle is centred at c + (0, -0.137 r) and 2.79 r wide. That is the mean of
849 stills with human landmarks (Helen) and of 467 frames of 13 videos, all faces on which the
detector fired. The standard deviation of what it misses, in units of the rectangle's side, is 0.03
across, 0.05 down and 0.08 in size. The landmarks' bounding box is a worse guide (0.08, 0.05 and
0.08): it shifts when the head turns, and predictions chained by it drift away from the face.

dlib knows upright faces alone. A turned one is looked at in a square that is turned as it is, and
that is sampled once.
"""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask._distribution import pip_install
from facemask.boxes import Box, overlap
from facemask.data.landmarks import LANDMARK_GROUPS, NUM_LANDMARKS
from facemask.errors import InputError, cause_of
from facemask.tracking.detection import Image, import_dlib, resized
from facemask.turned import TurnedBox, wrapped

__all__ = [
    "LandmarkPredictor",
    "Points",
    "Square",
    "rectangle_of_crop",
    "rectangle_of_points",
    "roll_of_points",
]

Points = npt.NDArray[np.float64]

_OFFSET: Final = -0.137
"""Centre of the detector's rectangle below the landmarks' centroid, in units of their r."""
_SCALE: Final = 2.79
"""Side of the detector's rectangle in units of the landmarks' r."""
_ABOVE: Final = 0.076
"""Centre of the detector's rectangle above that of the face crop, in units of the crop's side: the
mean of 1675 stills with human landmarks (Helen, LFPW), turned upright."""
_SHARE: Final = 0.82
"""Side of the detector's rectangle over the face crop's, from the same stills."""
_PRECISE: Final = 250
"""dlib rounds landmarks to whole pixels, so a smaller rectangle is enlarged to this side first."""
_PREDICTOR: Final = "models/shape_predictor_68_face_landmarks.dat"


@dataclass(frozen=True)
class Square:
    """A square in a frame, such as dlib's face detector draws around a face.

    Attributes:
        x: Its centre from the left in pixels; 0 is the centre of the leftmost ones.
        y: Its centre from the top.
        side: Its side in pixels.
        roll: Degrees by which it is turned clockwise about its centre.
    """

    x: float
    y: float
    side: float
    roll: float = 0.0

    def overlap(self, other: "Square") -> float:
        """Return the intersection over union with another square, both upright, in [0, 1].

        Examples:
            >>> Square(0, 0, 10).overlap(Square(5, 0, 10))
            0.3333333333333333
        """
        return overlap(*(Box.around(square.x, square.y, square.side) for square in (self, other)))


@dataclass(frozen=True)
class Patch:
    """A square part of an image, resized.

    Attributes:
        image: RGB uint8 (S, S, 3).
        left: Pixel edge of the image at the left of the patch before it is turned.
        top: The same at its top.
        scale: Pixels of the patch to a pixel of the image.
        roll: Degrees by which the patch is turned clockwise about its centre.
    """

    image: Image
    left: int
    top: int
    scale: float
    roll: float = 0.0

    def inside(self, square: Square) -> Square:
        """Return a square of the image in the patch's own pixels."""
        # a pixel's centre lies half a pixel behind the edge that scales
        if self.roll:
            edges = np.array([[square.x + 0.5, square.y + 0.5]])
            x, y = (self._place.to_upright(edges)[0] * self.scale - 0.5).tolist()
        else:
            x = (square.x + 0.5 - self.left) * self.scale - 0.5
            y = (square.y + 0.5 - self.top) * self.scale - 0.5
        return Square(x, y, square.side * self.scale, square.roll - self.roll)

    def outside(self, square: Square) -> Square:
        """Return a square of the patch in the image's pixels."""
        x, y = self.points_outside(np.array([square.x, square.y])).tolist()
        return Square(x, y, square.side / self.scale, square.roll + self.roll)

    def points_outside(self, points: Points) -> Points:
        """Return points (…, 2) of the patch in the image's pixels."""
        if self.roll:
            return self._place.to_image((points + 0.5) / self.scale) - 0.5
        moved: Points = (points + 0.5) / self.scale - 0.5 + (self.left, self.top)
        return moved

    @property
    def _place(self) -> TurnedBox:
        """Place in the image, in pixel edges."""
        size = len(self.image) / self.scale
        box = Box(self.left, self.top, self.left + size, self.top + size)
        return TurnedBox(box, self.roll)


def cut_patch(image: Image, square: Square, margin: float, side: float) -> Patch:
    """Cut a square and its surroundings out of an image, whose border goes on as it ends.

    A turned square becomes an upright picture.

    Args:
        image: RGB uint8 (H, W, 3).
        square: Square to cut out, its centre in the image.
        margin: Surroundings to add on each side, in units of the square's side.
        side: Side of the square in the patch, about, in pixels.
    """
    height, width = image.shape[:2]
    size = max(2, round(square.side * (1 + 2 * margin)))
    left, top = round(square.x + 0.5 - size / 2), round(square.y + 0.5 - size / 2)
    if square.roll:
        place = TurnedBox(Box(left, top, left + size, top + size), square.roll)
        pixels = _upright(image, place, round(size * side / square.side))
        return Patch(pixels, left, top, len(pixels) / size, square.roll)
    part = image[max(0, top) : top + size, max(0, left) : left + size]
    beyond = (max(0, -top), max(0, top + size - height), max(0, -left), max(0, left + size - width))
    if any(beyond):
        part = np.asarray(cv2.copyMakeBorder(part, *beyond, cv2.BORDER_REPLICATE), dtype=np.uint8)
    pixels = np.ascontiguousarray(resized(part, side / square.side))
    return Patch(pixels, left, top, len(pixels) / size)


def _upright(image: Image, place: TurnedBox, size: int) -> Image:
    """Return a turned square of an image as an upright picture of this size."""
    finer = max(1, math.ceil(place.box.side / size))  # samples across a pixel, of which the mean
    count = size * finer
    corners = place.to_image(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) * place.box.side)
    across, down = (corners[1:] - corners[0]) / count
    sampled = cv2.warpAffine(
        image,
        np.column_stack([across, down, corners[0] + (across + down) / 2 - 0.5]),
        (count, count),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return resized(np.asarray(sampled, dtype=np.uint8), 1 / finer)


def roll_of_points(points: Points) -> float:
    """Return a face's roll, that of the line of its eyes: degrees clockwise, in [-180, 180).

    Args:
        points: (68, 2) x, y in pixels.
    """
    right, left = (points[LANDMARK_GROUPS[eye]].mean(axis=0) for eye in ("right_eye", "left_eye"))
    x, y = (left - right).tolist()  # right is the person's own: an upright image's left
    return wrapped(math.degrees(math.atan2(y, x)))


def rectangle_of_points(points: Points, roll: float = 0.0) -> Square:
    """Return the rectangle that dlib's detector would draw around a face with these landmarks.

    Args:
        points: (68, 2) x, y in pixels from 0.
        roll: Degrees by which the face is turned clockwise.
    """
    centre = points.mean(axis=0)
    spread = float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))
    x, y = centre.tolist()
    down, radians = _OFFSET * spread, math.radians(roll)
    x, y = x - math.sin(radians) * down, y + math.cos(radians) * down
    return Square(x, y, _SCALE * spread, roll)


def rectangle_of_crop(crop: TurnedBox) -> Square:
    """Return the rectangle that dlib's detector would draw around the face of a face crop."""
    side = crop.box.side
    above = Box.around(crop.box.width / 2, crop.box.height / 2 - _ABOVE * side, _SHARE * side)
    x, y = crop.part(above).box.center
    return Square(x - 0.5, y - 0.5, _SHARE * side, crop.roll)


def packaged_predictor() -> Path:
    """Return the predictor's file in the package face-recognition-models.

    Raises:
        InputError: The package is not installed.
    """
    # found, not imported: the package imports pkg_resources, which setuptools dropped
    package = find_spec("face_recognition_models")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            f"dlib's 68-point predictor is not installed: {pip_install('dlib')}, or give the file "
            "of a predictor of your own."
        )
    return Path(package.submodule_search_locations[0], _PREDICTOR)


class LandmarkPredictor:
    """dlib's 68-point predictor: the landmarks of the face in a rectangle.

    Args:
        file: A model of `dlib.shape_predictor` with 68 points; None takes the one of the package
            face-recognition-models (trained on 300-W, not for commercial products).

    Attributes:
        file: File that the model was read from.

    Raises:
        InputError: dlib or the file is missing, or the file holds something else.
    """

    def __init__(self, file: str | Path | None = None) -> None:
        dlib = import_dlib("landmarks need dlib")
        self.file = packaged_predictor() if file is None else Path(file)
        if not self.file.is_file():
            raise InputError(f"{self.file}: no such file; expected dlib's 68-point predictor.")
        self._rectangle: Any = dlib.rectangle
        try:
            self._model: Any = dlib.shape_predictor(str(self.file))
        except RuntimeError as error:
            raise InputError(
                f"{self.file}: is no predictor that dlib can read ({cause_of(error)}); expected "
                "shape_predictor_68_face_landmarks.dat or one trained for the same points."
            ) from error
        count = self._model(np.zeros((9, 9, 3), np.uint8), dlib.rectangle(0, 0, 8, 8)).num_parts
        if count != NUM_LANDMARKS:
            raise InputError(f"{self.file}: predicts {count} points, expected {NUM_LANDMARKS}.")

    def predict(self, image: Image, where: Square) -> Points:
        """Return the landmarks of a face; those of something else look like a face, too.

        Args:
            image: RGB uint8 (H, W, 3). Its border goes on as it ends, for faces that it cuts.
            where: The detector's rectangle around the face, its centre in the image.

        Returns:
            float64 (68, 2), x, y in pixels from 0; they may lie outside the image.
        """
        patch = cut_patch(image, where, margin=0.5, side=max(where.side, _PRECISE))
        square = patch.inside(where)
        first = [round(centre - (square.side - 1) / 2) for centre in (square.x, square.y)]
        last = [start + round(square.side) - 1 for start in first]  # dlib's includes its last pixel
        shape = self._model(patch.image, self._rectangle(*first, *last))
        return patch.points_outside(np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64))
