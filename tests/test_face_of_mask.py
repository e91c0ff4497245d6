"""Place and roll of a face by its mask, against landmarks that are turned exactly."""

import numpy as np
import pytest

from facemask.boxes import Box, face_box_of_mask, face_box_of_points, overlap
from facemask.data.masks import landmarks_to_mask
from facemask.face_of_mask import roll_of_mask, turned_box_of_mask
from facemask.turned import TurnedBox, wrapped
from tests.faces import face_points


def eyeline(points: np.ndarray) -> float:
    line = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    return float(np.degrees(np.arctan2(line[1], line[0])))


@pytest.mark.parametrize("turn", [0.0, 33.0, 90.0, -135.0, 180.0])
def test_roll_and_crop_are_those_of_the_landmarks(turn: float) -> None:
    points = face_points(np.random.default_rng(1), 120.0, (150.0, 120.0))
    own = eyeline(points)
    image = TurnedBox(Box(0, 0, 300, 300), turn)  # turns all about (150, 150)
    turned = image.to_image(points + 0.5) - 0.5
    labels = landmarks_to_mask(turned, 300, 300)
    roll = roll_of_mask(labels)
    assert roll is not None
    assert abs(wrapped(roll - own - turn)) < 2
    box = turned_box_of_mask(labels, roll)
    assert box is not None
    # the landmarks turned back about the middle, so that the eyes are level
    level = TurnedBox(Box(0, 0, 300, 300), own + turn).to_upright(turned + 0.5) - 0.5
    expected = face_box_of_points(level)
    x, y = TurnedBox(Box(0, 0, 300, 300), own + turn).to_image(np.array([expected.center]))[0]
    assert overlap(box, Box.around(x, y, expected.side)) > 0.95


def test_without_eyes_there_is_no_roll_but_a_crop() -> None:
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[20:30, 30:50] = 1  # 20 wide, 10 high
    assert roll_of_mask(labels) is None
    assert turned_box_of_mask(labels, 0.0) == Box.around(40, 25, 19.5)
    assert turned_box_of_mask(labels, 90.0) == pytest.approx(Box.around(40, 25, 19.5))


def upside_down(mouth: int) -> np.ndarray:
    labels = np.ones((60, 60), dtype=np.uint8)
    labels[28:32, 10:16] = 2
    labels[mouth : mouth + 4, 20:40] = 3
    return labels


def test_one_eye_only_contradicts() -> None:
    below, above = upside_down(50), upside_down(5)
    assert roll_of_mask(below) is None  # the eye is beside the middle: nothing is known for sure
    roll = roll_of_mask(above)
    assert roll is not None
    assert abs(wrapped(roll - 180)) < 40
    assert roll_of_mask(above, near=roll) is None


def test_specks_are_no_second_eye() -> None:
    labels = upside_down(50)
    labels[28:30, 45:47] = 2
    assert roll_of_mask(labels) is None


def test_a_mouth_beside_the_eyes_is_not_believed() -> None:
    labels = np.ones((60, 60), dtype=np.uint8)
    labels[28:32, 10:16] = labels[28:32, 40:46] = 2
    labels[30:34, 50:58] = 3  # almost on the line of the eyes
    assert roll_of_mask(labels, near=-80) is None


def test_no_face() -> None:
    assert turned_box_of_mask(np.zeros((9, 9), dtype=np.uint8), 30) is None
    assert roll_of_mask(np.full((9, 9), 255, dtype=np.uint8)) is None


def test_without_roll_the_crop_is_that_of_upright_masks() -> None:
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[10:41, 20:52] = 1
    labels[3, 3] = 1
    labels[50:, 70:] = 255
    box = turned_box_of_mask(labels, 0.0)
    assert box == face_box_of_mask(labels)
    assert turned_box_of_mask(labels, 180) == pytest.approx(box)
