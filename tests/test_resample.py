import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facemask.boxes import Box
from facemask.resample import crop_and_resize, crop_labels, paste_back


@pytest.mark.parametrize("size", [(20, 21), (80, 90), (37, 53), (1, 60)])
def test_the_whole_image_equals_interpolate(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, 37, 53, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(images, size, mode="bilinear", antialias=True)
    found = crop_and_resize(images, Box(0, 0, 53, 37), size)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(7, 12), (64, 70)])
def test_a_box_equals_pillows(size: tuple[int, int]) -> None:
    image = torch.rand(37, 53, generator=torch.Generator().manual_seed(0))
    box = Box(3.3, 4.7, 40.2, 30.1)
    expected = Image.fromarray(image.numpy()).resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    found = crop_and_resize(image, box, size)
    torch.testing.assert_close(found, torch.from_numpy(np.array(expected)), rtol=0, atol=1e-5)


def test_outside_is_padding() -> None:
    image = torch.full((1, 4, 6), 7.0)
    box = Box(-2, 1, 4, 7)  # two columns to the left and three rows below are outside
    found = crop_and_resize(image, box, (6, 6))
    expected = torch.zeros(1, 6, 6)
    expected[:, :3, 2:] = 7
    torch.testing.assert_close(found, expected)
    labels = crop_labels(image.byte(), box, (6, 6), outside=255)
    assert labels[0, 3:].eq(255).all()
    assert labels[0, :3].tolist() == [[255, 255, 7, 7, 7, 7]] * 3
    far = crop_and_resize(image, Box(100, 100, 110, 110), (5, 5))
    assert not far.any()


def test_labels_come_from_the_nearest_pixel() -> None:
    labels = torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8)
    # centres at 0.75, 1.25, 1.75, 2.25 of the row
    found = crop_labels(labels, Box(0.5, 0, 2.5, 1), (1, 4), outside=255)
    assert found.tolist() == [[0, 1, 1, 2]]


def test_half_precision_becomes_float32() -> None:
    assert crop_and_resize(torch.ones(1, 4, 4).half(), Box(0, 0, 4, 4), (8, 8)).dtype == (
        torch.float32
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = crop_and_resize(torch.ones(1, 4, 4), Box(0, 0, 4, 4), (8, 8))
    assert found.dtype == torch.float32


edges = st.floats(-0.3, 0.9)
sides = st.floats(0.15, 1.0)


@settings(max_examples=60, deadline=None)
@given(edges, edges, sides, st.integers(20, 90), st.integers(20, 90), st.integers(24, 96))
def test_crop_and_paste_move_no_pixel_by_more_than_half_of_one(
    left: float, top: float, side: float, height: int, width: int, size: int
) -> None:
    # an image whose values are its pixels' coordinates
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    image = torch.stack([y, x])
    pixels = Box(left, top, left + side, top + side).in_pixels(height, width)
    pasted, (rows, columns) = paste_back(
        crop_and_resize(image, pixels, (size, size)), pixels, (height, width)
    )
    inside = (x >= pixels.left) & (x < pixels.right) & (y >= pixels.top) & (y < pixels.bottom)
    assert int(inside.sum()) == (rows.stop - rows.start) * (columns.stop - columns.start)
    # a pixel of the zoom in from the box's and the image's edge, where a triangle is cut off
    coarse = max((pixels.right - pixels.left) / size, (pixels.bottom - pixels.top) / size, 1.0)
    low = torch.tensor([max(pixels.top, 0), max(pixels.left, 0)]) + 1.5 * coarse
    high = torch.tensor([min(pixels.bottom, height), min(pixels.right, width)]) - 1.5 * coarse
    there = image[:, rows, columns]
    safe = ((there > low[:, None, None]) & (there < high[:, None, None])).all(dim=0)
    moved = (pasted - there).abs()[:, safe]
    assert moved.numel() == 0 or float(moved.max()) <= 0.5


def test_a_box_without_pixels() -> None:
    pasted, (rows, columns) = paste_back(torch.ones(2, 5, 5), Box(-9, -9, -1, -1), (8, 8))
    assert pasted.shape == (2, 0, 0)
    assert rows.stop - rows.start == columns.stop - columns.start == 0
