from itertools import combinations

import pytest

from facemask.classes import CLASS_SETS, OPEN, class_set_id, classes_of
from facemask.errors import InputError


def test_labels_of_sets_by_hand() -> None:
    assert OPEN == 128
    assert class_set_id((0, 1)) == 131
    assert class_set_id([2, 1, 0, 1]) == 135
    assert class_set_id((3, 4)) == 152  # 128 + 8 + 16
    assert class_set_id(range(5)) == 159
    assert class_set_id([3]) == 3
    assert classes_of(131) == (0, 1)
    assert classes_of(139) == (0, 1, 3)
    assert classes_of(2) == (2,)


def test_there_and_back() -> None:
    assert len(CLASS_SETS) == 26  # 2**5 without the empty set and five of one class
    for count in range(1, 6):
        for classes in combinations(range(5), count):
            assert classes_of(class_set_id(classes)) == classes


@pytest.mark.parametrize("label", [-1, 5, 127, 128, 129, 130, 132, 136, 144, 160, 255, 300])
def test_labels_that_are_no_set(label: int) -> None:
    assert label not in CLASS_SETS
    with pytest.raises(InputError, match=f"label {label} stands for no classes"):
        classes_of(label)


@pytest.mark.parametrize(("classes", "found"), [([], r"\[\]"), ([1, 5], r"\[1, 5\]")])
def test_sets_that_are_none(classes: list[int], found: str) -> None:
    with pytest.raises(InputError, match=f"classes are {found}: give at least one id of 0 to 4"):
        class_set_id(classes)
