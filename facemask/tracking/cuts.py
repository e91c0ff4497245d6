"""Hard cuts between two frames.

Three signs must come together, each blind where another sees: points cannot be followed from
one frame to the next (they can in camera pans), the coarse picture differs (it does not under a
flash), and the colours differ (they do not when the camera swings fast).
"""

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.tracking.flow import SmallFrame, follow

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


class CutDetector:
    """Tells at each frame whether a new scene begins with it.

    A blank frame (black, or white in a flash) ends no scene; the next frame with a picture is
    compared with the last one before.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._flashes = 0
        self._last: _View | None = None

    def is_cut(self, frame: SmallFrame) -> bool:
        """Whether a new scene begins with this frame; never at the first."""
        view, last = _View(frame), self._last
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
    """What of a frame is compared: a few kilobytes."""

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
        """Shares of 8 × 8 × 8 colours."""
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
    """Share of the corners of `before` that are found in `after` and lead back."""
    old = before.astype(np.uint8)
    alike = (after - after.mean()) * (before.std() / (after.std() + 1e-6)) + before.mean()
    new = np.clip(alike, 0, 255).astype(np.uint8)  # the same light in both
    corners = cv2.goodFeaturesToTrack(old, POINTS, 0.01, 5)
    if corners is None or len(corners) < FEWEST_POINTS:
        return 0.0
    _, error = follow(old, new, np.asarray(corners, dtype=np.float32).reshape(-1, 2))
    return float((error < 1).mean())
