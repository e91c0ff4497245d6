"""Boxes that a cascade zooms into: one a clip and region, from the primary's label maps."""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, enclosing
from facemask.classes import BACKGROUND, EYES, INNER_MOUTH, LIPS
from facemask.models.cascade.settings import CascadeSettings
from facemask.regions import clip_box, relative_extent

Mask: TypeAlias = npt.NDArray[np.bool_]
Labels: TypeAlias = npt.NDArray[np.uint8]
Size: TypeAlias = tuple[float, float]

# Shares below are of the face's box unless another thing is named. They are wide: they are to
# tell stray pixels from eyes and mouths, not good masks from bad ones.
_FACE_ROOM: Final = 0.1  # added on each side: the primary may lose a strip of a face
_LEAST_AREA: Final = 1 / 2500  # of an eye or a mouth; a closed eye has three times that
_REACH: Final = 0.015  # parts nearer than twice this are one, such as an eye behind a glasses' rim
_SECOND_EYE: Final = 0.15  # least area of the second eye over the first's, as in a half profile
_EYES_APART: Final = 0.8  # largest distance of two eyes' centres over the face's width
_MOUTH_PART: Final = 0.1  # least area of a part of the mouth over that of the largest
_MOUTH_GAP: Final = 0.2  # largest gap between such parts over the face's width
_MOTION: Final = 0.15  # what may stick out of another frame's, over the face's width
_LARGEST: Final = {"eyes": (0.9, 0.5), "mouth": (0.75, 0.7)}  # width and height
_MOST_PARTS: Final = 8  # the largest ones are looked at
_USUAL: Final = {  # left, top, right, bottom over a face: means of 635 photographs of 300-W
    "eyes": Box(0.19, 0.14, 0.79, 0.26),
    "left_eye": Box(0.19, 0.14, 0.39, 0.26),
    "right_eye": Box(0.59, 0.14, 0.79, 0.26),
    "mouth": Box(0.31, 0.61, 0.69, 0.78),
}
_NARROWEST: Final = {"eyes": 0.4, "mouth": 0.25}  # width of both eyes, and of a whole mouth


class ClipBoxes(NamedTuple):
    """Boxes that were found in a clip.

    Attributes:
        face: The face's box with some room, over all frames; None without a face.
        boxes: Square boxes to zoom into by name: "eyes" and "mouth", and "left_eye" and
            "right_eye" (in the image) where each eye has its own. What was not found is missing.
    """

    face: Box | None
    boxes: dict[str, Box]


class _Part(NamedTuple):
    extent: Box
    area: float  # over the image's


def find_boxes(
    labels: Labels, sizes: Sequence[Size], regions: Collection[str], settings: CascadeSettings
) -> ClipBoxes:
    """Find the eyes and the mouth of a clip, whatever stray pixels its label maps have.

    In each frame, the largest parts labelled as eyes or mouth inside the face count: up to two
    eyes that lie side by side; one mouth. What is too large for a face is left out, and in clips of
    three frames or more what no other frame has about there.

    Args:
        labels: The primary's class ids of all frames, uint8 (T, h, w).
        sizes: (H, W) of each original frame in pixels.
        regions: Which of "eyes" and "mouth" to look for.
        settings: The margins, whether each eye gets a box, and whether what was not found is
            looked for where it usually is.

    Returns:
        The boxes in relative coordinates, which may leave the image.
    """
    pieces = [_parts(frame != BACKGROUND, 0, most=1)[:1] for frame in labels]
    mask = enclosing([part.extent for parts in pieces for part in parts])
    boxes: dict[str, Box] = {}
    if mask is None:
        return ClipBoxes(None, boxes)
    face = _grown(mask, _FACE_ROOM * mask.width, _FACE_ROOM * mask.height)
    extents: dict[str, list[Box | None]] = {}
    if "eyes" in regions:
        found = [_eyes(f == EYES, face, size) for f, size in zip(labels, sizes, strict=True)]
        eyes = _steady(found, face)
        extents["eyes"] = [enclosing(parts) for parts in eyes]
        if settings.refine_each_eye:
            extents |= _each_eye(eyes, face)
    if "mouth" in regions:
        mouths = [_mouth((frame == LIPS) | (frame == INNER_MOUTH), face) for frame in labels]
        extents["mouth"] = [enclosing(parts) for parts in _steady(mouths, face)]
    margins = {"eyes": settings.eyes_margin, "mouth": settings.mouth_margin}
    for name, of_frames in extents.items():
        if settings.guess_boxes:
            of_frames = _completed(name, of_frames, mask)
        box = clip_box(of_frames, sizes, margins.get(name, settings.each_eye_margin))
        if box is not None:
            boxes[name] = box
    return ClipBoxes(face, boxes)


def box_rules() -> dict[str, Any]:
    """Return the numbers that boxes are found by, for programs that do it elsewhere.

    Shares are of the face's box unless another thing is named.
    """
    return {
        "face_room": _FACE_ROOM,
        "least_area": _LEAST_AREA,
        "reach": _REACH,
        "second_eye_area": _SECOND_EYE,
        "eyes_apart": _EYES_APART,
        "mouth_part_area": _MOUTH_PART,
        "mouth_gap": _MOUTH_GAP,
        "motion": _MOTION,
        "largest": {region: list(sides) for region, sides in _LARGEST.items()},
        "most_parts": _MOST_PARTS,
        "usual": {name: list(box) for name, box in _USUAL.items()},
        "narrowest": dict(_NARROWEST),
    }


def enclosed_background(labels: Labels) -> Mask:
    """Return background that does not reach the border: holes in what a specialist found.

    Args:
        labels: Class ids, uint8 (h, w); 0 is background.

    Returns:
        bool (h, w).

    Examples:
        >>> ring = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]], dtype=np.uint8)
        >>> enclosed_background(ring).astype(int).tolist()
        [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    """
    # a rim of background joins all that reaches the border; diagonal neighbours do not join
    background = np.pad(labels == BACKGROUND, 1, constant_values=True).astype(np.uint8)
    count, ids = cv2.connectedComponents(background, connectivity=4, ltype=cv2.CV_16U)
    if count == 2:  # 0 is what is no background
        return np.zeros(labels.shape, dtype=bool)
    holes: Mask = (ids != ids[0, 0]) & (background > 0)
    return holes[1:-1, 1:-1]


def _grown(box: Box, across: float, down: float) -> Box:
    return Box(box.left - across, box.top - down, box.right + across, box.bottom + down)


def _completed(name: str, extents: list[Box | None], face: Box) -> list[Box | None]:
    """Return where a region must be if all that was found of it is nothing, or a part.

    A part is one eye, or half a mouth. A specialist has only seen whole regions: one eye that fills
    its input is nothing to it.
    """
    width, height = face.width, face.height
    found = [extent for extent in extents if extent is not None]
    least = _NARROWEST.get(name, 0.0) * width
    if any(extent.width >= least for extent in found):
        return extents
    usual = _USUAL[name]
    left, right = face.left + usual.left * width, face.left + usual.right * width
    middle = face.top + (usual.top + usual.bottom) / 2 * height
    tall = usual.height * height
    if not found:
        return [Box(left, middle - tall / 2, right, middle + tall / 2)]
    completed: list[Box | None] = []
    for extent in found:  # at its height; a mouth around what is there of it
        across, down = extent.center
        shift = across - (left + right) / 2 if name == "mouth" else 0.0
        whole = Box(left + shift, down - tall / 2, right + shift, down + tall / 2)
        completed.append(enclosing([extent, whole]))
    return completed


def _parts(mask: Mask, reach: int, most: int = _MOST_PARTS) -> list[_Part]:
    """Return the largest connected parts, largest first.

    Parts that are at most 2 × reach pixels apart count as connected.
    """
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    joined = cv2.dilate(mask.astype(np.uint8), kernel)
    count, ids = cv2.connectedComponents(joined, connectivity=8)
    if count == 1:
        return []
    ids[~mask] = 0
    areas = np.bincount(ids.ravel(), minlength=count)[1:]
    parts = []
    for i in np.argsort(-areas, kind="stable")[:most]:
        extent = relative_extent(ids == i + 1)
        assert extent is not None  # every part has a pixel of the mask
        parts.append(_Part(extent, float(areas[i]) / mask.size))
    return parts


def _parts_in_face(mask: Mask, face: Box, region: str) -> list[_Part]:
    """Return the parts of a region inside the face's box, none unless the largest is plausible."""
    height, width = mask.shape
    box = face.in_pixels(height, width)
    inside = np.zeros_like(mask)
    pixels = box.rounded(height, width).pixels
    inside[pixels] = mask[pixels]
    parts = _parts(inside, round(_REACH * box.width))
    if not parts or parts[0].area < _LEAST_AREA * face.width * face.height:
        return []
    widest, highest = _LARGEST[region]
    return [
        part
        for part in parts
        if part.extent.width <= widest * face.width and part.extent.height <= highest * face.height
    ]


def _eyes(mask: Mask, face: Box, size: Size) -> list[Box]:
    """Return one or two eyes of a frame, from left to right in the image."""
    parts = _parts_in_face(mask, face, "eyes")
    if not parts:
        return []
    first = parts[0]
    x, y = first.extent.center
    for part in parts[1:]:
        across, down = part.extent.center[0] - x, part.extent.center[1] - y
        beside = abs(down) * size[0] <= abs(across) * size[1]  # in pixels
        near = abs(across) <= _EYES_APART * face.width
        if part.area >= _SECOND_EYE * first.area and beside and near:
            return sorted([first.extent, part.extent])
    return [first.extent]


def _mouth(mask: Mask, face: Box) -> list[Box]:
    """Return the largest part of a frame's mouth with those beside it: one box or none."""
    parts = _parts_in_face(mask, face, "mouth")
    if not parts:
        return []
    first, gap = parts[0], _MOUTH_GAP * face.width
    beside = [
        part.extent
        for part in parts
        if part.area >= _MOUTH_PART * first.area and _gap(part.extent, first.extent) <= gap
    ]
    return [enclosing(beside) or first.extent]


def _steady(frames: list[list[Box]], face: Box) -> list[list[Box]]:
    """Leave out boxes that no other frame has about there, where three frames or more say so."""
    if sum(1 for boxes in frames if boxes) < 3:
        return frames
    room = _MOTION * face.width
    steady = []
    for t, boxes in enumerate(frames):
        others = [_grown(box, room, room) for box in chain(*frames[:t], *frames[t + 1 :])]
        steady.append([box for box in boxes if any(enclosing([box, o]) == o for o in others)])
    return steady if any(steady) else frames  # all of them moved fast


def _each_eye(frames: list[list[Box]], face: Box) -> dict[str, list[Box | None]]:
    """Return the eye on the left in the image of each frame, and that on the right."""
    centres = [eye.center[0] for eyes in frames if len(eyes) == 2 for eye in eyes]
    middle = float(np.mean(centres)) if centres else face.center[0]
    sides: dict[str, list[Box | None]] = {"left_eye": [], "right_eye": []}
    for eyes in frames:
        alone = len(eyes) == 1 and eyes[0].center[0] < middle
        sides["left_eye"].append(eyes[0] if len(eyes) == 2 or alone else None)
        sides["right_eye"].append(eyes[-1] if eyes and not alone else None)
    return sides


def _gap(one: Box, other: Box) -> float:
    """Return the gap of two boxes along the axis of the larger one; below 0 if they overlap."""
    across = max(one.left, other.left) - min(one.right, other.right)
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return max(across, down)
