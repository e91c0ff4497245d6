"""Pieces of contact sheets: pictures with masks over them, text, and pictures side by side."""

from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import CLASS_NAMES, PALETTE
from facemask.regions import REGIONS, Region, to_face_labels
from facemask.video.painting import overlay

Image: TypeAlias = npt.NDArray[np.uint8]

PAPER: Final = 30
"""Grey level of the sheet."""
_OPACITY: Final = 0.45  # of the classes' colours over a picture
_GAP: Final = 4
_LINE: Final = 18  # height of a line of text in pixels
_FONT: Final = (cv2.FONT_HERSHEY_SIMPLEX, 0.45)
_WHITE: Final = (235, 235, 235)


def paint(images: Image, masks: Image, region: Region) -> Image:
    """Lay the classes' colours over pictures.

    Args:
        images: uint8 (T, H, W, 3), RGB.
        masks: Class ids of the region, uint8 (T, H, W); 255 is hatched, sets of classes are grey.
        region: The region.

    Returns:
        uint8 (T, H, W, 3), RGB.
    """
    pairs = zip(images, to_face_labels(masks, region), strict=True)
    return np.stack([overlay(image, mask, _OPACITY, outline=False) for image, mask in pairs])


def draw_head(text: str, region: Region, width: int) -> Image:
    """Draw a sheet's head: a text, and the colours of the region's classes."""
    legend = np.full((_LINE, width, 3), PAPER, dtype=np.uint8)
    left = _GAP
    for class_id in REGIONS[region].classes[1:]:
        legend[4:16, left : left + 12] = PALETTE[class_id]
        left = write(legend, CLASS_NAMES[class_id].replace("_", " "), left + 16, 14) + 16
    write(legend, "hatched: ignored   grey: one of several classes", left, 14)
    return stack([draw_text(text, width), legend])


def draw_text(text: str, width: int) -> Image:
    """Draw a text in as many lines as the width needs."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _width(longer) > width - 2 * _GAP:
            lines.append(word)
        else:
            lines[-1] = longer
    picture = np.full((_LINE * len(lines), width, 3), PAPER, dtype=np.uint8)
    for number, line in enumerate(lines):
        write(picture, line, _GAP, _LINE * number + 14)
    return picture


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, *_FONT, 1)[0][0])


def write(picture: Image, text: str, left: int, base: int) -> int:
    """Write on a dark ground in place, and return the column where the text ends."""
    letters = text.encode("ascii", "replace").decode()  # the font has no others
    right = left + _width(letters)
    picture[base - 14 : base + 4, left - 2 : right + 2] = PAPER
    cv2.putText(picture, letters, (left, base), *_FONT, _WHITE, 1, cv2.LINE_AA)
    return right


def stack(pictures: list[Image], axis: int = 0) -> Image:
    """Put pictures below (axis 0) or beside (axis 1) one another, with gaps."""
    across = max(picture.shape[1 - axis] for picture in pictures)
    parts = []
    for picture in pictures:
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (0, _GAP)
        padding[1 - axis] = (0, across - picture.shape[1 - axis])
        parts.append(np.pad(picture, padding, constant_values=PAPER))
    return np.concatenate(parts, axis=axis)
