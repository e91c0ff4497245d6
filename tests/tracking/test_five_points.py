import math

import numpy as np
import pytest

from facemask.boxes import Box
from facemask.tracking.five_points import (
    crop_of_five_points,
    face_of_five_points,
    likeness_of_five_points,
    roll_of_five_points,
)
from facemask.turned import Points, TurnedBox

FACE = np.array([[42.0, 38.0], [61.0, 41.0], [55.0, 50.0], [43.0, 60.0], [58.0, 61.0]])
"""A face that looks to the image's right, a little turned."""


def turned(points: Points, degrees: float) -> Points:
    """Turned clockwise on the screen about (0, 0), where y points down."""
    radians = math.radians(degrees)
    x, y = points.T
    return np.stack(
        [
            x * math.cos(radians) - y * math.sin(radians),
            x * math.sin(radians) + y * math.cos(radians),
        ],
        axis=1,
    )


def test_crop_of_five_points_by_hand() -> None:
    points = np.array([[40, 40], [60, 40], [50, 50], [40, 60], [60, 60]], dtype=np.float64)
    spread = np.sqrt(800 / 5)  # four points at distance √200, one at 0
    assert crop_of_five_points(points) == pytest.approx(
        Box.around(50.0, 50 + 0.218 * spread, 4.58 * spread)
    )
    turned = points.copy()
    turned[2, 0] += 5  # the nose points to the right: the face is on the left of the points
    x, _ = crop_of_five_points(turned).center
    assert x == pytest.approx(51 - 1.63 * 4)
    upright = crop_of_five_points(turned).center
    rolled = np.stack([100 - turned[:, 1], turned[:, 0]], axis=1)  # a quarter turn about (50, 50)
    assert crop_of_five_points(rolled).center == pytest.approx((100 - upright[1], upright[0]))


def test_roll_by_hand() -> None:
    upright = np.array([[40, 40], [60, 40], [50, 50], [40, 60], [60, 60]], dtype=np.float64)
    assert roll_of_five_points(upright) == pytest.approx(0, abs=1e-9)
    # the chin to the left: the eye that was on the left is above
    lying = np.array([[60, 40], [60, 60], [50, 50], [40, 40], [40, 60]], dtype=np.float64)
    assert roll_of_five_points(lying) == pytest.approx(90)
    assert roll_of_five_points(-upright) == pytest.approx(-180)


@pytest.mark.parametrize("degrees", [-180.0, -137.0, -90.0, -0.5, 33.0, 90.0, 179.0])
def test_all_turn_together(degrees: float) -> None:
    own = roll_of_five_points(FACE)
    face = face_of_five_points(turned(FACE, degrees), 0.625)
    assert face.score == 0.625
    assert math.sin(math.radians(face.roll - own - degrees)) == pytest.approx(0, abs=1e-9)
    assert math.cos(math.radians(face.roll - own - degrees)) == pytest.approx(1)
    upright = crop_of_five_points(FACE)
    assert face.box.side == pytest.approx(upright.side)
    assert face.box.center == pytest.approx(turned(np.array([upright.center]), degrees)[0])
    # the points lie at the same places of the crop, upright
    places = TurnedBox(upright, own).to_upright(FACE)
    found = TurnedBox(face.box, face.roll).to_upright(turned(FACE, degrees))
    assert found == pytest.approx(places)


def test_likeness() -> None:
    own = roll_of_five_points(FACE)
    best = likeness_of_five_points(FACE, own)
    assert 0.9 < best < 1
    assert likeness_of_five_points(FACE) == pytest.approx(best * math.cos(math.radians(own)))
    assert likeness_of_five_points(FACE, own + 60) == pytest.approx(best / 2)
    assert likeness_of_five_points(7 * FACE + 100, own) == pytest.approx(best)
    assert likeness_of_five_points(turned(FACE, 180.0), own) == pytest.approx(-best)
    line = np.array([[10.0, 1], [20, 2], [30, 3], [40, 4], [50, 5]])
    assert likeness_of_five_points(line, roll_of_five_points(line)) < 0.8
    assert likeness_of_five_points(np.full((5, 2), 3.0)) == 0
