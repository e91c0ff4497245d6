from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask.boxes import Box
from facemask.data.region_boxes import (
    LabelExtent,
    RegionBoxes,
    box_size,
    cut_image,
    cut_labels,
    read_extents,
)
from facemask.data.vw300_mask import Frame
from facemask.errors import InputError
from facemask.regions import Region, relative_extent


@st.composite
def label_clips(draw: st.DrawFn) -> list[np.ndarray]:
    """Label images of one clip, sizes differing by a few pixels, each with both eyes or none."""
    height, width = draw(st.integers(60, 120)), draw(st.integers(60, 120))
    labels: list[np.ndarray] = []
    for _ in range(draw(st.integers(1, 5))):
        shape = (height + draw(st.integers(0, 4)), width + draw(st.integers(0, 4)))
        label = np.zeros(shape, dtype=np.uint8)
        if not labels or draw(st.booleans()):
            top, left = draw(st.integers(0, 50)), draw(st.integers(0, 40))
            for start in (left, left + draw(st.integers(2, 12))):
                label[top : top + draw(st.integers(1, 9)), start : start + 6] = 2
        labels.append(label)
    return labels


def clip_of(labels: list[np.ndarray]) -> tuple[tuple[Frame, ...], dict[Path, LabelExtent]]:
    frames = tuple(Frame("a", n, Path(), Path(f"{n}.png")) for n in range(1, len(labels) + 1))
    extents = {
        Path(f"{n}.png"): LabelExtent(relative_extent(label == 2), (label.shape[0], label.shape[1]))
        for n, label in enumerate(labels, start=1)
    }
    return frames, extents


@settings(max_examples=150, deadline=None)
@given(
    label_clips(),
    st.integers(0, 2**32),
    st.floats(1, 3),
    st.floats(0, 0.9),
    st.floats(0, 0.9),
)
def test_the_box_is_square_and_holds_the_region_of_every_frame(
    labels: list[np.ndarray], seed: int, margin: float, shift: float, scale: float
) -> None:
    frames, extents = clip_of(labels)
    box = RegionBoxes("eyes", extents, margin, shift, scale).box(frames, (seed, 0, 0))
    mean_height, mean_width = np.mean([label.shape for label in labels], axis=0)
    side = (box.right - box.left) * mean_width
    assert side == pytest.approx((box.bottom - box.top) * mean_height)
    for label in labels:
        edges = box.in_pixels(*label.shape)
        # frames differ by 4 pixels at most, and so does the side by a share of it
        assert edges.right - edges.left == pytest.approx(side, rel=4 / 60)
        assert edges.bottom - edges.top == pytest.approx(side, rel=4 / 60)
        rows, columns = np.nonzero(label == 2)
        if len(rows) == 0:
            continue
        # the pixels' outer edges lie in the box
        assert edges.left <= columns.min() + 1e-6
        assert edges.top <= rows.min() + 1e-6
        assert columns.max() + 1 <= edges.right + 1e-6
        assert rows.max() + 1 <= edges.bottom + 1e-6
        # so nothing of it is lost when it is cut out, and it lies where it was
        size = 4 * int(np.ceil(side))
        cut = relative_extent(cut_labels(label, edges, (size, size), "eyes") == 1)
        assert cut is not None
        pixel = side / size * 1.1
        back = edges.left + cut.left * (edges.right - edges.left)
        assert back == pytest.approx(columns.min(), abs=pixel)
        back = edges.top + cut.bottom * (edges.bottom - edges.top)
        assert back == pytest.approx(rows.max() + 1, abs=pixel)


def test_noise_stays_in_its_limits_and_follows_the_seed() -> None:
    # eyes 20 wide and 4 high: side 40 at margin 2, room of 10 in x and of 18 in y
    label = np.zeros((100, 100), dtype=np.uint8)
    label[50:54, 40:60] = 2
    frames, extents = clip_of([label])

    def side_and_centre(shift: float, scale: float, seed: int) -> tuple[float, float, float]:
        box = RegionBoxes("eyes", extents, 2.0, shift, scale).box(frames, (7, 0, seed))
        left, top, right, bottom = box.in_pixels(100, 100)
        return right - left, (left + right) / 2, (top + bottom) / 2

    still = {side_and_centre(0, 0, seed) for seed in range(5)}
    assert len(still) == 1
    assert still.pop() == pytest.approx((40, 50, 52))
    drawn = np.array([side_and_centre(0.2, 0.1, seed) for seed in range(300)])  # (300, 3)
    assert 36 <= drawn[:, 0].min() < 37
    assert 43 < drawn[:, 0].max() <= 44
    assert (np.abs(drawn[:, 1:] - (50, 52)) <= 0.2 * drawn[:, :1] + 1e-9).all()
    assert np.ptp(drawn[:, 1]) > 10
    assert np.ptp(drawn[:, 2]) > 10
    assert abs(np.corrcoef(drawn.T)[0, 1:]).max() < 0.2  # drawn apart
    far = np.array([side_and_centre(0.9, 0.0, seed) for seed in range(100)])
    assert (np.abs(far[:, 1] - 50) <= 10 + 1e-9).all()  # as far as the room lets it
    assert side_and_centre(0.2, 0.1, 3) == side_and_centre(0.2, 0.1, 3)


def test_extents_from_label_files(tmp_path: Path) -> None:
    label = np.zeros((10, 20), dtype=np.uint8)
    label[1:9, 2:18] = 1
    label[3:5, 4:7] = label[2:4, 12:16] = 2
    label[6:8, 8:12] = 3
    label[7, 8:11] = 4
    cv2.imwrite(str(tmp_path / "a.png"), label)
    cv2.imwrite(str(tmp_path / "b.png"), np.where(label == 2, 0, label))
    eyes = LabelExtent(Box(4 / 20, 2 / 10, 16 / 20, 5 / 10), (10, 20))
    assert read_extents([tmp_path / "a.png", tmp_path / "b.png"], "eyes") == {
        tmp_path / "a.png": eyes,
        tmp_path / "b.png": LabelExtent(None, (10, 20)),
    }
    mouth = Box(8 / 20, 6 / 10, 12 / 20, 8 / 10)  # lips and inner mouth
    (found,) = read_extents([tmp_path / "b.png"], "mouth").values()
    assert found.extent == mouth
    with pytest.raises(InputError, match=r"none\.png: not a readable label"):
        read_extents([tmp_path / "a.png", tmp_path / "none.png"], "eyes")


def test_an_image_is_cut_like_a_whole_one_is_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for size in ((80, 90), (20, 25)):
        cut = cut_image(image, Box(0, 0, 50, 40), size)
        assert cut.dtype == np.uint8
        assert cut.flags.c_contiguous
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        expected = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
        np.testing.assert_allclose(cut, expected.permute(1, 2, 0), atol=0.51)  # rounded
    # one pixel to one pixel, two columns and one row outside
    cut = cut_image(image, Box(-2, 36, 3, 41), (5, 5))
    assert (cut[:, :2] == 0).all()
    assert (cut[4] == 0).all()
    np.testing.assert_array_equal(cut[:4, 2:], image[36:, :3])


@pytest.mark.parametrize(
    ("region", "expected"),
    [("eyes", [[255, 255, 255], [255, 1, 0], [255, 0, 255]]),
     ("mouth", [[255, 255, 255], [255, 0, 1], [255, 2, 255]])],
)  # fmt: skip
def test_labels_are_cut_with_the_regions_own_classes(
    region: Region, expected: list[list[int]]
) -> None:
    label = np.array([[2, 3, 0], [4, 255, 1]], dtype=np.uint8)
    cut = cut_labels(label, Box(-1, -1, 2, 2), (3, 3), region)
    assert cut.dtype == np.uint8
    np.testing.assert_array_equal(cut, expected)


def test_a_box_measures_at_least_one_pixel() -> None:
    assert box_size(Box(0.2, 0.1, 0.4, 7.4)) == (7, 1)
