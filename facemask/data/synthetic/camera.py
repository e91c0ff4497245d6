"""From the face's own coordinates to pixels."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from facemask.data.synthetic.drawing import Points

NECK: Final = np.array([0.0, 0.95, -0.45])
"""What the head turns about, in the face's coordinates."""
_DISTANCE: Final = 10.0  # of the camera, in units: a mild perspective


@dataclass(frozen=True)
class Camera:
    """Head pose and framing of one frame.

    Attributes:
        yaw: Turn to the picture's right, radians.
        pitch: Nod upwards, radians.
        roll: Tilt clockwise as seen in the picture, radians.
        unit: Pixels per unit of the face.
        x: Column of the neck's centre, pixels.
        y: Its row.
    """

    yaw: float
    pitch: float
    roll: float
    unit: float
    x: float
    y: float

    def rotation(self) -> Points:
        """(3, 3) matrix from the head's to the scene's axes."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(roll @ yaw @ pitch, np.float64)

    def scene(self, points: Points) -> Points:
        """Turn points (…, 3) of the head about the neck."""
        turned = np.einsum("...k,jk->...j", points - NECK, self.rotation())
        return np.asarray(turned + NECK, np.float64)

    def pixels(self, scene: Points) -> Points:
        """Project points (…, 3) of the scene to (…, 2) x, y in pixels."""
        nearness = _DISTANCE / (_DISTANCE - scene[..., 2:])
        return np.asarray(
            (scene[..., :2] - NECK[:2]) * nearness * self.unit + (self.x, self.y), np.float64
        )

    def head(self, points: Points) -> Points:
        """Project points (…, 3) of the head to (…, 2) x, y in pixels."""
        return self.pixels(self.scene(points))
