"""Pixel labels of a face's parts in files: images of ids, or an image a part."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from facemask.boxes import Box
from facemask.classes import CLASS_NAMES, EYES, INNER_MOUTH, LIPS
from facemask.data.annotated import NoFaceError, digest
from facemask.data.face_parts import PARTS, face_box_of_parts, mask_of_parts
from facemask.errors import InputError

Pixels = npt.NDArray[np.uint8]

ORDERS: Final = {
    "g_mask.py": PARTS,
    "BiSeNet": (
        "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear",
        "ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
    ),
}  # fmt: skip
"""Orders of the ids in public conversions: that of the authors' script, and that of face parsers
trained with BiSeNet."""
_SAMPLE: Final = 60  # label images whose parts tell the order
_SURE: Final = 0.9  # share of them that must agree
_DOWN: Final = (("l_brow", "r_brow"), ("l_eye", "r_eye"), ("nose",), ("u_lip", "l_lip"))
_RULE: Final = 2  # raised when masks or boxes change


@dataclass(frozen=True)
class LabelledPhotograph:
    """A photograph with pixel labels, as a one-frame video.

    Attributes:
        name: The photograph's name without suffix.
        path: The photograph.
        labels: The files of its parts, by name of the part; or its image of ids, by "".
        order: The order of the ids, a key of `ORDERS`; "" for files of parts.
    """

    name: str
    path: Path
    labels: dict[str, Path]
    order: str = ""

    is_still = True
    frames = (1,)
    labelled = tuple(CLASS_NAMES[c] for c in (EYES, LIPS, INNER_MOUTH))

    @property
    def kind(self) -> str:
        """Name of the kind of annotation, for the record."""
        return f"CelebAMask-HQ, ids of {self.order}" if self.order else "CelebAMask-HQ, parts"

    def state(self) -> list[Any]:
        """Return what decides the masks, in values of JSON."""
        names = sorted(self.labels)
        return [_RULE, self.order, names, digest(self.labels[name] for name in names)]

    def read(self, frame: int) -> "FaceOfParts":
        """Read the pixel labels.

        Raises:
            NoFaceError: Too few parts are labelled.
            InputError: A file is unusable, or its parts do not lie as in a face.
        """
        del frame  # there is one
        file = next(iter(self.labels.values()))
        parts = self._read_ids() if self.order else self._read_parts()
        box = face_box_of_parts(parts)
        if box is None:
            raise NoFaceError(f"{file}: too few parts are labelled to know where the face is.")
        return FaceOfParts(file, mask_of_parts(parts), box)

    def _read_ids(self) -> Pixels:
        """Return the ids in the order of `PARTS`."""
        file, order = self.labels[""], ORDERS[self.order]
        ids = read_ids(file)
        rows = _rows_of(ids)
        if lies_as_a_face(rows, order) is False and any(
            lies_as_a_face(rows, other) for other in ORDERS.values()
        ):
            raise InputError(
                f"{file}: its ids are in another order than those of the other files, which have "
                f"that of {self.order}; convert it."
            )
        return np.array([PARTS.index(part) for part in order], np.uint8)[ids]

    def _read_parts(self) -> Pixels:
        """Paint the parts over each other in the order of `PARTS`, as the authors' script does."""
        drawn = {name: _read_part(self.labels[name]) for name in PARTS if name in self.labels}
        parts = np.zeros_like(next(iter(drawn.values())), np.uint8)
        for name, inside in drawn.items():
            if inside.shape != parts.shape:
                raise InputError(
                    f"{self.labels[name]}: {inside.shape[1]}×{inside.shape[0]} pixels, but other "
                    f"parts of this face have {parts.shape[1]}×{parts.shape[0]}."
                )
            parts[inside] = PARTS.index(name)
        return parts


@dataclass(frozen=True)
class FaceOfParts:
    """A face with pixel labels.

    Attributes:
        file: The file that they were read from, or the first of several.
        mask: Labels of the whole picture, uint8 (H, W).
        box: The face crop in it.
    """

    file: Path
    mask: Pixels
    box: Box

    def cut(self, image: Pixels, pixel_aspect: Fraction) -> tuple[Pixels, Pixels]:
        """Return the face crop and its mask, in the labels' pixels.

        Args:
            image: RGB uint8 (h, w, 3), as large as the labels or larger: then it is reduced.
            pixel_aspect: Not used: photographs have square pixels.

        Raises:
            InputError: The labels are larger or of another shape than the photograph.
        """
        del pixel_aspect
        (height, width), (rows, columns) = self.mask.shape, image.shape[:2]
        if height > rows or abs(height * columns - width * rows) > max(rows, columns):
            raise InputError(
                f"{self.file}: labels of {width}×{height} pixels for a photograph of "
                f"{columns}×{rows}; expected its size, or the same shape and smaller."
            )
        if rows > height:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(
                np.uint8, copy=False
            )
        try:
            pixels = self.box.clipped(height, width).pixels
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from error
        return image[pixels], self.mask[pixels]


def _read_part(path: Path) -> npt.NDArray[np.bool_]:
    """Return where a part is, bool (H, W): where its image is not black."""
    drawn = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if drawn is None:
        raise InputError(f"{path}: not a readable image.")
    return np.asarray(drawn > 0)


def read_ids(path: Path) -> Pixels:
    """Read an image of part ids, uint8 (H, W); of a palette PNG its ids, not its colours.

    Raises:
        InputError: It is missing, no image, in colours, or holds other ids than 0 to 18.
    """
    try:
        with Image.open(path) as image:
            mode, ids = image.mode, np.array(image)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: not a readable label image.") from error
    if ids.dtype != np.uint8 or ids.ndim != 2:
        raise InputError(f"{path}: a label image in {mode}, expected ids (8-bit grey or palette).")
    if ids.max(initial=0) >= len(PARTS):
        raise InputError(f"{path}: holds the id {ids.max()}, expected 0 to {len(PARTS) - 1}.")
    return ids


def _rows_of(ids: Pixels) -> npt.NDArray[np.float64]:
    """Return the mean row of each id (19,), NaN for those that are absent."""
    counts = np.stack([np.bincount(row, minlength=len(PARTS)) for row in ids])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.arange(len(ids)) @ counts / counts.sum(axis=0), np.float64)


def lies_as_a_face(rows: npt.NDArray[np.float64], order: Sequence[str]) -> bool | None:
    """Return whether brows, eyes, nose and lips lie one below the other.

    Args:
        rows: Mean row of each id (19,), NaN for those that are absent.
        order: Name of the part of each id.

    Returns:
        The answer of those that are there, or None where these are fewer than three.
    """
    means = [rows[[order.index(part) for part in group]] for group in _DOWN]
    known = [float(np.nanmean(mean)) for mean in means if not np.isnan(mean).all()]
    return bool((np.diff(known) > 0).all()) if len(known) > 2 else None


def order_of(files: Sequence[Path], folder: Path) -> str:
    """Return the order of the ids of label images, a key of `ORDERS`, by where the parts lie.

    Args:
        files: Label images of one data set; 60 of them are looked at.
        folder: Their folder, for the error message.

    Raises:
        InputError: A file cannot be read, or neither order fits, or both do.
    """
    chosen = np.unique(np.linspace(0, len(files) - 1, min(_SAMPLE, len(files))).astype(int))
    rows = [_rows_of(read_ids(files[index])) for index in chosen]
    fitting = []
    for name, order in ORDERS.items():
        told = [fits for each in rows if (fits := lies_as_a_face(each, order)) is not None]
        if told and np.mean(told) >= _SURE:
            fitting.append(name)
    if len(fitting) == 1:
        return fitting[0]
    first, second = ORDERS
    raise InputError(
        f"{folder}: the ids fit {'both' if fitting else 'neither'} of the orders that "
        f"are known (nose 2, eyes 4 and 5, lips 11 and 12: {first}; brows 2 and 3, eyes "
        f"4 and 5, nose 10, lips 12 and 13: {second}) in {len(rows)} label images; "
        "convert them to one of these."
    )
