"""Looks of overlays."""

import numpy as np
import pytest

from facemask.classes import PALETTE
from facemask.errors import InputError
from facemask.video.look import Look, Number, parse_colors


def test_colors() -> None:
    colors = parse_colors("skin=#ffcc00, inner mouth=navy")
    assert colors == ((0, 0, 0), (255, 204, 0), (0, 255, 0), (0, 255, 255), (0, 0, 128))
    assert parse_colors("") == tuple(map(tuple, PALETTE.tolist()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nose=red", "'nose=red': give CLASS=COLOR, where CLASS is of skin, eyes, lips, inner_mou"),
        ("background=red", "CLASS is of skin"),
        ("skin=rde", "'rde' is no colour: give an HTML name or #rrggbb"),
        ("skin", "'' is no colour"),
    ],
)
def test_wrong_colors(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_colors(text)


def test_fill_and_outline() -> None:
    image = np.full((9, 9, 3), 100, np.uint8)
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 1
    look = Look(0.25, colors=parse_colors("skin=#c80000"))
    filled = look.paint(image, labels)
    assert filled[0, 0].tolist() == [100, 100, 100]
    assert filled[1, 4].tolist() == [200, 0, 0]  # its edge
    assert filled[4, 4].tolist() == [125, 75, 75]  # 0.75 of 100 and 0.25 of the colour
    lines = Look(0.25, "outline", look.colors).paint(image, labels)
    assert [lines[row, 4].tolist()[1] for row in range(5)] == [100, 0, 0, 100, 100]


def test_classes_that_are_not_shown() -> None:
    image = np.full((1, 6, 3), 100, np.uint8)
    labels = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    painted = Look(1.0, shown=("eyes", "inner_mouth")).paint(image, labels)
    assert painted[0, :5].tolist() == [
        [100] * 3, [100] * 3, [0, 255, 0], [100] * 3, [0, 0, 255],
    ]  # fmt: skip
    assert labels.tolist() == [[0, 1, 2, 3, 4, 255]]  # as it was
    assert Look(1.0, shown=()).paint(image[:, :5], labels[:, :5]).tolist() == image[:, :5].tolist()


def test_lines_grow_with_the_picture() -> None:
    labels = np.zeros((2100, 2800), np.uint8)
    labels[500:1500, 500:1500] = 2
    painted = Look(0.0).paint(np.zeros((2100, 2800, 3), np.uint8), labels)
    assert painted[490:510, 1000, 1].tolist() == [0] * 10 + [255] * 3 + [0] * 7


def test_numbers() -> None:
    picture = np.full((60, 80, 3), 120, np.uint8)
    blank = np.zeros((60, 80), np.uint8)
    painted = Look().paint(picture, blank, [Number("7", 60, 40, 40)])
    rows, columns = np.nonzero((painted != 120).any(axis=2))
    assert rows.min() >= 20
    assert rows.max() <= 41
    assert 48 < columns.mean() < 72
    assert painted.min() < 90
    assert painted.max() > 200
    # at the picture's edges they stay inside
    whole = Look().paint(picture, blank, [Number("12", -5, -3, 40), Number("3", 99, 99, 40)])
    assert whole[:14, :20].max() > 200
    assert whole[-14:, -16:].max() > 200


def test_numbers_of_small_faces_can_be_read_on_any_picture() -> None:
    for shade in (0, 255):
        picture = np.full((90, 120, 3), shade, np.uint8)
        painted = Look().paint(picture, np.zeros((90, 120), np.uint8), [Number("8", 60, 50, 12)])
        row = painted[50 - 4 - 7, :, 0].astype(int)  # through the letter's middle
        letter = np.flatnonzero((row if shade == 0 else np.where(row < 55, 255, 0)) > 200)
        assert 5 <= np.ptp(letter) <= 20
        if shade:  # a dark edge on both sides of what is white
            inside = row[letter.min() : letter.max()]
            assert inside.max() > 200
    picture = np.full((1200, 1600, 3), 120, np.uint8)
    painted = Look().paint(picture, np.zeros((1200, 1600), np.uint8), [Number("8", 800, 600, 12)])
    rows = np.flatnonzero((painted[..., 0] > 200).any(axis=1))
    assert 14 <= np.ptp(rows) + 1 <= 24  # by a sixtieth of the shorter side


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1.5,), "opacity is 1.5"),
        ((0.3, "dots"), "style is 'dots': give"),
        ((0.3, "fill", Look.colors, ("skin", "nose")), "shown has 'nose': give some of skin, eyes"),
    ],
)
def test_wrong_values(arguments: tuple[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Look(*arguments)
