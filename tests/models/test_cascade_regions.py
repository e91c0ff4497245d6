"""Boxes from label maps drawn by hand."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask.boxes import Box
from facemask.models import CascadeSettings
from facemask.models.cascade.zoom import enclosed_background, find_boxes

Labels: TypeAlias = npt.NDArray[np.uint8]

SIZE = 100
PLAIN = CascadeSettings()
EACH = CascadeSettings(refine_each_eye=True)


def face() -> Labels:
    """Skin in rows 10 to 89 and columns 20 to 79, eyes and a mouth."""
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    labels[10:90, 20:80] = 1
    labels[30:35, 30:40] = 2
    labels[31:35, 60:70] = 2
    labels[65:75, 38:62] = 3
    labels[68:71, 42:58] = 4
    return labels


def boxes(
    frames: list[Labels], options: CascadeSettings = PLAIN, size: tuple[int, int] = (200, 200)
) -> dict[str, Box]:
    found = find_boxes(np.stack(frames), [size] * len(frames), {"eyes", "mouth"}, options)
    return found.boxes


def box(*edges: float) -> object:
    return pytest.approx(edges, abs=1e-6)


def test_boxes_of_a_clean_face() -> None:
    found = find_boxes(face()[None], [(200, 200)], {"eyes", "mouth"}, PLAIN)
    # a tenth of the face's width and height beyond each side
    assert found.face == box(0.14, 0.02, 0.86, 0.98)
    # eyes from 0.3 to 0.7, so the side is 1.25 × 0.4; the mouth's is 2 × 0.24
    assert found.boxes["eyes"] == box(0.25, 0.075, 0.75, 0.575)
    assert found.boxes["mouth"] == box(0.26, 0.46, 0.74, 0.94)
    assert set(found.boxes) == {"eyes", "mouth"}


def test_boxes_are_square_in_pixels() -> None:
    left, top, right, bottom = boxes([face()], size=(200, 300))["mouth"]
    assert (right - left) * 300 == pytest.approx(2 * 0.24 * 300)
    assert (bottom - top) * 200 == pytest.approx(2 * 0.24 * 300)


def test_margins_and_regions_are_options() -> None:
    wide = CascadeSettings(eyes_margin=2.5, mouth_margin=1.0)
    found = boxes([face()], wide)
    assert found["eyes"] == box(0, -0.175, 1, 0.825)
    assert found["mouth"] == box(0.38, 0.58, 0.62, 0.82)
    only = find_boxes(face()[None], [(9, 9)], {"mouth"}, PLAIN)
    assert set(only.boxes) == {"mouth"}


def test_one_box_holds_the_region_of_every_frame() -> None:
    moved = np.roll(face(), 4, axis=1)
    clean, found = boxes([face()])["mouth"], boxes([face(), moved])["mouth"]
    assert found.left == pytest.approx(clean.left + 0.02)  # the side stays, the middle moves
    assert found.right == pytest.approx(clean.right + 0.02)


def test_stray_pixels_are_left_out() -> None:
    labels = face()
    labels[82:85, 48:50] = 2  # below the eyes, not beside them
    labels[33, 50] = 2  # too small
    labels[15:17, 30:36] = 3  # a small piece of mouth on the forehead
    labels[50:56, 2:9] = 2  # outside the face
    labels[3:8, 92:99] = 4
    assert boxes([labels]) == boxes([face()])


def test_the_second_eye_needs_a_fair_share_and_a_place_beside_the_first() -> None:
    labels = face()
    labels[31:35, 60:70] = 1
    left_only = boxes([labels])["eyes"]
    assert left_only == box(0.2875, 0.2625, 0.4125, 0.3875)
    labels[33:36, 60:63] = 2  # 9 of 50 pixels: a far eye
    assert boxes([labels])["eyes"].right > 0.63
    labels[33:36, 60:63] = 1
    labels[33:35, 60:63] = 2  # 6 are too few
    assert boxes([labels])["eyes"] == left_only
    labels[33:35, 60:63] = 1
    labels[55:60, 45:55] = 2  # as large, but further below than beside
    assert boxes([labels])["eyes"] == left_only


def test_an_eye_in_pieces_is_one() -> None:
    labels = face()
    labels[30:35, 34:36] = 1  # a glasses' rim
    assert boxes([labels]) == boxes([face()])


def test_a_mouth_in_pieces_is_one() -> None:
    labels = face()
    labels[65:75, 45:55] = 1  # a finger
    assert boxes([labels])["mouth"] == boxes([face()])["mouth"]
    labels[65:75, 55:62] = 1
    labels[65:75, 38:45] = 3
    assert boxes([labels])["mouth"] == box(0.345, 0.63, 0.485, 0.77)


def test_frames_that_are_implausible_are_left_out() -> None:
    clean = boxes([face()] * 4)
    huge = face()
    huge[20:85, 21:79] = 3  # a mouth that fills the face
    assert boxes([huge]) == {}
    assert boxes([face(), huge, face()]) == clean
    large = face()
    large[50:85, 24:76] = 3  # could be a mouth, but no other frame says so
    assert boxes([face(), large, face()]) == clean
    assert boxes([large])["mouth"].left == pytest.approx(-0.02)
    elsewhere = face()
    elsewhere[65:75, 38:62] = 1
    elsewhere[15:25, 25:45] = 3
    assert boxes([face(), face(), elsewhere, face()]) == clean
    blink = face()
    blink[31:35, 60:70] = 1  # one eye only: no reason to doubt the other frames
    assert boxes([face(), blink, blink, blink, face()])["eyes"] == clean["eyes"]


def test_nothing_found() -> None:
    empty = np.zeros((SIZE, SIZE), dtype=np.uint8)
    found = find_boxes(empty[None], [(50, 50)], {"eyes", "mouth"}, PLAIN)
    assert found.face is None
    assert found.boxes == {}
    labels = face()
    labels[labels == 2] = 1
    assert set(boxes([labels])) == {"mouth"}
    labels[30, 30] = 2  # a single pixel
    assert set(boxes([labels])) == {"mouth"}
    assert set(boxes([labels, face()])) == {"mouth", "eyes"}


def test_what_is_not_found_is_guessed_if_asked_for() -> None:
    bare = face()
    bare[bare > 1] = 1
    assert boxes([bare]) == {}
    # the face is 0.6 wide from 0.2, 0.8 high from 0.1: eyes from 0.314 to 0.674 around 0.26
    found = boxes([bare, bare], CascadeSettings(guess_boxes=True))
    assert found["eyes"] == box(0.494 - 0.225, 0.26 - 0.225, 0.494 + 0.225, 0.26 + 0.225)
    assert found["mouth"] == box(0.272, 0.428, 0.728, 0.884)  # twice 0.228, around 0.5 and 0.656
    each = boxes([bare], CascadeSettings(guess_boxes=True, refine_each_eye=True))
    assert each["left_eye"] == box(0.254, 0.14, 0.494, 0.38)
    assert each["right_eye"] == box(0.494, 0.14, 0.734, 0.38)
    # one eye, and a part of the mouth, are made whole where they are
    part = bare.copy()
    part[30:35, 30:40] = 2  # from 0.3, where both eyes would begin at 0.314
    part[65:75, 38:44] = 3  # around 0.41
    found = boxes([part], CascadeSettings(guess_boxes=True))
    assert found["eyes"] == box(0.487 - 0.23375, 0.325 - 0.23375, 0.487 + 0.23375, 0.325 + 0.23375)
    assert found["mouth"] == box(0.182, 0.472, 0.638, 0.928)
    # one frame with all of them is enough: nothing is guessed then, nor without a face
    assert boxes([face(), part], CascadeSettings(guess_boxes=True)) == boxes([face(), part])
    assert boxes([face(), bare], CascadeSettings(guess_boxes=True)) == boxes([face(), bare])
    assert boxes([np.zeros_like(bare)], CascadeSettings(guess_boxes=True)) == {}


def test_each_eye_has_a_box() -> None:
    found = boxes([face()], EACH)
    assert found["left_eye"] == box(0.25, 0.225, 0.45, 0.425)
    assert found["right_eye"] == box(0.55, 0.23, 0.75, 0.43)
    assert found["eyes"] == boxes([face()])["eyes"]
    right_only = face()
    right_only[30:35, 30:40] = 1
    found = boxes([face(), right_only, face()], EACH)
    assert found["left_eye"] == box(0.25, 0.225, 0.45, 0.425)
    assert found["right_eye"] == box(0.55, 0.23, 0.75, 0.43)
    assert set(boxes([right_only], EACH)) == {"eyes", "right_eye", "mouth"}
    left_only = right_only[:, ::-1]
    assert set(boxes([left_only], EACH)) == {"eyes", "left_eye", "mouth"}


def test_holes() -> None:
    labels = np.array(
        [
            [0, 1, 1, 1, 0, 0],
            [1, 0, 0, 1, 0, 2],
            [0, 1, 1, 1, 2, 0],
            [0, 0, 0, 0, 0, 2],
        ],
        dtype=np.uint8,
    )
    expected = np.zeros((4, 6), dtype=bool)
    expected[1, 1:3] = True
    np.testing.assert_array_equal(enclosed_background(labels), expected)
    assert not enclosed_background(np.ones((3, 3), dtype=np.uint8)).any()


@settings(max_examples=50, deadline=None)
@given(
    shifts=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=5),
    height=st.integers(40, 400), width=st.integers(40, 400),
    specks=st.lists(st.tuples(st.integers(76, 88), st.integers(22, 78)), max_size=3),
)  # fmt: skip
def test_boxes_hold_the_regions_and_ignore_specks(
    shifts: list[tuple[int, int]], height: int, width: int, specks: list[tuple[int, int]]
) -> None:
    frames = [np.roll(face(), shift, axis=(0, 1)) for shift in shifts]
    sizes = [(height + t % 2, width - t % 3) for t in range(len(frames))]
    clean = find_boxes(np.stack(frames), sizes, {"eyes", "mouth"}, PLAIN).boxes
    mean_height, mean_width = np.mean(sizes, axis=0)
    for name, classes in (("eyes", (2,)), ("mouth", (3, 4))):
        left, top, right, bottom = clean[name]
        assert (right - left) * mean_width == pytest.approx((bottom - top) * mean_height)
        for frame in frames:
            rows, columns = np.nonzero(np.isin(frame, classes))
            assert left <= columns.min() / SIZE + 1e-9
            assert right >= (columns.max() + 1) / SIZE - 1e-9
            assert top <= rows.min() / SIZE + 1e-9
            assert bottom >= (rows.max() + 1) / SIZE - 1e-9
    for row, column in specks:
        frames[0][row, column] = 2
        frames[-1][95 - row, column] = 3  # on the forehead
    assert find_boxes(np.stack(frames), sizes, {"eyes", "mouth"}, PLAIN).boxes == clean
