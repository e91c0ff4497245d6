"""Boxes that are turned about their centre: a face's crop, and the face's roll.

Angles are in degrees, clockwise as one sees the image: a face with a roll of 90 lies with its
chin to the left. A turned box holds the edges that it would have if it were upright, and turns
about its centre; points inside it, counted from the upright box's left and top edge, are upright
coordinates.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facemask.boxes import SMALLEST_CROP, Box
from facemask.errors import InputError

Points = npt.NDArray[np.float64]


def wrapped(degrees: float) -> float:
    """Return the same angle in [-180, 180).

    Examples:
        >>> wrapped(270.0), wrapped(-180.0), wrapped(180.0)
        (-90.0, -180.0, -180.0)
    """
    return (degrees + 180.0) % 360.0 - 180.0


def mean_angle(degrees: Iterable[float]) -> float:
    """Return the mean direction of angles in degrees, in [-180, 180).

    Examples:
        >>> round(mean_angle([170.0, -170.0, -179.0]), 2)
        -179.66
    """
    radians = np.radians(np.fromiter(degrees, dtype=np.float64))
    return wrapped(math.degrees(math.atan2(np.sin(radians).sum(), np.cos(radians).sum())))


class TurnedBox(NamedTuple):
    """A box, turned clockwise about its centre.

    Attributes:
        box: The box before it is turned, in pixel edges of the image.
        roll: Degrees by which it is turned clockwise.

    Examples:
        >>> TurnedBox(Box(10.0, 10.0, 30.0, 20.0), 90.0).bounds
        Box(left=15.0, top=5.0, right=25.0, bottom=25.0)
    """

    box: Box
    roll: float = 0.0

    def to_image(self, points: Points) -> Points:
        """Return where upright coordinates (N, 2) x, y lie in the image, in pixel edges."""
        half = np.array([self.box.width, self.box.height]) / 2
        return (points - half) @ _rotation(self.roll) + self.box.center

    def to_upright(self, points: Points) -> Points:
        """Return the upright coordinates of points (N, 2) x, y of the image, in pixel edges."""
        half = np.array([self.box.width, self.box.height]) / 2
        return (points - self.box.center) @ _rotation(-self.roll) + half

    @property
    def bounds(self) -> Box:
        """Smallest upright box around the turned one."""
        if self.roll == 0:
            return self.box
        width, height = self.box.width, self.box.height
        corners = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
        corners = self.to_image(corners).round(9)  # whole numbers stay whole at right angles
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return Box(left, top, right, bottom)

    def scaled(self, x: float, y: float) -> "TurnedBox":
        """Return the box in an image that is x times as wide and y times as high.

        Its centre and its upper edge's direction and length are those in the scaled image, where
        it would be a parallelogram: its height is the distance of that one's other edge. Scaling
        back gives the same box.
        """
        if self.roll == 0 or x == y:
            return TurnedBox(self.box.scaled(x, y), self.roll)
        across = _rotation(self.roll)[0] * (x, y)
        roll = math.degrees(math.atan2(across[1], across[0]))
        longer = float(np.linalg.norm(across))
        width = self.box.width * longer
        height = self.box.height * x * y / longer  # it has the parallelogram's area
        center_x, center_y = self.box.center[0] * x, self.box.center[1] * y
        left, top = center_x - width / 2, center_y - height / 2
        return TurnedBox(Box(left, top, left + width, top + height), roll)

    def clipped(self, height: int, width: int) -> "TurnedBox":
        """Return the smallest part of the box, with its roll, that holds what lies in the image.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Raises:
            InputError: The box lies outside the image or is smaller than 2 × 2 pixels there.
        """
        if self.roll == 0:
            crop = self.box.clipped(height, width)
            return TurnedBox(Box(*map(float, crop)))
        inside = self._polygon_inside(height, width)
        if len(inside):
            (left, top), (right, bottom) = inside.min(axis=0).tolist(), inside.max(axis=0).tolist()
            if right - left >= SMALLEST_CROP and bottom - top >= SMALLEST_CROP:
                return self.part(Box(left, top, right, bottom))
        bounds = self.bounds
        raise InputError(
            f"the turned box (x {bounds.left:.0f} to {bounds.right:.0f}, y {bounds.top:.0f} to "
            f"{bounds.bottom:.0f}) leaves no face inside the frame of {width}×{height} pixels."
        )

    def part(self, box: Box) -> "TurnedBox":
        """Return a part of this box, given in upright coordinates, as a box of the image."""
        x, y = self.to_image(np.array([box.center]))[0].tolist()
        return TurnedBox(Box.around(x, y, box.width, box.height), self.roll)

    def _polygon_inside(self, height: int, width: int) -> Points:
        """Return the corners, in upright coordinates, of what the box and the image share."""
        polygon = self.to_upright(
            np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
        )
        # cut the image at the box's four edges (Sutherland and Hodgman, 1974)
        for axis, limit, sign in (
            (0, 0.0, 1.0),
            (0, self.box.width, -1.0),
            (1, 0.0, 1.0),
            (1, self.box.height, -1.0),
        ):
            corners: list[Points] = []
            for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                from_edge, to_edge = sign * (start[axis] - limit), sign * (end[axis] - limit)
                if from_edge >= 0:
                    corners.append(start)
                if from_edge * to_edge < 0:
                    corners.append(start + (end - start) * from_edge / (from_edge - to_edge))
            polygon = np.array(corners).reshape(-1, 2)
        return polygon


def _rotation(degrees: float) -> Points:
    """Return the matrix whose product with row vectors turns them clockwise on the screen."""
    radians = math.radians(degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    return np.array([[cos, sin], [-sin, cos]])
