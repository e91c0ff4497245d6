from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from facemask.classes import PALETTE
from facemask.errors import InputError
from facemask.video.painting import composite, face_alpha, overlay, side_by_side

Image = npt.NDArray[np.uint8]


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> Image:
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[5:50, 0:40] = 1
    labels[10:20, 5:15] = 2
    labels[30:40, 10:35] = 3
    labels[33:37, 15:30] = 4
    return labels


def test_overlay_mixes_colours_and_hatches_what_is_ignored(image: Image, labels: Image) -> None:
    labels[:, 70:] = 255
    painted = overlay(image, labels, 0.45, outline=False)
    expected = 0.55 * image + 0.45 * PALETTE[np.where(labels == 255, 0, labels)]
    inside = (labels > 0) & (labels < 255)
    assert np.abs(painted - expected)[inside].max() <= 0.5 + 1e-6
    assert (painted[labels == 0] == image[labels == 0]).all()
    assert (painted[:, 70:] == 160).all(axis=2).mean() > 0.2  # hatched


def test_what_may_be_several_classes_is_grey(image: Image, labels: Image) -> None:
    labels[:, 60:70], labels[:, 70:] = 131, 255
    painted = overlay(image, labels, 0.45, outline=False)
    colors = PALETTE[np.minimum(labels, 4)]
    colors[labels == 131] = 160
    expected = 0.55 * image + 0.45 * colors
    inside = (labels > 0) & (labels < 255)
    assert np.abs(painted - expected)[inside].max() <= 0.5 + 1e-6
    assert (painted[:, 70:] == 160).all(axis=2).mean() > 0.2  # hatched as before


def test_outline_is_the_inner_edge_of_each_class(image: Image, labels: Image) -> None:
    plain = overlay(image, labels, outline=False)
    painted = overlay(image, labels)
    changed = (painted != plain).any(axis=2)
    rows, columns = np.nonzero(changed | (painted == PALETTE[labels]).all(axis=2) & (labels > 0))
    edge = np.zeros_like(labels, dtype=bool)
    padded = np.pad(labels, 1, mode="edge")  # the picture's border is no edge
    for dy in range(3):
        for dx in range(3):
            edge |= padded[dy : dy + 60, dx : dx + 80] < labels
    assert set(zip(rows, columns, strict=True)) == set(zip(*np.nonzero(edge), strict=True))
    assert (painted[edge] == PALETTE[labels[edge]]).all()
    assert not edge[6:49, 0].any()


@pytest.mark.parametrize(("opacity", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_opacity(image: Image, labels: Image, opacity: float, share: float) -> None:
    painted = overlay(image, labels, opacity, outline=False)
    mixed = (1 - share) * image + share * PALETTE[labels].astype(float)
    expected = np.where(labels[..., None] > 0, mixed, image)
    assert np.abs(painted - expected).max() <= 0.51


def test_overlay_changes_nothing_of_what_it_gets(image: Image, labels: Image) -> None:
    before = image.copy()
    empty = overlay(image, np.zeros_like(labels))
    np.testing.assert_array_equal(empty, image)
    assert empty is not image
    overlay(image, labels)
    np.testing.assert_array_equal(image, before)
    # views, as cut out of a larger picture
    np.testing.assert_array_equal(
        overlay(image[5:, 3:70], labels[5:, 3:70]),
        overlay(image[5:, 3:70].copy(), labels[5:, 3:70].copy()),
    )


def test_side_by_side(image: Image) -> None:
    both = side_by_side(image, 255 - image)
    np.testing.assert_array_equal(both[:, :80], image)
    np.testing.assert_array_equal(both[:, 80:], 255 - image)


def test_composite(image: Image, labels: Image) -> None:
    np.testing.assert_array_equal(face_alpha(labels), np.where(labels > 0, 255, 0))
    alpha = np.random.default_rng(1).integers(0, 256, (60, 80), dtype=np.uint8)
    weight = alpha[..., None] / 255
    for background in (255 - image[::-1], np.array([10, 200, 30], dtype=np.uint8)):
        expected = weight * image + (1 - weight) * background
        assert np.abs(composite(image, alpha, background) - expected).max() < 0.51
    np.testing.assert_array_equal(composite(image, np.full_like(alpha, 255), 0 * image), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i, m: overlay(i, m[1:]), r"labels: uint8 \(59, 80\), expected uint8 \(H, W\)"),
        (lambda i, m: overlay(i, m.astype(int)), "labels: int64"),
        (lambda i, m: overlay(i[..., 0], m), r"image is uint8 \(60, 80\)"),
        (lambda i, m: overlay(i / 255, m), "image is float64"),
        (lambda i, m: overlay(i, m, 1.5), "opacity is 1.5, expected 0 to 1"),
        (lambda i, _: side_by_side(i, i[1:]), "have 60 and 59 rows"),
        (lambda i, _: face_alpha(i), "labels: uint8"),
        (lambda i, m: composite(i, m, i[:, 1:]), r"background has shape \(60, 79, 3\)"),
        (lambda i, _: composite(i, i, i), "alpha: uint8"),
    ],
)
def test_wrong_input(
    image: Image, labels: Image, call: Callable[[Image, Image], Image], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        call(image, labels)
