"""Pixel labels of a face's parts, as CelebAMask-HQ has them: masks that say no more than they do.

Lee et al. 2020, "MaskGAN: towards diverse and interactive facial image manipulation" (CVPR): 18
parts drawn by hand in 512 × 512 pixels. Eyes, lips and inner mouth are labelled where they are
seen; the skin has a forehead and ends at whatever covers it, so that it is no mask of ours.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import FACE_CROP_SCALE, Box
from facemask.classes import BACKGROUND, EYES, INNER_MOUTH, LIPS, OPEN, SKIN

Pixels = npt.NDArray[np.uint8]
Inside = npt.NDArray[np.bool_]

PARTS: Final = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""Names of the parts by id, in the order of the authors' `g_mask.py`. Left and right are the
person's own; eye_g is glasses, ear_r earrings, neck_l a necklace, l_lip and u_lip the lower and the
upper lip, mouth what is between the lips."""

_MOUTH: Final = ("u_lip", "mouth", "l_lip")
_FACE: Final = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", *_MOUTH)
_BROW_OVER_EYE: Final = 0.26
"""Rows between the brows' top and the eyes', over those between eyes and mouth: the median of 684
faces of CelebAMask-HQ (0.18 to 0.37 in nine of ten)."""


def _where(parts: Pixels, *names: str) -> Inside:
    """Return where one of the named parts is, bool (H, W)."""
    chosen = np.zeros(256, bool)
    chosen[[PARTS.index(name) for name in names]] = True
    return chosen[parts]


def mask_of_parts(parts: Pixels) -> Pixels:
    """Return the mask that follows from a face's parts: eyes, lips and inner mouth, the rest open.

    What is none of them is background or skin (131). Where something may hide one of them, that is
    left open, too:

    * An eye that is not labelled is shut, under glasses or hair, or turned away. The pixels above
      the nose's lower end, on its side of the nose (the whole width where both are missing), may be
      eyes (135). Under glasses through which both eyes are labelled nothing is left open.
    * Hair or a hat within half an eye's width of an eye may hide a part of it (135).
    * Where a lip is not labelled, as under a moustache or a microphone, what lies below the nose
      may be lips or inner mouth (155); so may a thing that cuts into the lips, inside their convex
      hull. A mouth without inner mouth is shut.

    Args:
        parts: Ids of `PARTS`, uint8 (H, W).

    Returns:
        Labels, uint8 (H, W): 2, 3, 4, or a set of classes (see `classes.OPEN`).

    Examples:
        >>> mask_of_parts(np.array([[1, 4, 2, 5], [1, 11, 10, 12]], np.uint8)).tolist()
        [[131, 2, 131, 2], [131, 3, 4, 3]]
    """
    may_be = np.full(parts.shape, 1 << BACKGROUND | 1 << SKIN, np.uint8)
    rows, columns = np.mgrid[: parts.shape[0], : parts.shape[1]]
    nose = _extent(_where(parts, "nose"))
    eyes = [_extent(_where(parts, name)) for name in ("l_eye", "r_eye")]
    seen = [eye for eye in eyes if eye is not None]
    if len(seen) < len(eyes):
        hidden = rows < nose.bottom if nose else np.full(parts.shape, True)
        if nose and seen:
            middle, eye = nose.center[0], seen[0].center[0]
            hidden = hidden & ((columns < middle) if eye > middle else (columns >= middle))
        may_be[hidden] |= 1 << EYES
    if seen:
        reach = round(max(eye.width for eye in seen)) // 2
        near = cv2.dilate(
            _where(parts, "l_eye", "r_eye").view(np.uint8),
            cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)),
        )
        may_be[(near > 0) & _where(parts, "hair", "hat")] |= 1 << EYES
    covered = _hull(_where(parts, *_MOUTH)) & ~_where(parts, *_FACE)
    if not all((parts == PARTS.index(lip)).any() for lip in ("u_lip", "l_lip")):
        covered |= rows >= nose.bottom if nose else True
    may_be[covered] |= 1 << LIPS | 1 << INNER_MOUTH
    mask: Pixels = may_be | np.uint8(OPEN)
    mask[_where(parts, "l_eye", "r_eye")] = EYES
    mask[_where(parts, "u_lip", "l_lip")] = LIPS
    mask[_where(parts, "mouth")] = INNER_MOUTH
    return mask


def face_box_of_parts(parts: Pixels) -> Box | None:
    """Return the face crop that follows from a face's parts, neither rounded nor clipped.

    It is the square that landmarks would give (see `face_box_of_points`): the face reaches from the
    brows' upper edge to the skin's lower end, and at the height between brows and mouth from side
    to side, without ears. Where the brows are hidden, their place follows from eyes and mouth.

    Args:
        parts: Ids of `PARTS`, uint8 (H, W).

    Returns:
        The box, or None where brows as well as eyes, or the skin, are missing.
    """
    face, top = _largest(_where(parts, *_FACE)), _top_of(parts)
    whole = _extent(face)
    if whole is None or top is None or whole.bottom <= top:
        return None
    mouth, nose = (_extent(_where(parts, *names) & face) for names in (_MOUTH, ("nose",)))
    last = mouth.top if mouth else nose.bottom if nose else whole.bottom
    rows = slice(max(0, round(top)), max(0, round(top), round(last)) + 1)
    between = _extent((face & ~_where(parts, "eye_g"))[rows])
    if between is None:
        return None
    side = FACE_CROP_SCALE * (between.width + whole.bottom - top) / 2
    return Box.around(between.center[0], (top + whole.bottom) / 2, side)


def _top_of(parts: Pixels) -> float | None:
    """Return the brows' upper edge in rows, or where it should be above the eyes."""
    brows, eyes = (_extent(_where(parts, f"l_{name}", f"r_{name}")) for name in ("brow", "eye"))
    if brows:
        return brows.top
    mouth = _extent(_where(parts, *_MOUTH))
    if eyes and mouth:
        return eyes.top - _BROW_OVER_EYE * (mouth.center[1] - eyes.center[1])
    glasses = _extent(_where(parts, "eye_g"))  # they begin about as high as the brows
    return glasses.top if glasses and not eyes else None


def _hull(inside: Inside) -> Inside:
    """Return the convex hull of what is inside, bool (H, W)."""
    hull = np.zeros(inside.shape, np.uint8)
    places = cv2.findNonZero(inside.view(np.uint8))
    if places is not None:
        cv2.fillConvexPoly(hull, cv2.convexHull(places), 1)
    return hull.view(np.bool_)


def _extent(inside: Inside) -> Box | None:
    """Return the bounding box of what is inside, in pixel edges, or None where nothing is."""
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    return Box(x, y, x + width, y + height) if width else None


def _largest(inside: Inside) -> Inside:
    """Return the largest connected piece."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.asarray(pieces == 1 + int(areas.argmax())) if len(areas) else inside
