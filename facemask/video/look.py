"""Looks of overlays: colours of the classes, filled or outlined, and numbers of faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from PIL import ImageColor

from facemask.classes import BACKGROUND, CLASS_NAMES, FACE_CLASSES, PALETTE
from facemask.errors import InputError
from facemask.video.painting import Image, overlay

Style = Literal["fill", "outline"]
"""Whether overlays are tinted all over or drawn as lines."""
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SHARE: Final = 0.12
"""Height of a face's number over the size of its mask."""
_LEAST_HEIGHT, _MOST_HEIGHT = 14, 60
_LEAST_SHARE: Final = 1 / 60
"""Least height over the picture's shorter side: large pictures are seen scaled down."""


class Number(NamedTuple):
    """Number of a face, and where it goes.

    Attributes:
        text: The number.
        middle: Column of its middle in pixels.
        top: Row of its lower edge.
        side: Size of the face.
    """

    text: str
    middle: float
    top: float
    side: float


@dataclass(frozen=True)
class Look:
    """Look of overlays.

    Attributes:
        opacity: Opacity of the classes' colours, 0 to 1; outlines are opaque.
        style: "fill", or "outline" for lines alone.
        colors: RGB colours of the five classes; those of `PALETTE` unless given.
        shown: Names of the classes that are painted; all unless given.

    Raises:
        InputError: `opacity` is not from 0 to 1, or the style or a class is unknown.

    Examples:
        >>> Look(colors=parse_colors("skin=#ffcc00, lips=white")).colors[1:4]
        ((255, 204, 0), (0, 255, 0), (255, 255, 255))
    """

    opacity: float = 0.3
    style: Style = "fill"
    colors: tuple[tuple[int, ...], ...] = tuple(map(tuple, PALETTE.tolist()))
    shown: tuple[str, ...] = FACE_CLASSES

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.opacity <= 1:
            raise InputError(f"opacity is {self.opacity}, expected 0 to 1.")
        if self.style not in ("fill", "outline"):
            raise InputError(f"style is {self.style!r}: give 'fill' or 'outline'.")
        if wrong := [name for name in self.shown if name not in FACE_CLASSES]:
            raise InputError(f"shown has {wrong[0]!r}: give some of {', '.join(FACE_CLASSES)}.")

    def paint(
        self, image: Image, labels: Image, numbers: Sequence[Number] = (), *, white: int = 255
    ) -> Image:
        """Return a picture with masks and numbers of faces over it, uint8 (H, W, 3).

        Lines are as wide as can be seen in a picture of this size: one pixel for each 700 of its
        shorter side, at least one.

        Args:
            image: uint8 (H, W, 3) RGB.
            labels: uint8 (H, W) class ids.
            numbers: Numbers of faces.
            white: As in `overlay`.

        Raises:
            InputError: Shapes or types are wrong.
        """
        width = max(1, round(min(labels.shape) / 700))
        filled = self.style == "fill"
        if hidden := [CLASS_NAMES.index(name) for name in FACE_CLASSES if name not in self.shown]:
            labels = np.where(np.isin(labels, hidden), np.uint8(BACKGROUND), labels)
        painted = overlay(
            image, labels, self.opacity if filled else 0,
            outline=width if filled else 2 * width, white=white,
            palette=np.array(self.colors, dtype=np.uint8),
        )  # fmt: skip
        for number in numbers:
            _write(painted, number, white)
        return painted


def parse_colors(text: str) -> tuple[tuple[int, ...], ...]:
    """Return the colours of the five classes, RGB, from `skin=#ffcc00,inner_mouth=navy`.

    Args:
        text: Classes and their colours, as HTML names or hexadecimal numbers; others keep theirs.

    Raises:
        InputError: A class or a colour is unknown.
    """
    colors = list(map(tuple, PALETTE.tolist()))
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, color = (word.strip() for word in part.partition("="))
        if name.replace(" ", "_") not in FACE_CLASSES:
            names = ", ".join(FACE_CLASSES)
            raise InputError(f"colors has {part!r}: give CLASS=COLOR, where CLASS is of {names}.")
        try:
            colors[CLASS_NAMES.index(name.replace(" ", "_"))] = ImageColor.getrgb(color)[:3]
        except ValueError as error:
            raise InputError(
                f"colors has {part!r}, and {color!r} is no colour: give an HTML name or #rrggbb."
            ) from error
    return tuple(colors)


def _write(picture: Image, number: Number, white: int) -> None:
    """Write a number above its face's box, in place, white with a dark edge."""
    least = max(_LEAST_HEIGHT, min(picture.shape[:2]) * _LEAST_SHARE)
    height = max(min(number.side * _SHARE, _MOST_HEIGHT), least)
    thick = max(1, round(height / 9))
    scale = cv2.getFontScaleFromHeight(_FONT, round(height), thick)
    (wide, high), _ = cv2.getTextSize(number.text, _FONT, scale, thick)
    rows, columns = picture.shape[:2]
    left = int(min(max(number.middle - wide / 2, thick), max(columns - wide - thick, 0)))
    base = int(min(max(number.top - 2 * thick, high + thick), rows - thick))
    around = 2 * thick
    text = np.zeros((high + 2 * around, wide + 2 * around), np.uint8)
    at = (around, around + high)
    cv2.putText(text, number.text, at, _FONT, scale, 255, thick, cv2.LINE_AA)
    # OpenCV 5 takes a thicker stroke for a bolder font, which hides no more than the letters do
    edge = cv2.dilate(text, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thick + 1,) * 2))
    top, first = base - high - around, left - around
    inside = picture[max(top, 0) : base + around, max(first, 0) : left + wide + around]
    rows, columns = inside.shape[:2]
    cut = np.s_[max(-top, 0) :, max(-first, 0) :]
    for shade, alpha in ((0, edge[cut][:rows, :columns]), (white, text[cut][:rows, :columns])):
        share = alpha[..., None] / np.float32(255)
        inside[:] = np.rint(inside + share * (shade - inside.astype(np.float32)))
