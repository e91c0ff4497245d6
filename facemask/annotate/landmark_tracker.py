"""A tracker of 68 landmarks in the spirit of the paper's section 4.2 (baseline of Table 2).

Each frame's landmarks start from those of the frame before. dlib's face detector then looks at
their place alone: where it sees no face there any more, the whole frame is searched again.

With a detector of turned faces, which the paper's baseline lacks, all this also happens in a turned
picture of the face.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from facemask.annotate.predictor import (
    LandmarkPredictor,
    Points,
    Square,
    cut_patch,
    rectangle_of_crop,
    rectangle_of_points,
    roll_of_points,
)
from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import FaceDetector, Image, check_image, import_dlib, resized
from facemask.tracking.turns import detect_turned
from facemask.turned import TurnedBox

__all__ = ["FaceFinder", "LandmarkTracker", "LandmarkTrackerSettings"]

_WINDOW: Final = 80
"""dlib's detector sees faces from this side on, in pixels."""
_EXPECTED: Final = 90
"""Side in pixels that a tracked face is resized to before the detector looks at it."""
_NEAR: Final = 0.45
"""How far it looks on each side of a tracked face, in units of the rectangle's side."""
_TOLERANCE: Final = 0.1
"""How far landmarks may lie from where it sees the face, in units of the rectangle's side: two to
three times the spread on faces at their place. With 0.15 the landmarks of a dancing head were twice
as far from those of a fresh detection."""
_RATIO: Final = 1.2
"""How much larger or smaller they may be."""
_SMALLEST: Final = 4
"""Side in pixels of the smallest rectangle that is tracked."""
_LARGEST: Final = 2
"""Side of the largest, in units of the frame's longer side."""
_LOWEST: Final = -1.5
"""Score below which its answers mean nothing."""
_SAME_FACE: Final = 0.3
"""Intersection over union from which an upright and a turned face are one, seen in two ways."""
_TURNED: Final = 20.0
"""Roll in degrees beyond which a face is looked at in a turned picture. Without, the predictor's
error on 100 stills (Helen, LFPW) grows by 11 % at 15°, by 17 % at 20° and by 54 % at 30°."""
_UPRIGHT: Final = 15.0
"""Roll below which it is no longer, so that the way does not change with every frame."""


@dataclass(frozen=True)
class LandmarkTrackerSettings:
    """Thresholds at which a face is found and lost.

    Scores are those of dlib's detector: 0 is its own threshold, a clear face has 1 to 3.

    Attributes:
        find_above: Score from which a face is found in a whole frame.
        keep_above: Score below which a tracked face is lost. Of 290 stills (Helen) the lowest
            score at the face's place is -0.29; of 870 predictions started elsewhere (on the
            background, half a face beside it, at half or double size) 3 pass.
        smallest_face: Smallest face to be found, as a share of the frame's longer side. The frame
            is resized so that such a face has the 80 pixels that the detector needs.
        margin: Border to repeat around a whole frame for the search, in units of its longer side:
            frames that end at the face hide its surroundings from the detector.

    Raises:
        InputError: A number is out of range.
    """

    find_above: float = 0.0
    keep_above: float = -0.8
    smallest_face: float = 1 / 12
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.keep_above <= self.find_above:
            raise InputError(
                f"keep_above is {self.keep_above} and find_above {self.find_above}: a face just "
                "found would be lost at once; expected keep_above <= find_above."
            )
        if not 0.02 <= self.smallest_face <= 1:
            raise InputError(f"smallest_face is {self.smallest_face}, expected 0.02 to 1.")
        if not 0 <= self.margin <= 1:
            raise InputError(f"margin is {self.margin}, expected 0 to 1.")


class FaceFinder:
    """dlib's face detector (HOG), with its own rectangles and scores.

    Raises:
        InputError: dlib is not installed.
    """

    def __init__(self) -> None:
        self._detector: Any = import_dlib("landmarks need dlib").get_frontal_face_detector()

    def find(self, image: Image, settings: LandmarkTrackerSettings) -> list[tuple[Square, float]]:
        """Return the faces of a whole frame with their scores.

        Args:
            image: RGB uint8 (H, W, 3).
            settings: Thresholds.
        """
        longer = max(image.shape[:2])
        border = round(settings.margin * longer)
        if border:
            padded = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
            image = np.asarray(padded, dtype=np.uint8)
        small = resized(image, _WINDOW / (settings.smallest_face * longer))
        scale_y, scale_x = small.shape[0] / image.shape[0], small.shape[1] / image.shape[1]
        return [
            (
                Square(
                    (box.x + 0.5) / scale_x - 0.5 - border,
                    (box.y + 0.5) / scale_y - 0.5 - border,
                    box.side * 2 / (scale_x + scale_y),
                ),
                score,
            )
            for box, score in self._run(small, settings.find_above)
        ]

    def near(self, image: Image, where: Square) -> tuple[Square, float] | None:
        """Return the face in or close to a square and its score, or None where there is none.

        Args:
            image: RGB uint8 (H, W, 3).
            where: The expected rectangle of the detector, its centre in the image.
        """
        patch = cut_patch(image, where, margin=_NEAR, side=_EXPECTED)
        found = self._run(patch.image, _LOWEST)
        if not found:
            return None
        box, score = max(found, key=lambda face: face[1])
        return patch.outside(box), score

    def _run(self, image: Image, threshold: float) -> list[tuple[Square, float]]:
        boxes, scores, _ = self._detector.run(image, 0, threshold)
        return [
            (Square((b.left() + b.right()) / 2, (b.top() + b.bottom()) / 2, b.width()), score)
            for b, score in zip(boxes, scores, strict=True)
        ]


class LandmarkTracker:
    """Follows one face through the frames of a video: `step` takes them in order.

    The state is one face's landmarks in units of the frame's width and height, so that frames
    may differ in size, as face crops do.

    Args:
        predictor: Predictor of landmarks; None is dlib's, of the package
            face-recognition-models. Trackers may share one.
        settings: Thresholds at which a face is found and lost; None for the defaults.
        detector: Detector that finds turned faces, for dlib to look at; None, as in the paper's
            baseline, takes every face as upright.

    Raises:
        InputError: dlib or the package is missing.
    """

    def __init__(
        self,
        predictor: LandmarkPredictor | None = None,
        settings: LandmarkTrackerSettings | None = None,
        detector: FaceDetector | None = None,
    ) -> None:
        self.predictor = predictor or LandmarkPredictor()
        self.finder = FaceFinder()
        self.settings = settings or LandmarkTrackerSettings()
        self.detector = detector
        self._last: Points | None = None  # (68, 2) in units of the frame
        self._turned = False  # whether that face was looked at in a turned picture

    def reset(self) -> None:
        """Forget the face: the next frame is searched."""
        self._last, self._turned = None, False

    def step(self, image: Image) -> Points | None:
        """Return the landmarks of the next frame.

        Where several faces are found, the one over the face that was just lost is taken, else
        the largest that the detector is sure of.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            float64 (68, 2), x, y in pixels from 0; they may lie outside the frame. None where no
            face is found.

        Raises:
            InputError: The image has another shape or type.
        """
        image = check_image(image)
        height, width = image.shape[:2]
        before = None if self._last is None else self._last * (width, height)
        points = self._follow(image, before)
        if points is None:
            points = self._search(image, before)
        self._last = None if points is None else points / (width, height)
        self._turned = points is not None and self._rectangle(points, self._turned).roll != 0
        return points

    def _follow(self, image: Image, before: Points | None) -> Points | None:
        """Return landmarks from those before, or None if they are on no face any more."""
        if before is None:
            return None
        points = self.predictor.predict(image, self._rectangle(before, self._turned))
        where = self._rectangle(points, self._turned)
        if not _is_plausible(where, image):
            return None
        seen = self.finder.near(image, where)
        if seen is None or seen[1] < self.settings.keep_above:
            return None
        if _agree(where, seen[0]):
            return points
        return self._start(image, seen[0]) if seen[1] >= self.settings.find_above else None

    def _start(self, image: Image, face: Square) -> Points:
        """Return landmarks of a face that the detector found."""
        points = self.predictor.predict(image, face)
        # once more from there: on 290 stills (Helen) mIoU rises from 80.1 to 81.0, a third time
        # adds nothing
        return self.predictor.predict(image, self._rectangle(points, face.roll != 0))

    def _rectangle(self, points: Points, turned: bool) -> Square:
        """Return the rectangle of a face with these landmarks, turned with it if it is at all.

        Args:
            points: (68, 2) x, y in pixels from 0.
            turned: Whether it was turned before.
        """
        if self.detector is None:
            return rectangle_of_points(points)
        roll = roll_of_points(points)
        return rectangle_of_points(
            points, roll if abs(roll) > (_UPRIGHT if turned else _TURNED) else 0.0
        )

    def _search(self, image: Image, lost: Points | None) -> Points | None:
        """Return landmarks of a face found in the whole frame."""
        self._turned = False
        found = self.finder.find(image, self.settings)
        for square, score in self._find_turned(image):
            rivals = [face for face in found if face[0].overlap(square) > _SAME_FACE]
            if all(score > rival for _, rival in rivals):
                found = [face for face in found if face not in rivals] + [(square, score)]
        if not found:
            return None
        sure = [square for square, score in found if score >= 0]
        chosen = max(sure, key=lambda s: s.side) if sure else max(found, key=lambda f: f[1])[0]
        if lost is not None:
            place = rectangle_of_points(lost)
            nearest = max((square for square, _ in found), key=place.overlap)
            chosen = nearest if place.overlap(nearest) > 0 else chosen
        return self._start(image, chosen)

    def _find_turned(self, image: Image) -> list[tuple[Square, float]]:
        """Return the turned faces of a whole frame, as dlib sees them upright, and its scores."""
        faces = [] if self.detector is None else detect_turned(self.detector, image)
        found = []
        for face in faces:
            if abs(face.roll) > _TURNED:
                start = rectangle_of_crop(TurnedBox(face.box, face.roll))
                where = self._rectangle(self._start(image, start), turned=True)
                seen = self.finder.near(image, where) if _is_plausible(where, image) else None
                if where.roll and seen is not None and seen[1] >= self.settings.find_above:
                    found.append(seen)
        return found


def _is_plausible(where: Square, image: Image) -> bool:
    """Tell if there may be a face at all: in the image, neither a speck nor all of it."""
    height, width = image.shape[:2]
    if not (0 <= where.x < width and 0 <= where.y < height):
        return False
    return bool(_SMALLEST <= where.side <= _LARGEST * max(height, width))


def _agree(tracked: Square, seen: Square) -> bool:
    """Tell if the landmarks lie where the detector sees the face."""
    beside = np.array([[seen.x - tracked.x, seen.y - tracked.y]])
    distance = np.abs(TurnedBox(Box(0, 0, 0, 0), tracked.roll).to_upright(beside)).max()
    return distance / tracked.side < _TOLERANCE and 1 / _RATIO < seen.side / tracked.side < _RATIO
