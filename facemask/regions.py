"""Regions of a face that models look at: their classes, and their box in a clip."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, enclosing
from facemask.classes import (
    BACKGROUND,
    CLASS_NAMES,
    CLASS_SETS,
    EYES,
    IGNORE,
    INNER_MOUTH,
    LIPS,
    NUM_CLASSES,
    class_set_id,
)
from facemask.errors import InputError

Region: TypeAlias = Literal["face", "eyes", "mouth"]
Labels: TypeAlias = npt.NDArray[np.uint8]


class RegionSpec(NamedTuple):
    """Classes and box of a region.

    Attributes:
        classes: The face's class id for each of the region's own class ids.
        margin: Side of the box over the region's width; the paper's background IoU implies that
            eyes fill about 3 % of their crop.
    """

    classes: tuple[int, ...]
    margin: float

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the region's classes, by its own ids."""
        return tuple(CLASS_NAMES[i] for i in self.classes)


REGIONS: Final[dict[Region, RegionSpec]] = {
    "face": RegionSpec(tuple(range(NUM_CLASSES)), margin=1.0),
    "eyes": RegionSpec((BACKGROUND, EYES), margin=1.25),
    "mouth": RegionSpec((BACKGROUND, LIPS, INNER_MOUTH), margin=2.0),
}


def check_region(region: str) -> Region:
    """Return the region, or raise an `InputError` unless it is known."""
    if region not in get_args(Region):
        raise InputError(f"region is {region!r}: give one of {', '.join(get_args(Region))}.")
    return region  # type: ignore[return-value]  # just checked


def to_region_labels(labels: Labels, region: Region) -> Labels:
    """Return a face's class ids as the region's own; other classes are background, 255 stays.

    A label of several classes (see `classes.OPEN`) becomes that of all that they become, which may
    be one class: background or skin is background.

    Examples:
        >>> to_region_labels(np.array([0, 1, 2, 3, 4, 255], dtype=np.uint8), "mouth")
        array([  0,   0,   0,   1,   2, 255], dtype=uint8)
        >>> to_region_labels(np.array([131, 139], dtype=np.uint8), "mouth")  # 139: or lips
        array([  0, 131], dtype=uint8)
    """
    classes = REGIONS[region].classes
    return _translate(labels, classes, range(len(classes)))


def to_face_labels(labels: Labels, region: Region) -> Labels:
    """Return a region's own class ids as the face's, in sets too; 255 stays.

    Examples:
        >>> to_face_labels(np.array([0, 1, 2, 255], dtype=np.uint8), "mouth")
        array([  0,   3,   4, 255], dtype=uint8)
    """
    classes = REGIONS[region].classes
    return _translate(labels, range(len(classes)), classes)


def _translate(labels: Labels, ids: Sequence[int], new_ids: Sequence[int]) -> Labels:
    table = np.zeros(256, dtype=np.uint8)
    table[list(ids)] = new_ids
    for label, classes in CLASS_SETS.items():
        table[label] = class_set_id(table[list(classes)].tolist())
    table[IGNORE] = IGNORE
    return table[labels]


def relative_extent(inside: npt.NDArray[np.bool_]) -> Box | None:
    """Return the bounding box of a mask (H, W), relative to the image; None for an empty mask.

    Examples:
        >>> inside = np.zeros((4, 10), dtype=bool)
        >>> inside[1:3, 4:9] = True
        >>> relative_extent(inside)
        Box(left=0.4, top=0.25, right=0.9, bottom=0.75)
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) == 0:
        return None
    height, width = inside.shape
    return Box(
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def clip_box(
    extents: Sequence[Box | None],
    sizes: Sequence[tuple[float, float]],
    margin: float,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
) -> Box | None:
    """Return one square box for all frames of a clip that holds the region of each of them.

    Args:
        extents: The region's bounding box in each frame; None where a frame does not show it.
        sizes: (H, W) of each frame in pixels; the box is square in a frame of their mean size.
        margin: Side of the box over the largest width of the region in any frame.
        shift: Shift of the box, x and y in units of its side; reduced until the regions stay
            inside.
        scale: Factor on the side of the box, which never becomes too small for the regions.

    Returns:
        The box, which may leave the image; None where no frame has the region.

    Examples:
        >>> eyes = Box(0.25, 0.375, 0.75, 0.5)
        >>> clip_box([eyes, None], [(80, 80), (80, 80)], margin=1.25)
        Box(left=0.1875, top=0.125, right=0.8125, bottom=0.75)
    """
    found = [extent for extent in extents if extent is not None]
    whole = enclosing(found)
    if whole is None:
        return None
    height, width = np.mean(np.asarray(sizes, dtype=np.float64), axis=0)
    whole = whole.scaled(width, height)
    broadest = max(extent.width for extent in found) * width
    side = max(scale * margin * broadest, whole.width, whole.height)
    x = _shifted(whole.center[0], shift[0] * side, (side - whole.width) / 2)
    y = _shifted(whole.center[1], shift[1] * side, (side - whole.height) / 2)
    box = Box.around(x, y, side)
    edges = (box.left / width, box.top / height, box.right / width, box.bottom / height)
    return Box(*map(float, edges))


def _shifted(centre: float, shift: float, room: float) -> float:
    return centre + max(-room, min(room, shift))
