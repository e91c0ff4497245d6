"""Painting masks over pictures: pure functions on uint8 arrays."""

import functools
from typing import Final, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import BACKGROUND, CLASS_SETS, IGNORE, OPEN, PALETTE
from facemask.errors import InputError

Image: TypeAlias = npt.NDArray[np.uint8]

_GREY: Final = 160  # hatching of what is ignored, colour of what may be several classes


def overlay(
    image: Image,
    labels: Image,
    opacity: float = 0.5,
    *,
    outline: bool | int = True,
    white: int = 255,
    palette: Image = PALETTE,
) -> Image:
    """Paint the classes' colours over a picture, half transparent, and hatch what is ignored (255).

    What a true mask leaves open between several classes (see `classes.OPEN`) is grey.

    Args:
        image: uint8 (H, W, 3) RGB.
        labels: uint8 (H, W) class ids.
        opacity: Opacity of the colours, 0 to 1.
        outline: Width in pixels of the line in full colour along the inner edge of every class.
        white: Value that stands for 255 in the classes' colours: less in a picture of high dynamic
            range, whose 255 is far brighter than white (`Colors.white`).
        palette: RGB colour of each class, uint8 (5, 3).

    Returns:
        A new picture, uint8 (H, W, 3). Background is the picture's own.

    Raises:
        InputError: Shapes or types are wrong, or `opacity` is not from 0 to 1.

    Examples:
        >>> image = np.full((1, 2, 3), 100, dtype=np.uint8)
        >>> overlay(image, np.array([[0, 1]], dtype=np.uint8), outline=False).tolist()
        [[[100, 100, 100], [178, 50, 50]]]
    """
    _check_image(image, "image")
    _check_plane(labels, image, "labels")
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}, expected 0 to 1.")
    painted: Image = image.copy()
    left, top, width, height = cv2.boundingRect(labels)  # of what is not 0: nothing else changes
    if width == 0:
        return painted
    # one pixel more, so that the neighbours of all that is painted are there
    box = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    inside = np.ascontiguousarray(labels[box])
    colors = cv2.applyColorMap(inside, _color_map(palette.tobytes(), white))
    mixed = cv2.addWeighted(image[box], 1 - opacity, colors, opacity, 0)
    if outline:
        smallest = cv2.erode(inside, np.ones((3, 3), dtype=np.uint8), iterations=int(outline))
        cv2.copyTo(colors, cv2.compare(inside, smallest, cv2.CMP_GT), mixed)
    marked = cv2.inRange(inside, BACKGROUND + 1, len(PALETTE) - 1)
    cv2.copyTo(mixed, marked, painted[box])
    if inside.max() >= OPEN:  # true masks only
        cv2.copyTo(mixed, cv2.inRange(inside, OPEN, IGNORE - 1), painted[box])
        _hatch(painted, labels)
    return painted


@functools.lru_cache(maxsize=16)
def _color_map(palette: bytes, white: int) -> Image:
    """Return the colour of every label, uint8 (256, 1, 3)."""
    colors = np.zeros((256, 1, 3), dtype=np.uint8)
    colors[: len(PALETTE), 0] = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    colors[list(CLASS_SETS), 0] = _GREY
    return np.asarray(np.rint(colors * (white / 255)), dtype=np.uint8)


def _hatch(picture: Image, labels: Image) -> None:
    """Draw grey stripes over what is ignored, in place."""
    rows, columns = np.indices(labels.shape)
    period = max(8, labels.shape[1] // 20)
    picture[(labels == IGNORE) & ((rows + columns) % period < period // 3)] = _GREY


def side_by_side(left: Image, right: Image) -> Image:
    """Put two pictures of one height beside each other, uint8 (H, W1 + W2, 3).

    Raises:
        InputError: They are not uint8 (H, W, 3), or differ in height.

    Examples:
        >>> side_by_side(np.zeros((2, 3, 3), np.uint8), np.ones((2, 4, 3), np.uint8)).shape
        (2, 7, 3)
    """
    _check_image(left, "left")
    _check_image(right, "right")
    if left.shape[0] != right.shape[0]:
        raise InputError(f"left and right have {left.shape[0]} and {right.shape[0]} rows.")
    return np.concatenate([left, right], axis=1)


def face_alpha(labels: Image) -> Image:
    """Return the face's opacity: 255 where a label is one of the face's classes, else 0.

    Args:
        labels: uint8 (H, W) class ids; what is ignored (255) is not face.

    Examples:
        >>> face_alpha(np.array([[0, 1, 4, 255]], dtype=np.uint8)).tolist()
        [[0, 255, 255, 0]]
    """
    _check_plane(labels, labels, "labels")
    return cast("Image", cv2.inRange(labels, BACKGROUND + 1, len(PALETTE) - 1))


def composite(image: Image, alpha: Image, background: Image) -> Image:
    """Lay a picture over another one, mixed by its opacity.

    Args:
        image: uint8 (H, W, 3), shown where `alpha` is 255.
        alpha: uint8 (H, W).
        background: uint8 (H, W, 3), shown where `alpha` is 0; or one colour, uint8 (3,).

    Returns:
        uint8 (H, W, 3).

    Raises:
        InputError: Shapes or types are wrong.

    Examples:
        >>> image = np.full((1, 3, 3), 200, dtype=np.uint8)
        >>> alpha = np.array([[0, 51, 255]], dtype=np.uint8)
        >>> composite(image, alpha, np.zeros(3, dtype=np.uint8))[..., 0].tolist()
        [[0, 40, 200]]
    """
    _check_image(image, "image")
    _check_plane(alpha, image, "alpha")
    behind = np.broadcast_to(background, image.shape) if background.ndim == 1 else background
    _check_image(behind, "background")
    if behind.shape != image.shape:
        raise InputError(f"background has shape {behind.shape}, expected {image.shape}.")
    weight = alpha.astype(np.float32)
    weight /= 255
    return cast("Image", cv2.blendLinear(image, np.ascontiguousarray(behind), weight, 1 - weight))


def _check_image(image: Image, name: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"{name} is {image.dtype} {image.shape}, expected uint8 (H, W, 3).")


def _check_plane(plane: Image, image: Image, name: str) -> None:
    if plane.dtype != np.uint8 or plane.ndim != 2 or plane.shape != image.shape[:2]:
        raise InputError(
            f"{name}: {plane.dtype} {plane.shape}, expected uint8 (H, W) = {image.shape[:2]}."
        )
