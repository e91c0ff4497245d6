"""Turned boxes, against values worked out by hand."""

import math

import numpy as np
import pytest

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.turned import TurnedBox, mean_angle, wrapped


def test_a_quarter_turn_clockwise_puts_the_upper_left_corner_on_the_upper_right() -> None:
    box = TurnedBox(Box(10, 10, 30, 20), 90)
    corners = box.to_image(np.array([[0.0, 0.0], [20.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(corners, [[25, 5], [25, 25], [21, 8]], atol=1e-9)


@pytest.mark.parametrize("roll", [0.0, 17.0, -95.0, 180.0])
def test_points_come_back(roll: float) -> None:
    box = TurnedBox(Box(3.5, -2.0, 33.5, 18.0), roll)
    points = np.array([[0.0, 0.0], [7.0, 11.0], [40.0, -5.0]])
    np.testing.assert_allclose(box.to_upright(box.to_image(points)), points, atol=1e-9)
    np.testing.assert_allclose(box.to_image(np.array([[15.0, 10.0]])), [[18.5, 8.0]], atol=1e-9)


def test_bounds_of_a_square_turned_by_45_degrees() -> None:
    bounds = TurnedBox(Box(0, 0, 10, 10), 45).bounds
    half = 5 * math.sqrt(2)
    np.testing.assert_allclose(bounds, [5 - half, 5 - half, 5 + half, 5 + half])


def test_clipping_without_roll_is_that_of_boxes() -> None:
    box = Box(-10.4, 5.6, 30.2, 46.2)
    assert TurnedBox(box).clipped(40, 60).box == Box(*box.clipped(40, 60))


def test_clipping_a_box_on_its_side_takes_the_part_in_the_image() -> None:
    clipped = TurnedBox(Box(-10, -10, 30, 30), 90).clipped(100, 100)
    np.testing.assert_allclose(clipped.bounds, [0, 0, 30, 30], atol=1e-9)
    assert clipped.roll == 90


def test_clipping_at_an_angle_keeps_all_that_lies_in_the_image() -> None:
    # a square of side 2√2 · 10 standing on its corner at the image's left edge: half is inside
    side = 20 * math.sqrt(2)
    clipped = TurnedBox(Box.around(0.0, 50.0, side), 45).clipped(100, 100)
    # the inside is the triangle (0, 30) (20, 50) (0, 70): its bounds in upright coordinates
    inside = TurnedBox(Box.around(0.0, 50.0, side), 45).to_upright(
        np.array([[0.0, 30.0], [20.0, 50.0], [0.0, 70.0]])
    )
    low, high = inside.min(axis=0), inside.max(axis=0)
    assert clipped.box.width == pytest.approx(high[0] - low[0])
    assert clipped.box.height == pytest.approx(high[1] - low[1])
    corners = np.array([[0.0, 30.0], [20.0, 50.0], [0.0, 70.0]])
    again = clipped.to_upright(corners)
    np.testing.assert_allclose(again.min(axis=0), 0, atol=1e-9)
    assert clipped.clipped(100, 100).box == pytest.approx(clipped.box)


def test_a_box_that_holds_the_image_is_clipped_to_it() -> None:
    clipped = TurnedBox(Box(-500, -500, 600, 600), 90).clipped(40, 60)
    np.testing.assert_allclose(clipped.bounds, [0, 0, 60, 40], atol=1e-9)


@pytest.mark.parametrize("box", [Box(200, 200, 240, 240), Box(99, 0, 101, 1)])
def test_a_box_outside_is_refused(box: Box) -> None:
    with pytest.raises(InputError, match="leaves no face inside the frame of 100×80 pixels"):
        TurnedBox(box, 30).clipped(80, 100)


def test_scaling_a_box_on_its_side_exchanges_the_factors() -> None:
    scaled = TurnedBox(Box(10, 10, 30, 20), 90).scaled(2.0, 3.0)
    assert scaled.roll == pytest.approx(90)
    assert scaled.box.center == pytest.approx((40, 45))
    assert (scaled.box.width, scaled.box.height) == pytest.approx((60, 20))


def test_scaling_at_an_angle_keeps_the_upper_edge_and_comes_back() -> None:
    box = TurnedBox(Box(0, 0, 20, 10), math.degrees(math.atan2(3, 4)))
    scaled = box.scaled(2.0, 1.0)
    # the upper edge, 20 · (4, 3) / 5, becomes (32, 12); the area, 200, is doubled
    assert scaled.roll == pytest.approx(math.degrees(math.atan2(12, 32)))
    assert scaled.box.width == pytest.approx(math.hypot(32, 12))
    assert scaled.box.height == pytest.approx(400 / math.hypot(32, 12))
    assert scaled.box.center == pytest.approx((20, 5))
    again = scaled.scaled(0.5, 1.0)
    assert again.roll == pytest.approx(box.roll)
    assert again.box == pytest.approx(box.box)


def test_a_part_stays_where_it_is() -> None:
    whole = TurnedBox(Box(10, 20, 50, 60), 30)
    part = whole.part(Box(5, 10, 15, 30))
    corner = whole.to_image(np.array([[5.0, 10.0]]))
    np.testing.assert_allclose(part.to_image(np.array([[0.0, 0.0]])), corner)


def test_angles_wrap() -> None:
    assert wrapped(540) == -180
    assert wrapped(-190) == 170
    assert mean_angle([350.0, 20.0]) == pytest.approx(5.0)
