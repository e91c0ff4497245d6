"""Class ids, names and colours of a face mask, and labels that leave several classes open.

The ids and the palette are those of the files that the paper's authors released (300VW-Mask).
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Final

import numpy as np

from facemask.errors import InputError

BACKGROUND: Final = 0
SKIN: Final = 1
EYES: Final = 2
LIPS: Final = 3
"""The outer mouth of the paper's tables (OMT)."""
INNER_MOUTH: Final = 4
IGNORE: Final = 255
"""Padding and unlabelled pixels; no loss and no metric counts them."""

CLASS_NAMES: Final = ("background", "skin", "eyes", "lips", "inner_mouth")
FACE_CLASSES: Final = CLASS_NAMES[BACKGROUND + 1 :]
"""The classes that are painted."""
NUM_CLASSES: Final = len(CLASS_NAMES)

PALETTE: Final = np.array(
    [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255]], dtype=np.uint8
)
"""RGB colour of each class id, uint8 (5, 3)."""
PALETTE.setflags(write=False)

OPEN: Final = 128
"""Base of the labels that leave a pixel's class open: 128 + the sum of 2**id over the classes that
it may be, two at least: 131 is background or skin. Data that label some classes only use them."""

CLASS_SETS: Final = {
    OPEN + sum(2**c for c in classes): classes
    for count in range(2, NUM_CLASSES + 1)
    for classes in combinations(range(NUM_CLASSES), count)
}
"""The classes of each label that leaves them open, by label."""

COLORS: Final = np.full((256, 3), 128, dtype=np.uint8)
"""RGB colour of each label, uint8 (256, 3): the palette, white for IGNORE, and for a label that
leaves the class open the grey of its own level, 131 (131, 131, 131); 128 for what is no label."""
COLORS[:NUM_CLASSES] = PALETTE
COLORS[[*CLASS_SETS, IGNORE]] = np.array([*CLASS_SETS, IGNORE], dtype=np.uint8)[:, None]
COLORS.setflags(write=False)


def class_set_id(classes: Iterable[int]) -> int:
    """Return the label of a pixel that is one of several classes; of a single class its id.

    Args:
        classes: Class ids, at least one, in any order.

    Raises:
        InputError: There is none, or one is no class id.

    Examples:
        >>> class_set_id([BACKGROUND, SKIN]), class_set_id([BACKGROUND, SKIN, EYES])
        (131, 135)
    """
    found = sorted(set(classes))
    if not found or not all(0 <= c < NUM_CLASSES for c in found):
        raise InputError(f"classes are {found}: give at least one id of 0 to {NUM_CLASSES - 1}.")
    return found[0] if len(found) == 1 else OPEN + sum(2**c for c in found)


def classes_of(label: int) -> tuple[int, ...]:
    """Return the ids of the classes that a pixel with this label may be, lowest first.

    Raises:
        InputError: It is neither a class id nor the label of several classes.

    Examples:
        >>> classes_of(131), classes_of(4)
        ((0, 1), (4,))
    """
    if 0 <= label < NUM_CLASSES:
        return (label,)
    if label not in CLASS_SETS:
        raise InputError(
            f"label {label} stands for no classes, expected 0 to {NUM_CLASSES - 1}, or {OPEN} + "
            "the sum of 2**id over two or more of them."
        )
    return CLASS_SETS[label]
