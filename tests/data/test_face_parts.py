import numpy as np
import pytest

from facemask.data.face_parts import PARTS, face_box_of_parts, mask_of_parts
from tests.data.parts import BOXES, SIZE, Pixels, face_parts


def inside(part: str) -> tuple[slice, slice]:
    top, bottom, left, right = BOXES[part]
    return slice(top, bottom), slice(left, right)


def expected(*without: str) -> Pixels:
    """The mask with what is labelled, all else background or skin."""
    mask = np.full(SIZE, 131, np.uint8)
    for value, names in ((2, ("r_eye", "l_eye")), (3, ("u_lip", "l_lip")), (4, ("mouth",))):
        for name in names:
            if name not in without:
                mask[inside(name)] = value
    return mask


def test_a_whole_face() -> None:
    np.testing.assert_array_equal(mask_of_parts(face_parts()), expected())


def test_glasses_through_which_eyes_are_labelled_leave_nothing_open() -> None:
    parts = face_parts(extra=("eye_g", "r_eye", "l_eye"))
    np.testing.assert_array_equal(mask_of_parts(parts), expected())


@pytest.mark.parametrize(
    ("missing", "columns"), [("r_eye", slice(0, 49)), ("l_eye", slice(49, 100))]
)
def test_one_eye_may_be_hidden_on_its_side(missing: str, columns: slice) -> None:
    mask = expected(missing)
    side = mask[:70, columns]  # down to the nose's end
    side[side == 131] = 135
    np.testing.assert_array_equal(mask_of_parts(face_parts(missing)), mask)


def test_a_mirror_image_with_eyes_named_the_other_way_round() -> None:
    # the side is where the eye is missing, whatever the other one is called
    parts = face_parts("r_eye")
    parts[parts == PARTS.index("l_eye")] = PARTS.index("r_eye")
    np.testing.assert_array_equal(mask_of_parts(parts), mask_of_parts(face_parts("r_eye")))


@pytest.mark.parametrize("extra", [(), ("eye_g",)])
def test_both_eyes_may_be_hidden(extra: tuple[str, ...]) -> None:
    mask = expected("r_eye", "l_eye")
    mask[:70] = 135
    np.testing.assert_array_equal(mask_of_parts(face_parts("r_eye", "l_eye", extra=extra)), mask)


def test_without_a_nose_the_whole_picture_is_open() -> None:
    mask = expected("l_eye")
    mask[mask == 131] = 135
    np.testing.assert_array_equal(mask_of_parts(face_parts("l_eye", "nose")), mask)


@pytest.mark.parametrize("missing", [("u_lip",), ("l_lip",), ("u_lip", "mouth", "l_lip")])
def test_lips_may_be_hidden_below_the_nose(missing: tuple[str, ...]) -> None:
    mask = expected(*missing)
    below = mask[70:]
    below[below == 131] = 155
    np.testing.assert_array_equal(mask_of_parts(face_parts(*missing)), mask)


def test_a_mouth_without_inside_is_shut() -> None:
    np.testing.assert_array_equal(mask_of_parts(face_parts("mouth")), expected("mouth"))


def test_the_box_is_that_of_landmarks() -> None:
    # brows from row 36, skin to row 101, sides 20 to 80 (the ear beside them does not count)
    side = 1.3 * (60 + 65) / 2
    box = face_box_of_parts(face_parts())
    assert box == pytest.approx((50 - side / 2, 68.5 - side / 2, 50 + side / 2, 68.5 + side / 2))
    parts = face_parts()
    parts[110:112, 3:9] = PARTS.index("skin")  # a hand, apart from the face
    parts[22:30, 10:95] = PARTS.index("skin")  # a forehead wider than the face
    assert face_box_of_parts(parts) == box


def test_the_box_without_brows() -> None:
    # above the eyes (row 45) by 0.26 of the rows from the eyes' middle to the mouth's
    top = 45 - 0.26 * ((76 + 90) / 2 - (45 + 52) / 2)
    box = face_box_of_parts(face_parts("l_brow", "r_brow"))
    assert box is not None
    assert box.center == pytest.approx((50, (top + 101) / 2))
    assert box.side == pytest.approx(1.3 * (60 + 101 - top) / 2)
    glasses = face_box_of_parts(face_parts("l_brow", "r_brow", "l_eye", "r_eye", extra=("eye_g",)))
    assert glasses is not None
    assert glasses.center == pytest.approx((50, (44 + 101) / 2))


def test_no_box() -> None:
    assert face_box_of_parts(face_parts("l_brow", "r_brow", "l_eye", "r_eye")) is None
    assert face_box_of_parts(face_parts("l_brow", "r_brow", *PARTS[10:13])) is None
    assert face_box_of_parts(np.zeros(SIZE, np.uint8)) is None
    only_glasses = np.zeros(SIZE, np.uint8)
    only_glasses[40:60, 20:80] = PARTS.index("eye_g")
    assert face_box_of_parts(only_glasses) is None
