"""Motion from one frame to the next: median flow of faces on a reduced grey image, and hard cuts.

Points on a face are followed by pyramidal Lucas-Kanade and back again; those that do not come
back to where they started are left out (Kalal et al., Forward-Backward Error, ICPR 2010). The
face's motion is the median shift of the others, the median ratio of their distances and the median
angle by which the lines between them turn.

For a cut three signs must come together, each blind where another sees: points cannot be followed
from one frame to the next (they can in camera pans), the coarse picture differs (it does not under
a flash), and the colours differ (they do not when the camera swings fast).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.tracking.detection import Image
from facemask.turned import TurnedBox

LONGEST: Final = 480
"""The reduced image is at most so many pixels long."""
WINDOW: Final = (11, 11)
LEVELS: Final = 3
GRID: Final = 9
"""Points per row and column on a face."""
INNER: Final = 0.6
"""The points cover this share of the crop, which leaves the background out."""
FARTHEST_RETURN: Final = 0.02
"""How far from its start a reliable point may come back, over the crop's side."""

MOST_FOLLOWED: Final = 0.35
MOST_ALIKE: Final = 0.85
MOST_COMMON_COLOURS: Final = 0.8
LEAST_CHANGE: Final = 4.0
"""Mean difference of the coarse pictures in grey levels below which nothing else is asked."""
LEAST_CONTRAST: Final = 4.0
"""Standard deviation of grey levels below which a frame is blank and shows no scene."""
LEAST_GLARE: Final = 0.3
"""Share of white in a frame, twice that of the frame before, that may be a flash."""
LONGEST_FLASH: Final = 3
"""Frames; a scene that stays as white is a new one."""
POINTS: Final = 100
FEWEST_POINTS: Final = 12
COARSE: Final = (32, 24)
FINE_WIDTH: Final = 160

Grey: TypeAlias = npt.NDArray[np.uint8]
Points: TypeAlias = npt.NDArray[np.float32]


class Motion(NamedTuple):
    """Motion of a face.

    Attributes:
        x: Shift of the crop's centre to the right in pixels of the frame.
        y: The same, down.
        scale: Its new size over the old one.
        turn: Degrees by which it turned clockwise.
        reliable: Share of the points that came back, in [0, 1].
    """

    x: float
    y: float
    scale: float
    turn: float
    reliable: float


@dataclass(frozen=True, eq=False)
class SmallFrame:
    """A frame reduced to what tracking needs.

    Attributes:
        colour: RGB uint8 (h, w, 3), at most `LONGEST` pixels long.
        scale: Its size over the frame's.
    """

    colour: Image
    scale: float

    @classmethod
    def of(cls, image: Image) -> "SmallFrame":
        """Return an RGB image uint8 (H, W, 3), halved until it is small: fast and exact."""
        scale = 1.0
        while max(image.shape[:2]) > LONGEST and min(image.shape[:2]) > 1:
            rows, columns = image.shape[0] // 2, image.shape[1] // 2
            whole = image[: 2 * rows, : 2 * columns]
            half = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
            image, scale = np.asarray(half, dtype=np.uint8), scale / 2
        return cls(image, scale)

    @cached_property
    def grey(self) -> Grey:
        """Grey values uint8 (h, w)."""
        return np.asarray(cv2.cvtColor(self.colour, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def face_motions(
    before: SmallFrame, after: SmallFrame, boxes: Sequence[TurnedBox], *, turning: bool = True
) -> list[Motion | None]:
    """Return each face's motion between two frames of one size, None where none can be followed.

    Args:
        before: The earlier frame.
        after: The later frame.
        boxes: The faces in the earlier frame, in its pixels.
        turning: Whether faces may turn; if not, every turn is 0.
    """
    if not boxes:
        return []
    grids = [_grid(box, before.scale) for box in boxes]
    start = np.concatenate(grids)
    there, error = follow(before.grey, after.grey, start)
    motions: list[Motion | None] = []
    first = 0
    for (box, _), grid in zip(boxes, grids, strict=True):
        part = slice(first, first + len(grid))
        first += len(grid)
        good = error[part] < max(0.3, FARTHEST_RETURN * box.side * before.scale)
        good &= _inside(grid, before) & _inside(there[part], after)
        motions.append(_motion(box, grid, there[part], good, before.scale, turning))
    return motions


def _grid(face: TurnedBox, scale: float) -> Points:
    steps = np.linspace(-INNER / 2, INNER / 2, GRID)
    columns, rows = np.meshgrid(steps * face.box.width, steps * face.box.height)
    edges = _turned(np.stack([columns.ravel(), rows.ravel()], axis=1), face.roll, face.box.center)
    return (edges * scale - 0.5).astype(np.float32)


def _turned(
    offsets: npt.NDArray[np.float64], degrees: float, centre: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the points (N, 2) that lie off a centre once the offsets are turned clockwise."""
    return TurnedBox(Box(*centre, *centre), degrees).to_image(offsets)


def follow(before: Grey, after: Grey, start: Points) -> tuple[Points, Points]:
    """Follow points from one grey image uint8 (h, w) to another of the same size.

    Args:
        before: The earlier image.
        after: The later image.
        start: Points (N, 2) x, y in pixel centres of the earlier image.

    Returns:
        The points in the later image (N, 2), and the distance of each from its start when it is
        followed back from there (N,), in pixels; infinite where it is lost.
    """
    unknown: Any = None  # where to look first: OpenCV takes the start
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, start, unknown, winSize=WINDOW, maxLevel=LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, unknown, winSize=WINDOW, maxLevel=LEVELS
    )
    error = np.linalg.norm(np.asarray(back) - start, axis=1)
    lost = (np.asarray(found).ravel() == 0) | (np.asarray(returned).ravel() == 0)
    error[lost] = np.inf
    return np.asarray(there, dtype=np.float32), np.asarray(error, dtype=np.float32)


def _inside(points: Points, frame: SmallFrame) -> npt.NDArray[np.bool_]:
    height, width = frame.colour.shape[:2]
    return np.asarray(((points > -1) & (points < (width, height))).all(axis=1))


def _motion(
    box: Box,
    start: Points,
    end: Points,
    good: npt.NDArray[np.bool_],
    scale: float,
    turning: bool,
) -> Motion | None:
    if good.sum() < 4:
        return None
    a, b = start[good].astype(np.float64), end[good].astype(np.float64)
    far = len(a) // 2  # pairs of points that lie far apart say most about size and turn
    before, after = a - np.roll(a, far, axis=0), b - np.roll(b, far, axis=0)
    growth = float(np.median(np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)))
    turn = _turn(before, after) if turning else 0.0
    # the points' motion at the crop's centre: take out what growing and turning about it move them
    x, y = (np.asarray(box.center) * scale - 0.5).tolist()
    moved = _turned(growth * (a - (x, y)), turn, (x, y))
    shift = np.median(b - moved, axis=0) / scale
    return Motion(float(shift[0]), float(shift[1]), growth, turn, float(good.mean()))


def _turn(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> float:
    """Return the median angle in degrees by which lines (N, 2) turned clockwise."""
    sine = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    cosine = (before * after).sum(axis=1)
    return float(np.degrees(np.median(np.arctan2(sine, cosine))))


class CutDetector:
    """Detector of hard cuts, which takes the frames in order.

    A blank frame (black, or white in a flash) ends no scene; the next frame with a picture is
    compared with the last one before.

    Attributes:
        blank: Whether the last frame is blank.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._flashes = 0
        self._last: _View | None = None
        self.blank = False

    def is_cut(self, frame: SmallFrame) -> bool:
        """Tell if a new scene begins with the next frame; never at the first."""
        view, last = _View(frame), self._last
        self.blank = view.blank
        if last is not None and (view.blank or self._is_flash(view, last)):
            return False
        self._last, self._flashes = view, 0
        return last is not None and not last.blank and last.differs_from(view)

    def _is_flash(self, view: "_View", last: "_View") -> bool:
        bright = view.glare > max(LEAST_GLARE, 2 * last.glare) and view.shape == last.shape
        bright = bright and bool((view.coarse < last.coarse - 10).mean() < 0.02)
        self._flashes = self._flashes + 1 if bright else 0
        return 0 < self._flashes <= LONGEST_FLASH


class _View:
    """Parts of a frame that are compared: a few kilobytes."""

    def __init__(self, frame: SmallFrame) -> None:
        height, width = frame.grey.shape
        self.shape = (height, width)
        self.coarse = cv2.resize(frame.grey, COARSE, interpolation=cv2.INTER_AREA).astype(float)
        self.frame = frame
        self.glare = float((self.coarse > 245).mean())
        self.blank = bool(self.coarse.std() < LEAST_CONTRAST)

    def differs_from(self, other: "_View") -> bool:
        if self.shape != other.shape:
            return True
        if np.abs(self.coarse - other.coarse).mean() < LEAST_CHANGE:
            return False
        if _correlation(self.coarse, other.coarse) > MOST_ALIKE:
            return False
        if np.minimum(self.colours(), other.colours()).sum() > MOST_COMMON_COLOURS:
            return False
        return _share_followed(self.fine(), other.fine()) < MOST_FOLLOWED

    def colours(self) -> npt.NDArray[np.float32]:
        """Return the shares of 8 × 8 × 8 colours."""
        small = cv2.resize(self.frame.colour, (64, 48), interpolation=cv2.INTER_AREA)
        counts: Any = cv2.calcHist([small], [0, 1, 2], None, [8, 8, 8], [0, 256] * 3)
        return np.asarray(counts / counts.sum(), dtype=np.float32)

    def fine(self) -> npt.NDArray[np.float32]:
        height, width = self.shape
        size = (FINE_WIDTH, max(1, round(FINE_WIDTH * height / width)))
        small = cv2.resize(self.frame.grey, size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.float32)


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).mean() / (a.std() * b.std() + 1e-6))


def _share_followed(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    """Return the share of corners of `before` that are found in `after` and lead back."""
    old = before.astype(np.uint8)
    alike = (after - after.mean()) * (before.std() / (after.std() + 1e-6)) + before.mean()
    new = np.clip(alike, 0, 255).astype(np.uint8)  # the same light in both
    corners = cv2.goodFeaturesToTrack(old, POINTS, 0.01, 5)
    if corners is None or len(corners) < FEWEST_POINTS:
        return 0.0
    _, error = follow(old, new, np.asarray(corners, dtype=np.float32).reshape(-1, 2))
    return float((error < 1).mean())
