"""Writing files so that a killed run never leaves a half-written one."""

import os
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from facemask.errors import InputError


def make_folder(path: Path) -> None:
    """Make a folder to write to, and those above it, unless it is there.

    Raises:
        InputError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot write there: {error.strerror}.") from error


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name beside `path`, then rename it into place.

    Raises:
        InputError: The folder is missing, unwritable or full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write: {error.strerror}.") from error


def write_image(path: Path, image: npt.NDArray[np.uint8], *, jpeg_quality: int = 95) -> None:
    """Write an image by the suffix of `path` (.png, .jpg), whole or not at all.

    Args:
        path: The file to write.
        image: uint8 (H, W) grey values or labels, or (H, W, 3) RGB.
        jpeg_quality: 1 to 100, for JPEG only.
    """
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if path.suffix in (".jpg", ".jpeg") else []
    _, encoded = cv2.imencode(path.suffix, pixels, options)
    write_atomic(path, encoded.tobytes())


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image as uint8 (H, W, 3) RGB.

    Raises:
        InputError: The file is missing or not a readable image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        reason = "not a readable image" if path.is_file() else "no such file"
        raise InputError(f"{path}: cannot read the image: {reason}.")
    return cast("npt.NDArray[np.uint8]", image)
