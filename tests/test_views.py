"""Upright views: at right angles they are the turned image itself, else they follow its content."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.resample import crop_pixels, resize_whole
from facemask.turned import TurnedBox
from facemask.views import View, view_of, warp_on_device

WHOLE = Box(0, 0, 1, 1)


def picture(height: int, width: int) -> Tensor:
    """A smooth picture with another slope in each channel: sampling it anywhere is exact."""
    x, y = np.arange(width) + 0.5, (np.arange(height) + 0.5)[:, None]
    planes = [2.0 * x + 0 * y, 3.0 * y + 0 * x, x + y]
    return torch.from_numpy(np.stack(planes).clip(0, 255).astype(np.uint8))


def test_a_view_without_roll_is_resized_like_every_image() -> None:
    image = picture(50, 61)
    view = View.whole(image)
    assert view.size == pytest.approx((50, 61))
    assert torch.equal(view.resized(32), resize_whole(image, 32))
    part = Box(0.25, 0.5, 0.75, 1.25)
    assert torch.equal(view.cut(part, 16), crop_pixels(image, part.in_pixels(50, 61), (16, 16)))


@pytest.mark.parametrize(("roll", "turns"), [(90.0, 1), (180.0, 2), (-90.0, 3)])
def test_at_right_angles_a_view_is_the_picture_turned_back(roll: float, turns: int) -> None:
    image = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)
    view = View(image, TurnedBox(Box(0, 0, 40, 40), roll))
    upright = torch.rot90(image, turns, (1, 2))  # counterclockwise, as a clockwise roll needs
    assert (view.resized(40).int() - upright.int()).abs().max() <= 1
    # reduced by two: the same filter as without roll
    assert (view.resized(20).int() - resize_whole(upright, 20).int()).abs().max() <= 2


@pytest.mark.parametrize("roll", [30.0, -75.0, 141.0])
def test_content_is_seen_at_its_place(roll: float) -> None:
    image = picture(80, 80)
    place = TurnedBox(Box(24.25, 31.5, 54.25, 61.5), roll)  # 30 × 30
    seen = View(image, place).cut(Box(0.2, 0.4, 0.6, 0.8), 12).float()
    # the centre of the result's pixel (column 2, row 7), worked out by the turned box itself
    upright = np.array([[30 * (0.2 + 0.4 * 2.5 / 12), 30 * (0.4 + 0.4 * 7.5 / 12)]])
    x, y = place.to_image(upright)[0]
    assert seen[0, 7, 2] == pytest.approx(2 * x - 0.5, abs=1.5)
    assert seen[1, 7, 2] == pytest.approx(3 * y - 0.5, abs=1.5)


def test_the_image_ends_in_black() -> None:
    image = torch.full((3, 20, 20), 200, dtype=torch.uint8)
    seen = View(image, TurnedBox(Box(-10, -10, 30, 30), 45)).resized(40)
    assert seen[0, 20, 20] == 200
    assert seen[0, 0, 0] == 0
    assert seen[0, 20, 2] == 0


@pytest.mark.parametrize("roll", [17.0, 90.0, -130.0])
def test_a_mask_comes_back_where_it_was(roll: float) -> None:
    """A disc beside the middle, seen upright and brought back, is the disc of the image."""
    place = TurnedBox(Box(20.0, 10.0, 80.0, 70.0), roll)
    centre, radius = np.array([22.0, 41.0]), 9.0  # upright
    steps = (np.arange(240) + 0.5) * 60 / 240
    distance = np.hypot(steps[None, :] - centre[0], steps[:, None] - centre[1])
    scores = torch.from_numpy(np.stack([distance - radius, radius - distance]))
    image = torch.zeros(3, 80, 100, dtype=torch.uint8)
    labels = View(image, place).scores(scores)[1] > 0
    x, y = place.to_image(centre[None])[0]
    rows, columns = np.indices((80, 100)) + 0.5
    true = np.hypot(columns - x, rows - y) < radius
    wrong = (labels.numpy() != true) & (np.abs(np.hypot(columns - x, rows - y) - radius) > 0.1)
    assert not wrong.any()
    # the same disc by a part of the view
    part = Box(10.0, 29.0, 34.0, 53.0)
    columns_of_part = slice(10 * 4, 34 * 4)
    rows_of_part = slice(29 * 4, 53 * 4)
    maps, pixels, inside = View(image, place).paste(scores[:, rows_of_part, columns_of_part], part)
    assert inside is not None
    pasted = np.zeros((80, 100), dtype=bool)
    pasted[pixels] = ((maps[1] > 0) & inside).numpy()
    wrong = (pasted != true) & (np.abs(np.hypot(columns - x, rows - y) - radius) > 0.5)
    assert not wrong.any()


def test_devices_sample_like_opencv() -> None:
    image = torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8)
    to_image = np.array([[0.9, -0.2, 3.25], [0.25, 1.1, 5.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(
        image.permute(1, 2, 0).contiguous().numpy(), to_image, (40, 30), flags=flags
    )
    found = warp_on_device(image, to_image, 30, 40).permute(1, 2, 0).numpy()
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 5  # OpenCV may round places to 1/32 of a pixel
    assert difference.mean() < 1


def test_the_inside_of_a_box_in_upright_coordinates() -> None:
    view = View(torch.zeros(3, 20, 20, dtype=torch.uint8), TurnedBox(Box(0, 0, 20, 20), 90))
    inside = view.inside(Box(0, 0, 5, 20))  # the upright left is above in the image
    assert inside[:5].all()
    assert not inside[5:].any()


def test_a_part_beside_the_image_pastes_nothing() -> None:
    view = View(torch.zeros(3, 20, 20, dtype=torch.uint8), TurnedBox(Box(0, 0, 20, 20), 30))
    maps, _, inside = view.paste(torch.ones(2, 8, 8), Box(100, 100, 110, 110))
    assert 0 in maps.shape[1:]
    assert inside is not None
    assert not inside.any()


def test_reducing_scores_averages_over_what_a_pixel_covers() -> None:
    view = View(torch.zeros(3, 20, 20, dtype=torch.uint8), TurnedBox(Box(0, 0, 20, 20), 180))
    stripes = torch.zeros(1, 80, 80)
    stripes[:, :, ::2] = 1
    maps, _, _ = view.paste(stripes, Box(5, 5, 15, 15))
    assert (maps - 0.5).abs().max() < 0.1


def test_wrong_pixels_are_refused() -> None:
    with pytest.raises(InputError, match=r"Frame 3 is float32 \(3, 4, 4\)"):
        view_of(torch.zeros(3, 4, 4), "Frame 3")
    assert math.isclose(view_of(torch.zeros(3, 4, 5, dtype=torch.uint8), "a").size[1], 5)
