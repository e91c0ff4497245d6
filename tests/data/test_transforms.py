import math
from fractions import Fraction
from typing import Any

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facemask.data import ClipAugmentation, ClipTransform
from facemask.resample import resize_image, resize_mask


def clip(size: int = 64, frames: int = 3) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[10:30, 20:50] = 1
    return [image] * frames, [mask] * frames


def test_resize_keeps_pixel_centres_and_antialiases() -> None:
    ramp = np.tile(np.arange(0, 160, 2, dtype=np.uint8)[:, None, None], (1, 80, 3))
    half = resize_image(ramp, 40, 40)
    # pixel i of the half lies between pixels 2i and 2i + 1
    np.testing.assert_allclose(half[2:-2, 0, 0], np.arange(1, 160, 4)[2:-2], atol=1)
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[::2] = 200
    assert np.ptp(resize_image(stripes, 16, 16)[2:-2]) < 20  # a plain bilinear would alias

    mask = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = F.interpolate(torch.from_numpy(mask)[None, None], (5, 7), mode="nearest-exact")
    np.testing.assert_array_equal(resize_mask(mask, 5, 7), expected[0, 0].numpy())


def test_labels_are_those_under_the_new_centres_at_any_size() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        height, width, new_height, new_width = (int(n) for n in rng.integers(1, 90, 4))
        mask = rng.integers(0, 255, (height, width), dtype=np.uint8)
        rows = [math.floor(Fraction(2 * i + 1, 2 * new_height) * height) for i in range(new_height)]
        columns = [math.floor(Fraction(2 * i + 1, 2 * new_width) * width) for i in range(new_width)]
        resized = resize_mask(mask, new_height, new_width)
        np.testing.assert_array_equal(resized, mask[np.ix_(rows, columns)])


def test_frames_of_a_clip_share_every_parameter() -> None:
    augment = ClipAugmentation(color=1, gamma=1, blur=1, compression=1, noise=1, occlusion=1)
    for seed in range(12):
        images, masks = augment(*clip(), seed=seed)
        for image, mask in zip(images[1:], masks[1:], strict=True):
            np.testing.assert_array_equal(image, images[0])
            np.testing.assert_array_equal(mask, masks[0])


def test_the_seed_decides() -> None:
    augment = ClipAugmentation()
    first, _ = augment(*clip(), seed=7)
    other, _ = augment(*clip(), seed=8)
    np.random.default_rng(0).normal()
    again, _ = augment(*clip(), seed=7)
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
    fresh, _ = ClipAugmentation()(*clip(), seed=7)
    np.testing.assert_array_equal(first[0], fresh[0])


def test_image_and_mask_move_together_and_new_ground_is_ignored() -> None:
    _, masks = clip()
    images = [np.repeat(masks[0][..., None] * 200, 3, axis=2)] * 3  # the image shows the mask
    augment = ClipAugmentation(color=0, gamma=0, gray=0, blur=0, low_resolution=0, compression=0,
                               noise=0, occlusion=0, shift=0.2)  # fmt: skip
    moved, ignored = 0, 0
    for seed in range(20):
        out, labels = augment(images, masks, seed=seed)
        inside = labels[0] != 255
        agree = (out[0][..., 0] > 100) == (labels[0] == 1)
        assert agree[inside].mean() > 0.97
        assert (out[0][~inside] == 0).all()
        moved += int((labels[0] != masks[0]).any())
        ignored += int((~inside).any())
    assert moved == 20
    assert ignored > 10


@pytest.mark.parametrize("part", ["affine", "perspective"])
def test_inside_a_reflected_border_images_are_those_of_albumentations(part: str) -> None:
    images, masks = clip(97)
    off: dict[str, Any] = dict.fromkeys(
        ["flip", "color", "gamma", "gray", "blur", "low_resolution", "compression", "noise",
         "occlusion"], 0.0)  # fmt: skip
    if part == "perspective":
        off |= {"rotate": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "perspective": 1.0}
    plain, reflect = ClipAugmentation(**off), ClipAugmentation(**off, border="reflect")
    for seed in range(10):
        one, labels = plain(images, masks, seed=seed)
        other, same = reflect(images, masks, seed=seed)
        np.testing.assert_array_equal(labels, same)
        inside = cv2.erode((labels[0] != 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        inside[[0, 1, -2, -1]] = inside[:, [0, 1, -2, -1]] = False  # what lies outside plays in
        assert inside.mean() > 0.4
        np.testing.assert_array_equal(one[0][inside], other[0][inside])


def test_flip_is_a_mirror() -> None:
    images, masks = clip()
    flip = ClipTransform([A.HorizontalFlip(p=1.0)])
    out, labels = flip(images, masks, seed=0)
    np.testing.assert_array_equal(out[2], images[2][:, ::-1])
    np.testing.assert_array_equal(labels[2], masks[2][:, ::-1])


def test_occlusion_leaves_the_mask_complete() -> None:
    images, masks = clip()
    off: dict[str, Any] = dict.fromkeys(
        ["flip", "rotate", "shift", "color", "gamma", "gray", "blur", "low_resolution",
         "compression", "noise"], 0.0)  # fmt: skip
    augment = ClipAugmentation(**off, scale=(1.0, 1.0), occlusion=1.0)
    out, labels = augment(images, masks, seed=3)
    assert (out[0] != images[0]).mean() > 0.01
    np.testing.assert_array_equal(labels[0], masks[0])


def test_nothing_at_zero() -> None:
    augment = ClipAugmentation(0, 0, (1.0, 1.0), 0, 0, 0, 0, 0, 0, 0, 0, 0)
    images, masks = clip()
    out, labels = augment(images, masks, seed=3)
    np.testing.assert_array_equal(out[0], images[0])
    np.testing.assert_array_equal(labels[0], masks[0])


def test_a_lower_resolution_averages_pixels_and_enlarges_smoothly() -> None:
    images, masks = clip(96)
    stripes = np.zeros_like(images[0])
    stripes[:, ::2] = 200  # every other column: repeated pixels would keep 0 and 200 alone
    off: dict[str, Any] = dict.fromkeys(
        ["flip", "rotate", "shift", "color", "gamma", "gray", "blur", "compression", "noise",
         "occlusion"], 0.0)  # fmt: skip
    augment = ClipAugmentation(**off, scale=(1.0, 1.0), low_resolution=1.0)
    for seed in range(5):
        out, _ = augment([stripes] * 3, masks, seed=seed)
        assert np.abs(out[0].astype(int) - 100).mean() < 50
        assert abs(out[0].mean() - 100) < 2
