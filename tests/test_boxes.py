import numpy as np
import pytest

from facemask import boxes, resample
from facemask.boxes import (
    Box,
    Crop,
    enclosing,
    face_box_of_mask,
    face_box_of_points,
    face_crop_box,
    overlap,
)
from facemask.data.masks import landmarks_to_mask
from facemask.errors import InputError
from tests.faces import face_points


def test_box_of_points_by_hand() -> None:
    points = np.full((68, 2), 30.0)
    points[0], points[16], points[8] = (10.0, 20.0), (49.0, 22.0), (31.0, 79.0)
    # 39 wide, 59 high: side 1.3 * 49 = 63.7; centre 29.5, 49.5 in pixel centres
    box = face_box_of_points(points)
    assert box == pytest.approx((30 - 31.85, 50 - 31.85, 30 + 31.85, 50 + 31.85))
    assert (box.width, box.height, box.side) == pytest.approx((63.7, 63.7, 63.7))
    assert box.center == pytest.approx((30, 50))


@pytest.mark.parametrize("center", [(100.3, 90.2), (12.0, 75.0), (190.0, 140.0)])
def test_clipped_is_the_data_sets_crop(center: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    for size in rng.uniform(20, 90, 30):
        points = face_points(rng, size, center)
        assert face_box_of_points(points).clipped(150, 200) == face_crop_box(points, 150, 200)


def test_clipping_rounds_and_clips() -> None:
    assert Box(-3.0, 4.6, 20.4, 200.0).clipped(100, 50) == Crop(0, 5, 20, 100)


@pytest.mark.parametrize("box", [Box(60, 0, 90, 30), Box(-40, -40, 1, 50), Box(5, 5, 6, 20)])
def test_nothing_left_to_clip(box: Box) -> None:
    with pytest.raises(InputError, match="leaves no face inside the frame of 50×40 pixels"):
        box.clipped(40, 50)


def test_box_of_a_mask_is_that_of_its_landmarks() -> None:
    rng = np.random.default_rng(0)
    for size in (60.0, 120.0):
        points = face_points(rng, size, (150.0, 120.0))
        expected = face_box_of_points(points)
        box = face_box_of_mask(landmarks_to_mask(points, 260, 300))
        assert box is not None
        assert overlap(box, expected) > 0.95


def test_box_of_a_mask_ignores_specks_and_unlabelled_pixels() -> None:
    labels = np.zeros((50, 80), dtype=np.uint8)
    labels[10:30, 40:50] = 1  # 10 wide, 20 high: side 1.3 * 15 = 19.5
    labels[15:18, 42:46] = 3
    labels[45:48, 2:6] = 1
    labels[:, 70:] = 255
    assert face_box_of_mask(labels) == Box.around(45.0, 20.0, 19.5)


def test_no_face_in_a_mask() -> None:
    assert face_box_of_mask(np.zeros((5, 5), dtype=np.uint8)) is None
    assert face_box_of_mask(np.full((5, 5), 255, dtype=np.uint8)) is None


@pytest.mark.parametrize("labels", [np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5), np.int64)])
def test_wrong_mask(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected class ids as uint8 \(H, W\)"):
        face_box_of_mask(labels)


def test_overlap() -> None:
    first = Box(0, 0, 10, 20)
    assert overlap(first, first) == 1
    assert overlap(first, Box(5, 10, 15, 30)) == pytest.approx(50 / 350)
    assert overlap(first, Box(20, 0, 30, 20)) == 0
    assert overlap(Box(1, 1, 1, 1), Box(1, 1, 1, 1)) == 0


def test_enclosing() -> None:
    assert enclosing([Box(1, 2, 5, 6), Box(0, 3, 4, 9)]) == Box(0, 2, 5, 9)
    assert enclosing([]) is None


def test_boxes_by_their_former_names() -> None:
    assert boxes.FaceBox is resample.PixelBox is resample.RelativeBox is Box
