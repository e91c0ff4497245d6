"""Landmarks that somebody marked as hidden: coordinates at which no point of this face can be.

Files of 68 points write hidden ones as `0 0`, `-1 -1`, with negated coordinates or otherwise. No
list of such values is kept here. A rule asks where a point should be, from all the others:

1. An average face in three dimensions, its mouth open to some degree, is turned, stretched and
   moved until it lies best over the points; outliers have no say (least median of squares).
2. A point is hidden where it is further from its place than 0.85 times the face's radius (the root
   mean square distance of the places from their centre, about 0.4 times the face's width);
3. from 0.35 times the radius on, where it also lies in the picture's top left corner or beyond it,
   to the left and above, or on the very spot of another point.

A point outside the picture near its place is none of these.
"""

from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

FAR: Final = 0.85
"""Distance from its place, in radii, from which on a point is hidden. Real ones reach 0.6."""
DOUBTFUL: Final = 0.35
"""The same for a point that also lies beyond the corner, or on another's spot."""
_CLEAR: Final = 0.6
"""Where plain least squares leaves no point further off, and none is doubtful, all are visible."""
_FEWEST: Final = 20
"""Points on spots of their own that are needed to say anything of the others."""

# right, down, towards the viewer, in distances between the pupils; share in the mouth's opening
_AVERAGE: Final = np.array([
    (-1.09, -0.52, -0.61, 0), (-1.07, -0.24, -0.54, 0), (-1.03, 0.03, -0.47, 0),
    (-0.96, 0.29, -0.42, 0), (-0.85, 0.54, -0.37, 0), (-0.7, 0.77, -0.32, 0.3),
    (-0.51, 0.97, -0.27, 0.6), (-0.27, 1.1, -0.23, 0.9), (0, 1.14, -0.21, 1),
    (0.27, 1.1, -0.23, 0.9), (0.51, 0.97, -0.27, 0.6), (0.7, 0.77, -0.32, 0.3),
    (0.85, 0.54, -0.37, 0), (0.96, 0.29, -0.42, 0), (1.03, 0.03, -0.47, 0),
    (1.07, -0.24, -0.54, 0), (1.09, -0.52, -0.61, 0), (-0.92, -0.76, -0.32, 0),
    (-0.74, -0.85, -0.1, 0), (-0.55, -0.88, 0.03, 0), (-0.37, -0.87, 0.12, 0),
    (-0.18, -0.82, 0.18, 0), (0.18, -0.82, 0.18, 0), (0.37, -0.87, 0.12, 0),
    (0.55, -0.88, 0.03, 0), (0.74, -0.85, -0.1, 0), (0.92, -0.76, -0.32, 0), (0, -0.58, 0.31, 0),
    (0, -0.39, 0.41, 0), (0, -0.2, 0.52, 0), (0, -0.01, 0.62, 0), (-0.22, 0.1, 0.34, 0),
    (-0.11, 0.14, 0.35, 0), (0, 0.17, 0.31, 0), (0.11, 0.14, 0.35, 0), (0.22, 0.1, 0.34, 0),
    (-0.7, -0.57, -0.07, 0), (-0.58, -0.65, -0.01, 0), (-0.43, -0.64, 0.05, 0),
    (-0.3, -0.55, 0.1, 0), (-0.44, -0.5, 0.06, 0), (-0.57, -0.5, 0.01, 0), (0.3, -0.55, 0.1, 0),
    (0.43, -0.64, 0.05, 0), (0.58, -0.65, -0.01, 0), (0.7, -0.57, -0.07, 0), (0.57, -0.5, 0.01, 0),
    (0.44, -0.5, 0.06, 0), (-0.41, 0.43, 0.07, 0.4), (-0.25, 0.35, 0.16, 0), (-0.1, 0.32, 0.21, 0),
    (0, 0.34, 0.22, 0), (0.1, 0.32, 0.21, 0), (0.25, 0.35, 0.16, 0), (0.41, 0.43, 0.07, 0.4),
    (0.27, 0.52, 0.1, 1), (0.12, 0.57, 0.11, 1), (0, 0.58, 0.12, 1), (-0.12, 0.57, 0.11, 1),
    (-0.27, 0.52, 0.1, 1), (-0.35, 0.43, 0.1, 0.4), (-0.14, 0.41, 0.19, 0), (0, 0.43, 0.2, 0),
    (0.14, 0.41, 0.19, 0), (0.35, 0.43, 0.1, 0.4), (0.14, 0.43, 0.19, 1), (0, 0.44, 0.2, 1),
    (-0.14, 0.43, 0.19, 1),
])  # fmt: skip
_PLACES: Final = np.concatenate([_AVERAGE, np.ones((68, 1))], axis=1)  # (68, 5)
_RIGID: Final = np.delete(_PLACES, 3, axis=1)  # (68, 4), mouth shut
_SUBSETS: Final = np.random.default_rng(0).permuted(np.tile(np.arange(68), (600, 1)), axis=1)

Points = npt.NDArray[np.float64]


def hidden_points(points: Points) -> list[int]:
    """Return the numbers, from 1, of the landmarks at places where this face cannot have them.

    Args:
        points: Finite (68, 2); x, y in pixels from 0.

    Returns:
        Ascending; all 68 where no face is left.

    Examples:
        >>> face = 100 + 50 * _AVERAGE[:, :2]
        >>> hidden_points(face)
        []
        >>> face[36:42] = -2  # an eye
        >>> hidden_points(face)
        [37, 38, 39, 40, 41, 42]
    """
    doubtful = (points <= 0).all(axis=1) | (_on_one_spot(points) > 1)
    spread = _PLACES @ np.linalg.lstsq(_PLACES, points, rcond=None)[0]
    if not doubtful.any() and _off(points, spread).max() < _CLEAR:
        return []
    # a spot that three share is no place of any of them, so none has a say
    single = np.flatnonzero(_on_one_spot(points) < 3)
    if len(single) < _FEWEST:
        return list(range(1, 69))
    off = _off(points, _fit(points, single))
    hidden = (off > FAR) | (doubtful & (off > DOUBTFUL))
    return [int(index) + 1 for index in np.flatnonzero(hidden)]


def say_points(numbers: list[int]) -> str:
    """Name landmarks by their numbers, with runs shortened to their ends.

    Examples:
        >>> say_points([4, 37, 38, 39, 41]), say_points([5])
        ('points 4, 37-39, 41', 'point 5')
    """
    # in a run, numbers grow as their places do
    groups = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    runs = [[number for _, number in group] for _, group in groups]
    text = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)
    return f"point{'s' if len(numbers) > 1 else ''} {text}"


def _on_one_spot(points: Points) -> npt.NDArray[np.int64]:
    """Count the points with exactly the coordinates of each, itself included, (68,)."""
    _, index, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(counts[index.reshape(-1)], np.int64)


def _off(points: Points, places: Points) -> Points:
    """Return the distance of each point from its place, in radii of the face, (68,)."""
    radius = np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean())
    distance = np.linalg.norm(points - places, axis=1)
    return np.asarray(distance / radius if radius > 0 else np.full(68, np.inf), np.float64)


def _fit(points: Points, trusted: npt.NDArray[np.int64]) -> Points:
    """Return the place where each point should be, (68, 2), by the majority of the trusted ones."""
    member = np.isin(_SUBSETS, trusted)
    first = np.argsort(~member, axis=1, kind="stable")[:, :4]  # four trusted ones of each order
    chosen = np.take_along_axis(_SUBSETS, first, axis=1)  # (N, 4)
    systems = _RIGID[chosen]  # (N, 4, 4)
    good = np.linalg.cond(systems) < 200
    maps = np.linalg.solve(systems[good], points[chosen[good]])  # (N, 4, 2)
    off = np.linalg.norm(_RIGID[trusted] @ maps - points[trusted], axis=2)  # (N, trusted)
    places = _RIGID @ maps[np.argmin(np.median(off, axis=1))]
    for _ in range(4):
        inside = trusted[_off(points, places)[trusted] < 0.5]
        if len(inside) < _FEWEST:
            break
        places = _PLACES @ np.linalg.lstsq(_PLACES[inside], points[inside], rcond=None)[0]
    return np.asarray(places, np.float64)
