import numpy as np
import numpy.typing as npt
import pytest
from scipy.interpolate import CubicSpline

from facemask.classes import PALETTE
from facemask.data.masks import _sample_spline, color_to_mask, landmarks_to_mask, mask_to_color
from facemask.errors import InputError
from tests.faces import Points, face_points

# The authors' rule once more, point numbers from 1, written out for this test
CURVES = [
    (1, [list(range(1, 18)), list(range(27, 22, -1)), list(range(22, 17, -1))]),
    (2, [[37, 38, 39, 40], [40, 41, 42, 37]]),
    (2, [[43, 44, 45, 46], [46, 47, 48, 43]]),
    (3, [[49, 50, 51, 52], [52, 53, 54, 55], [55, 56, 57, 58, 59, 60, 49]]),
    (4, [[61, 62, 63, 64, 65], [65, 66, 67, 68, 61]]),
]


def spline_outline(points: Points, curves: list[list[int]], samples: int) -> Points:
    """One SciPy spline a curve, finely sampled."""
    parts = []
    for curve in curves:
        spline = CubicSpline(range(len(curve)), points[np.array(curve) - 1])
        parts.append(spline(np.linspace(0, len(curve) - 1, (len(curve) - 1) * samples)))
    return np.concatenate(parts)


@pytest.mark.parametrize("count", [4, 5, 7, 17])
def test_splines_are_those_of_scipy(count: int) -> None:
    knots, values = np.arange(count), np.random.default_rng(count).uniform(0, 300, (count, 2))
    found = _sample_spline(values)
    expected = CubicSpline(knots, values)(np.linspace(0, count - 1, len(found)))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def reference_mask(points: Points, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Ray casting from every pixel centre against every edge: slow and plain."""
    mask = np.zeros((height, width), dtype=np.uint8)
    columns = np.arange(width)
    for class_id, curves in CURVES:
        outline = spline_outline(points, curves, samples=150)
        following = np.roll(outline, -1, axis=0)
        for row in range(height):
            above = (outline[:, 1] > row) != (following[:, 1] > row)
            a, b = outline[above], following[above]
            x = a[:, 0] + (row - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
            mask[row, (columns[:, None] < x).sum(axis=1) % 2 == 1] = class_id
    return mask


@pytest.mark.parametrize("size", [12, 30, 90, 250])
def test_equals_a_direct_point_in_polygon_evaluation(size: int) -> None:
    rng = np.random.default_rng(size)
    intersection, union = np.zeros(5), np.zeros(5)
    height, width = int(1.6 * size), int(1.3 * size) + 3
    for _ in range(max(12, 3000 // size)):
        center = (width / 2 + rng.normal(0, size / 8), height / 2)
        points = face_points(rng, size, center, jitter=rng.choice([0.005, 0.03]))
        mask, expected = (
            landmarks_to_mask(points, height, width),
            reference_mask(points, height, width),
        )
        for class_id in range(5):
            intersection[class_id] += ((mask == class_id) & (expected == class_id)).sum()
            union[class_id] += ((mask == class_id) | (expected == class_id)).sum()
    assert union.min() > 20  # every class, eyes of the tiniest faces included
    assert (intersection / union).min() >= 0.999


def test_pixel_centres_decide() -> None:
    # a triangle of a jaw, straight edges: columns 2 to 6 of row 2, for example
    points = np.full((68, 2), -50.0)
    points[:9] = np.linspace((1.5, 0.5), (4.0, 5.5), 9)
    points[8:17] = np.linspace((4.0, 5.5), (6.5, 0.5), 9)
    points[22:27] = np.linspace((4.0, 0.5), (6.5, 0.5), 5)
    points[17:22] = np.linspace((1.5, 0.5), (4.0, 0.5), 5)
    skin = landmarks_to_mask(points, height=8, width=9) == 1
    assert [row.nonzero()[0].tolist() for row in skin] == [
        [],
        [2, 3, 4, 5, 6],
        [3, 4, 5],
        [3, 4, 5],
        [4],
        [4],
        [],
        [],
    ]


def test_later_regions_cover_earlier_ones() -> None:
    points = face_points(np.random.default_rng(1), 100, (60, 60), jitter=0)
    mask = landmarks_to_mask(points, 130, 130)
    x, y = points[66]  # middle of the inner lower lip
    assert mask[int(y) - 1, int(x)] == 4
    assert mask[tuple(np.rint(points[36:42].mean(axis=0)[::-1]).astype(int))] == 2
    assert mask[tuple(np.rint(points[42:48].mean(axis=0)[::-1]).astype(int))] == 2
    assert mask[tuple(np.rint(points[30][::-1]).astype(int))] == 1  # nose is skin


def test_a_video_at_once_and_points_outside_the_frame() -> None:
    rng = np.random.default_rng(0)
    points = np.stack([face_points(rng, 80, center) for center in [(50, 50), (2, 90), (120, -5)]])
    masks = landmarks_to_mask(points, 100, 110)
    assert masks.shape == (3, 100, 110)
    assert masks.dtype == np.uint8
    big = landmarks_to_mask(points + 200, 500, 510)[:, 200:300, 200:310]
    np.testing.assert_array_equal(masks, big)  # clipping does not change what is inside
    for single, mask in zip(points, masks, strict=True):
        np.testing.assert_array_equal(landmarks_to_mask(single, 100, 110), mask)
    assert not landmarks_to_mask(points[0] + 1e6, 100, 110).any()
    assert not landmarks_to_mask(points[0] * 0, 100, 110).any()


@pytest.mark.parametrize(
    ("points", "height", "message"),
    [
        (np.zeros((67, 2)), 10, r"shape \(67, 2\), expected \(68, 2\)"),
        (np.full((68, 2), np.inf), 10, "NaN or infinite"),
        (np.zeros((68, 2)), 0, "positive size, got height 0"),
    ],
)
def test_bad_input(points: Points, height: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        landmarks_to_mask(points, height, 10)


def test_colors_and_back() -> None:
    mask = np.array([[0, 1, 2], [3, 4, 255]], dtype=np.uint8)
    color = mask_to_color(mask)
    assert color.shape == (2, 3, 3)
    assert color[1, 0].tolist() == [0, 255, 255]
    np.testing.assert_array_equal(color[0], PALETTE[:3])
    np.testing.assert_array_equal(color_to_mask(color), mask)


def test_unknown_values_are_named() -> None:
    with pytest.raises(InputError, match=r"\[5, 77\] are not class ids"):
        mask_to_color(np.array([[0, 77, 5]], dtype=np.uint8))
    strange = np.array([[[255, 0, 0], [254, 0, 0], [255, 255, 0]]], dtype=np.uint8)
    with pytest.raises(InputError, match=r"\[\[254, 0, 0\], \[255, 255, 0\]\] are not in the pal"):
        color_to_mask(strange)
