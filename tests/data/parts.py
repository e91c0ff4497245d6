"""A made-up face in the parts of CelebAMask-HQ."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facemask.data.face_parts import PARTS
from facemask.files import write_image

Pixels = npt.NDArray[np.uint8]

SIZE = (120, 100)  # height, width
# rows and columns of each part, in painting order; nothing is symmetric
BOXES = {
    "hair": (5, 60, 15, 85), "neck": (95, 120, 35, 65), "skin": (20, 101, 20, 80),
    "l_ear": (50, 70, 80, 88), "nose": (50, 70, 44, 54), "r_brow": (38, 42, 26, 42),
    "l_brow": (36, 40, 56, 74), "r_eye": (46, 52, 28, 40), "l_eye": (45, 50, 58, 72),
    "u_lip": (76, 80, 36, 62), "mouth": (80, 84, 38, 60), "l_lip": (84, 90, 36, 62),
    "eye_g": (44, 56, 24, 76),
}  # fmt: skip
FACE = tuple(part for part in BOXES if part != "eye_g")


def face_parts(*without: str, extra: tuple[str, ...] = ()) -> Pixels:
    """Ids of `PARTS` (120, 100) of a face; glasses only where `extra` names them, on top."""
    parts = np.zeros(SIZE, np.uint8)
    for part in (*(name for name in FACE if name not in without), *extra):
        top, bottom, left, right = BOXES[part]
        parts[top:bottom, left:right] = PARTS.index(part)
    return parts


def photograph(scale: int = 1) -> Pixels:
    """Brightness that tells the place: red grows to the right, green downwards."""
    rows, columns = np.mgrid[: SIZE[0] * scale, : SIZE[1] * scale] // scale
    return np.stack([2 * columns, 2 * rows, 90 + 0 * rows], axis=-1).astype(np.uint8)


def write_png(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, pixels)


def write_id_image(source: Path, name: str, parts: Pixels, order: tuple[str, ...] = PARTS) -> None:
    """Write a photograph and its ids in an order."""
    write_png(source / "images" / f"{name}.png", photograph())
    ids = np.array([order.index(part) for part in PARTS], np.uint8)
    write_png(source / "labels" / f"{name}.png", ids[parts])


def write_parts(source: Path, number: int, parts: Pixels, scale: int = 2) -> None:
    """Write a photograph, twice as large, and an image a part, as CelebAMask-HQ is handed out."""
    write_png(source / f"CelebA-HQ-img/{number}.jpg", photograph(scale))
    folder = source / f"CelebAMask-HQ-mask-anno/{number // 2000}"
    for index in np.unique(parts[parts > 0]):
        drawn = np.repeat((parts == index)[..., None], 3, axis=-1).astype(np.uint8) * 255
        write_png(folder / f"{number:05d}_{PARTS[index]}.png", drawn)
