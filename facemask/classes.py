"""Class ids, names and colours of a face mask.

The ids and the palette are those of the files that the paper's authors released (300VW-Mask).
"""

from typing import Final

import numpy as np

BACKGROUND: Final = 0
SKIN: Final = 1
EYES: Final = 2
LIPS: Final = 3
"""The outer mouth of the paper's tables (OMT)."""
INNER_MOUTH: Final = 4
IGNORE: Final = 255
"""Padding and unlabelled pixels; no loss and no metric counts them."""

CLASS_NAMES: Final = ("background", "skin", "eyes", "lips", "inner_mouth")
NUM_CLASSES: Final = len(CLASS_NAMES)

PALETTE: Final = np.array(
    [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255]], dtype=np.uint8
)
"""RGB colour of each class id, uint8 (5, 3)."""
PALETTE.setflags(write=False)
