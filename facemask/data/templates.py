"""Psychomorph's templates of 189 points (`.tem`) as 68 landmarks (iBUG order).

The lines of the template are those of the Face Research Lab London set (DeBruine and Jones 2017,
figshare 5047666). Its outlines are denser than iBUG's, so each is sampled where iBUG's points lie
on it: smooth splines through the template's points, by length of arc. Of 152 faces of that set and
its relatives, dlib's 68 points are at these places of the lines, in the median to 0.03 of a line.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.data.hidden import hidden_points, say_points
from facemask.data.landmarks import LANDMARK_GROUPS, NUM_LANDMARKS, parse_points, read_pts
from facemask.errors import InputError
from facemask.suffixes import TEMPLATE_SUFFIX

NUM_TEMPLATE_POINTS: Final = 189

Points = npt.NDArray[np.float64]

_JAW: Final = (109, 185, 110, 186, 111, *range(125, 134), 114, 188, 113, 187, 112)
# iBUG's inner ends of the brows lie on the upper edge, the template's at the lower corner
_BROWS: Final = (
    (range(71, 77), np.linspace(0, 0.92, 5)),
    (range(77, 83), np.linspace(0.08, 1, 5)),
)
_NOSE: Final = (
    *((51, 57), (52, 58), (53, 59), (54, 60)),  # both sides of the bridge
    *((64, 64), (170, 180), (55, 55), (172, 181), (69, 69)),
)
_EYES: Final = (((18, 19, 20, 21, 22), (28, 29, 30)), ((23, 24, 25, 26, 27), (31, 32, 33)))
_UPPER_LIP: Final = tuple(range(87, 94))
_LOWER_LIP: Final = tuple(range(104, 109))
_INSIDE: Final = (range(94, 99), range(99, 104))  # above and below, without the corners
_LID: Final = np.array([1, 2]) / 3
_INNER: Final = np.array([0.07, 0.37, 0.5, 0.63, 0.93])
"""Places on the lips' inside, corner to corner: iBUG's inner corners lie before the outer ones, by
0.07 of the mouth's width in the median of 1675 faces of Helen and LFPW."""
_SAMPLES: Final = 500  # of a line, to measure it


def read_tem(path: str | os.PathLike[str]) -> Points:
    """Read a template of 189 points as 68 landmarks.

    The file holds the number of points, then `x y` a line, in pixels from 0; the template's lines
    may follow and are not read. The outlines that masks are made of (jaw, brows, eyes, lips) are
    the template's own. The nose is an estimate: the middle between the two sides of the bridge, the
    ends and the middle of the base, and midpoints for the nostrils. Where the lips' inside is drawn
    crossed by a fraction of a pixel, as on shut mouths, both lines are put in their middle.

    Args:
        path: The file.

    Returns:
        Points as float64 (68, 2): x to the right, y down, in pixels from 0.

    Raises:
        InputError: The file is missing or truncated, has another number of points or something
            that is no number, or its points are in another order than this template's.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{path}: cannot read the template: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a template: it is not text.") from error
    count = lines[0].strip()
    if count != str(NUM_TEMPLATE_POINTS):
        raise InputError(
            f"{path}: the template has {count[:20] or 'no number of'} points, expected "
            f"{NUM_TEMPLATE_POINTS}: other templates cannot be read as {NUM_LANDMARKS} landmarks."
        )
    rows = [line.split() for line in lines[1:] if line.strip()][:NUM_TEMPLATE_POINTS]
    if len(rows) < NUM_TEMPLATE_POINTS:
        raise InputError(
            f"{path}: truncated template: {len(rows)} points, expected {NUM_TEMPLATE_POINTS}."
        )
    points = parse_points(rows, path)
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a coordinate is not finite.")
    landmarks = landmarks_of_template(points)
    if strange := hidden_points(landmarks):
        raise InputError(
            f"{path}: {say_points(strange)} of the 68 landmarks cannot be where the template has "
            "them; its points are in another order than Psychomorph's 189, or misplaced."
        )
    return landmarks


def read_landmarks(path: str | Path) -> Points:
    """Read the 68 landmarks of a file, by its suffix: a `.tem` template, or else `.pts`.

    Raises:
        InputError: The file is unusable; of a `.pts` file with hidden landmarks, a
            `HiddenLandmarksError`.
    """
    path = Path(path)
    return read_tem(path) if path.suffix.lower() == TEMPLATE_SUFFIX else read_pts(path)


def landmarks_of_template(points: Points) -> Points:
    """Return the 68 landmarks (68, 2) of a template's points (189, 2); see `read_tem`."""
    landmarks = np.empty((NUM_LANDMARKS, 2))
    groups = {name: landmarks[group] for name, group in LANDMARK_GROUPS.items()}  # views
    groups["jaw"][:] = _along(points[list(_JAW)], np.linspace(0, 1, 17))
    for name, (line, places) in zip(("right_brow", "left_brow"), _BROWS, strict=True):
        groups[name][:] = _along(points[line], places)
    landmarks[27:36] = [points[list(pair)].mean(axis=0) for pair in _NOSE]
    for name, (above, below) in zip(("right_eye", "left_eye"), _EYES, strict=True):
        eye = groups[name]
        eye[[0, 3]] = points[[above[0], above[-1]]]
        eye[1:3] = _along(points[list(above)], _LID)
        eye[[5, 4]] = _along(points[[above[0], *below, above[-1]]], _LID)
    groups["outer_lips"][:] = points[[*_UPPER_LIP, *reversed(_LOWER_LIP)]]
    groups["inner_lips"][:] = _inner_lips(points)
    return landmarks


def _inner_lips(points: Points) -> Points:
    """Return the eight points (8, 2) of the lips' inside."""
    corners = [points[_UPPER_LIP[0]]], [points[_UPPER_LIP[-1]]]
    lines = [np.concatenate([corners[0], points[list(line)], corners[1]]) for line in _INSIDE]
    above, below = (_along(line, _INNER) for line in lines)
    across = corners[1][0] - corners[0][0]
    gap = below - above
    crossed = across[0] * gap[:, 1] - across[1] * gap[:, 0] <= 0  # below lies above, seen upright
    crossed[[0, -1]] = True  # the inner corners belong to both
    middle = (above + below) / 2
    above, below = (np.where(crossed[:, None], middle, line) for line in (above, below))
    return np.concatenate([above, below[3:0:-1]])


def _along(line: Points, places: Sequence[float] | npt.NDArray[np.float64]) -> Points:
    """Return points (P, 2) on a smooth line through points (N, 2), at shares of its length."""
    from scipy.interpolate import CubicSpline  # 50 MB a process, which other data need not pay

    chords = np.hypot(*np.diff(line, axis=0).T)
    line = line[np.concatenate([[True], chords > 0])]
    if len(line) < 2:
        return np.repeat(line, len(places), axis=0)
    knots = np.concatenate([[0.0], np.cumsum(chords[chords > 0])])
    curve = CubicSpline(knots, line)(np.linspace(0, knots[-1], _SAMPLES))
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    wanted = np.asarray(places) * length[-1]
    return np.stack([np.interp(wanted, length, axis) for axis in curve.T], axis=1)
