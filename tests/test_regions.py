import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.regions import (
    REGIONS,
    check_region,
    clip_box,
    relative_extent,
    to_face_labels,
    to_region_labels,
)

ALL = np.array([0, 1, 2, 3, 4, 255], dtype=np.uint8)


def test_classes_there_and_back() -> None:
    assert to_region_labels(ALL, "eyes").tolist() == [0, 0, 1, 0, 0, 255]
    assert to_region_labels(ALL, "mouth").tolist() == [0, 0, 0, 1, 2, 255]
    assert to_region_labels(ALL, "face").tolist() == ALL.tolist()
    assert to_face_labels(to_region_labels(ALL, "eyes"), "eyes").tolist() == [0, 0, 2, 0, 0, 255]
    assert to_face_labels(to_region_labels(ALL, "mouth"), "mouth").tolist() == [
        0, 0, 0, 3, 4, 255,
    ]  # fmt: skip
    assert REGIONS["eyes"].class_names == ("background", "eyes")
    assert REGIONS["mouth"].class_names == ("background", "lips", "inner_mouth")


def test_unknown_region() -> None:
    assert check_region("eyes") == "eyes"
    with pytest.raises(InputError, match="region is 'nose': give one of face, eyes, mouth"):
        check_region("nose")


def test_box_by_hand() -> None:
    # two frames of 100 × 200 (height × width); the region moves to the right by 0.05
    first, second = Box(0.2, 0.4, 0.5, 0.5), Box(0.25, 0.4, 0.55, 0.6)
    box = clip_box([first, None, second], [(100, 200)] * 3, margin=2.0)
    # both: x 40 to 110, y 40 to 60; broadest 60, so side 120 around (75, 50)
    assert box == pytest.approx((15 / 200, -10 / 100, 135 / 200, 110 / 100))
    # shifted right by 0.1 × 120 = 12 of the 25 pixels of room, down by 60 of the 50
    box = clip_box([first, second], [(100, 200)] * 2, margin=2.0, shift=(0.1, 0.5))
    assert box == pytest.approx((27 / 200, 40 / 100, 147 / 200, 160 / 100))
    # never smaller than what it must contain
    box = clip_box([first, second], [(100, 200)] * 2, margin=1.0, scale=0.5)
    assert box == pytest.approx((40 / 200, 15 / 100, 110 / 200, 85 / 100))
    assert clip_box([None, None], [(9, 9), (9, 9)], margin=1.0) is None
    assert relative_extent(np.zeros((4, 5), dtype=bool)) is None


shares = st.floats(0, 0.6)
widths = st.floats(0.01, 0.4)
extents = st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), shares, shares, widths, widths)


@settings(deadline=None)
@given(
    st.lists(extents, min_size=1, max_size=5),
    st.floats(-1, 1), st.floats(-1, 1), st.floats(0.3, 2), st.floats(1, 2.5),
)  # fmt: skip
def test_every_frames_region_is_inside_a_square(
    found: list[Box], dx: float, dy: float, scale: float, margin: float
) -> None:
    sizes = [(90 + t, 120 + t) for t in range(len(found))]
    box = clip_box(found, sizes, margin, (dx, dy), scale)
    assert box is not None
    height, width = np.mean(sizes, axis=0)
    assert (box.right - box.left) * width == pytest.approx((box.bottom - box.top) * height)
    for extent in found:
        assert box.left <= extent.left + 1e-9
        assert box.top <= extent.top + 1e-9
        assert box.right >= extent.right - 1e-9
        assert box.bottom >= extent.bottom - 1e-9
