"""Shape of a 3-D face: landmarks, the surface that they lie on, and its expressions.

The face's own coordinates: u to the picture's right, v down, z towards the viewer; the unit is
the distance between the pupils of the average face and the origin lies between them. The surface
is one height field z(u, v), so every landmark, every vertex of the mesh and every texel of the
skin's texture has one position that follows from (u, v).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from facemask.data.landmarks import LANDMARK_GROUPS, NUM_LANDMARKS
from facemask.data.synthetic.drawing import Points, curve
from facemask.data.synthetic.person import Expression, Identity

_ROWS: Final = 38
_COLUMNS: Final = 33
_CHAIN: Final = np.linspace(0.3, 1.0, 15)
_LIDS: Final = slice(36, 48)
_TOP: Final = 1.32  # top of the mesh above the eyes; hair hides it


def neutral_landmarks(identity: Identity) -> Points:
    """Return the 68 landmarks of a relaxed face seen from the front, (68, 2) u, v.

    Proportions are the usual ones of anatomy: the eyes half way down the head and one eye's
    width apart, the nose as wide as the gap, the mouth as wide as the irises' distance.
    """
    points = np.zeros((NUM_LANDMARKS, 2))
    length = identity.face_length
    # Jaw: a superellipse from ear to chin, its points at equal arc lengths.
    theta = np.linspace(0.02, np.pi / 2, 400)
    power = 2 / identity.jaw_power
    u = -1.09 * identity.face_width * np.cos(theta) ** power
    v = 1.70 * length * np.sin(theta) ** power
    arc = np.concatenate([[0], np.cumsum(np.hypot(np.diff(u), np.diff(v)))])
    steps = np.linspace(0, arc[-1], 9)
    half = np.stack([np.interp(steps, arc, u), np.interp(steps, arc, v)], axis=1)
    half[-1, 0] = 0
    points[:9] = half
    points[9:17] = half[7::-1] * (-1, 1)

    spacing = identity.eye_spacing / 2
    t = np.linspace(0, 1, 5)  # outer to inner end
    brow = np.stack(
        [
            -(spacing + 0.42 - 0.74 * t),
            -identity.brow_height
            - identity.brow_arch * np.sin(np.pi * t**0.85)
            + 0.06 * (1 - t) ** 2,
        ],
        axis=1,
    )
    points[17:22] = brow
    points[22:27] = brow[::-1] * (-1, 1)

    points[27:31] = np.stack([np.zeros(4), np.linspace(-0.02, 0.55 * identity.nose_length, 4)], 1)
    base = 0.55 * identity.nose_length + np.array([0.11, 0.15, 0.18, 0.15, 0.11])
    points[31:36] = np.stack(
        [identity.nose_width * np.array([-0.22, -0.115, 0, 0.115, 0.22]), base], 1
    )

    width, opening = 0.20 * identity.eye_size, 0.080 * identity.eye_opening * identity.eye_size
    eye = np.array(  # outer corner, upper lid, inner corner, lower lid
        [[-1, 0], [-0.38, -1.05], [0.34, -1], [1, 0], [0.32, 0.68], [-0.36, 0.74]]
    ) * (width, opening)
    eye[:, 1] += identity.eye_tilt / 2 * eye[:, 0] / width
    points[36:42] = eye - np.array([spacing, 0])
    points[42:48] = (eye * (-1, 1))[[3, 2, 1, 0, 5, 4]] + (spacing, 0)

    lips = (0.55 * identity.nose_length + 0.43) * (0.6 + 0.4 * length)
    half_width = 0.41 * identity.mouth_width
    upper, lower = 0.105 * identity.lip_fullness, 0.155 * identity.lip_fullness
    points[48:55, 0] = half_width * np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1])
    points[48:55, 1] = lips - upper * np.array([-0.06, 0.66, 1, 0.8, 1, 0.66, -0.06])
    points[55:60, 0] = half_width * np.array([0.66, 0.3, 0, -0.3, -0.66])
    points[55:60, 1] = lips + lower * np.array([0.64, 0.95, 1, 0.95, 0.64])
    points[60:65, 0] = half_width * np.array([-0.87, -0.34, 0, 0.34, 0.87])
    points[60:65, 1] = lips + np.array([0.004, -0.008, 0.004, -0.008, 0.004])
    points[65:68, 0] = half_width * np.array([0.34, 0, -0.34])
    points[65:68, 1] = lips + np.array([0.006, 0.018, 0.006])
    return points


def surface(identity: Identity, uv: npt.NDArray[np.floating]) -> Points:
    """Return the depth z at (…, 2) u, v: a flattened ellipsoid with bumps and hollows."""
    u, v = uv[..., 0] / identity.face_width, uv[..., 1]
    side, wing = np.abs(u), identity.nose_width
    nose = identity.nose_length

    def bump(cu: float, cv: float, su: float, sv: float, amount: float) -> Points:
        return np.asarray(
            amount * np.exp(-(((side - cu) / su) ** 2) / 2 - ((v - cv) / sv) ** 2 / 2), np.float64
        )

    vertical = np.where(v < 0.25, (0.25 - v) / 1.95, (v - 0.25) / (1.85 * identity.face_length))
    radius = np.abs(u / 1.17) ** 2.1 + vertical**2.2
    z = 1.27 * np.sqrt(np.maximum(1 - radius, 0.01))
    # The nose grows from bridge to tip and ends sharply below it.
    tip = 0.53 * nose
    along = np.clip((v + 0.22) / (tip + 0.22), 0, 1)
    below = np.where(v > tip, np.exp(-(((v - tip) / 0.175) ** 2)), 1.0)
    ridge = identity.nose_height * (0.07 + 0.36 * along**1.4) * below * np.clip((v + 0.4) * 5, 0, 1)
    z = z + ridge * np.exp(-((u / (0.085 + 0.06 * along * wing)) ** 2) / 2)
    z = z + bump(0.17 * wing, 0.60 * nose, 0.06 * wing, 0.075, 0.17)  # nostril wings
    z = z + bump(0.46, 0.0, 0.20, 0.15, -0.15) + bump(0.5, 0.0, 0.16, 0.09, 0.10)  # sockets, eyes
    z = z + bump(0.42, -0.27, 0.34, 0.09, 0.05)  # brow ridge
    z = z + bump(0.66, 0.44, 0.24, 0.2, 0.085 * identity.cheekbones)
    mouth = (0.55 * nose + 0.43) * (0.6 + 0.4 * identity.face_length)
    z = z + bump(0.0, mouth, 0.30, 0.16, 0.09)
    z = z + bump(0.0, mouth + 0.27, 0.24, 0.07, -0.045)
    return np.asarray(z + bump(0.0, 1.5 * identity.face_length, 0.24, 0.16, 0.10), np.float64)


def express(identity: Identity, neutral: Points, expression: Expression) -> Points:
    """Return the displacement (68, 3) of the landmarks by an expression, in units of the face.

    Args:
        identity: The person.
        neutral: (68, 2) landmarks of the relaxed face.
        expression: What the face does.
    """
    e = expression
    move = np.zeros((NUM_LANDMARKS, 3))
    _move_brows(move, e)
    _move_lids(move, neutral, e)
    _move_mouth(move, neutral, identity, e)
    return move


def _move_brows(move: Points, e: Expression) -> None:
    t = np.linspace(0, 1, 5)  # outer to inner end
    lift = -0.15 * e.surprise * (0.75 + 0.25 * np.sin(np.pi * t)) + 0.09 * e.frown * t**1.5
    lift = lift - 0.03 * e.frown * (1 - t) + 0.012 * e.smile + 0.012 * e.blink
    for brow, direction, order in ((slice(17, 22), 1, 1), (slice(22, 27), -1, -1)):
        move[brow, 1] = lift[::order]
        move[brow, 0] = direction * (0.045 * e.frown * t**1.5)[::order]


def _move_lids(move: Points, neutral: Points, e: Expression) -> None:
    opening = 1 + 0.42 * e.surprise - 0.30 * e.smile - 0.12 * e.frown
    opening = max(opening * (1 - e.blink), 0.035) - 0.12 * max(e.gaze_y, 0) * (1 - e.blink)
    for first in (36, 42):  # corner, two points of the upper lid, corner, two of the lower one
        a, b = neutral[first], neutral[first + 3]
        for top, bottom in ((first + 1, first + 5), (first + 2, first + 4)):
            line = a[1] + (b[1] - a[1]) * (neutral[top, 0] - a[0]) / (b[0] - a[0])
            # The lids meet a little below the line of the corners, as real ones do.
            meet = line + 0.55 * (neutral[bottom, 1] - line)
            move[top, 1] = meet + opening * (neutral[top, 1] - meet) - neutral[top, 1]
            low = max(min(opening, 1.0), 0.035)
            move[bottom, 1] = meet + low * (neutral[bottom, 1] - meet) - neutral[bottom, 1]
            move[bottom, 1] -= 0.018 * e.smile * (1 - e.blink)
            if e.blink > 0:  # never let the lids cross
                gap = neutral[bottom, 1] + move[bottom, 1] - neutral[top, 1] - move[top, 1]
                move[top, 1] -= max(0.006 - gap, 0.0)


def _move_mouth(move: Points, neutral: Points, identity: Identity, e: Expression) -> None:
    half = 0.41 * identity.mouth_width
    x = np.clip(neutral[48:68, 0] / half, -1, 1)
    middle = 1 - x**2  # 1 at the middle of the mouth, 0 at its corners
    corner = np.abs(x) ** 1.6
    mouth = move[48:68]
    lower = np.zeros(20)
    lower[[7, 8, 9, 10, 11, 17, 18, 19]] = 1
    lower[[7, 11]] = 0.75
    upper = np.zeros(20)
    upper[[1, 2, 3, 4, 5, 13, 14, 15]] = 1
    drop = 0.42 * e.jaw_open
    mouth[:, 1] += drop * (lower * (0.25 + 0.75 * np.sqrt(middle)) + 0.22 * corner * (1 - lower))
    mouth[:, 0] -= np.sign(x) * corner * 0.07 * e.jaw_open
    # A smile pulls the corners out and up and bares the upper teeth.
    mouth[:, 0] += 0.115 * e.smile * x
    mouth[:, 1] += e.smile * (0.045 * middle - 0.10 * corner)
    mouth[:, 1] -= e.smile * upper * 0.052 * middle
    mouth[:, 1] += e.smile * lower * 0.022 * middle
    mouth[:, 1] += e.frown * (0.075 * corner - 0.02 * middle)
    mouth[:, 1] -= e.surprise * upper * 0.025 * middle
    # Puckering narrows the mouth, thickens the lips and pushes them forward.
    mouth[:, 0] -= 0.32 * e.pucker * neutral[48:68, 0]
    mouth[:12, 1] += e.pucker * 0.025 * middle[:12] * (lower - upper)[:12]
    mouth[:, 2] += 0.10 * e.pucker - 0.05 * e.smile * corner - 0.08 * e.jaw_open * lower

    # The lower jaw turns about the ears: the chin drops most and moves back.
    chin = np.clip((neutral[:17, 1] - 0.75) / (neutral[8, 1] - 0.75), 0, 1)
    move[:17, 1] += 0.36 * e.jaw_open * chin
    move[:17, 0] -= np.sign(neutral[:17, 0]) * 0.05 * e.jaw_open * np.sin(np.pi * chin)
    move[:17, 2] -= 0.12 * e.jaw_open * chin
    move[:17, 0] += np.sign(neutral[:17, 0]) * 0.02 * e.smile * np.sin(np.pi * chin)
    move[31:36, 0] += 0.03 * e.smile * np.array([-1.0, -0.5, 0, 0.5, 1])
    move[31:36, 1] -= 0.015 * e.smile


@dataclass(frozen=True)
class Geometry:
    """Face of one frame in its own coordinates, before the head turns."""

    landmarks: Points
    """Landmarks (68, 3); the jaw's are those of the unturned head (see `contour`)."""
    mesh: Points
    """Vertices (rows * columns, 3)."""
    chains: Points
    """Chains (17 + hairline points, links, 3): of each contour point, the surface inwards."""


class FaceShape:
    """One person's face, ready to be deformed frame by frame.

    Attributes:
        neutral: (68, 2) landmarks of the relaxed face, u and v.
        uv: (rows * columns, 2) the mesh's vertices.
        quads: (Q, 4) indices of vertices, in order round each quad.
        width: Half the width of the texture, in units.
        top: The texture's lowest v.
        bottom: Its highest v.
    """

    def __init__(self, identity: Identity) -> None:
        """Build the surface and the weights that spread the landmarks' motion over it."""
        self.identity = identity
        self.neutral = neutral_landmarks(identity)
        self.width = 1.15 * identity.face_width
        self.top, self.bottom = -_TOP, float(self.neutral[8, 1]) + 0.02
        self.uv = self._mesh()
        index = np.arange(_ROWS * _COLUMNS).reshape(_ROWS, _COLUMNS)
        corners = [index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]]
        self.quads = np.stack([c.ravel() for c in corners], axis=1)
        contour = np.concatenate([self.neutral[:17], self._hairline()])
        self._chains = contour[:, None] * np.stack([_CHAIN, np.ones_like(_CHAIN)], 1)
        # The inner lips are left out: upper and lower touch when the mouth is shut, yet part.
        moving = np.delete(
            np.arange(NUM_LANDMARKS), np.arange(NUM_LANDMARKS)[LANDMARK_GROUPS["inner_lips"]]
        )
        self._moving = moving
        top = [[-0.8, self.top], [0.0, self.top], [0.8, self.top]]
        known = np.concatenate([self.neutral[moving], contour[17:], np.array(top)])  # scalp: still
        wanted = np.concatenate([self.uv, self._chains.reshape(-1, 2)])
        weights = RBFInterpolator(known, np.eye(len(known)), kernel="thin_plate_spline")(wanted)
        self._weights = np.asarray(weights, np.float64)[:, : len(moving)]
        self._rest = np.concatenate([wanted, surface(identity, wanted)[:, None]], axis=1)
        self._depth = surface(identity, self.neutral)

    def _mesh(self) -> Points:
        v = (self.top + self.bottom) / 2 + (self.bottom - self.top) / 2 * np.sin(
            np.linspace(-np.pi / 2, np.pi / 2, _ROWS)
        )
        jaw = curve(self.neutral[8:17][::-1], 40)  # from chin … to ear, below: by rising v
        jaw = jaw[np.argsort(jaw[:, 1])]
        start = jaw[0]
        temple = start[0] * np.sqrt(np.clip(1 - (np.minimum(v - start[1], 0) / 1.45) ** 2, 0, 1))
        half = np.where(v < start[1], temple, np.interp(v, jaw[:, 1], jaw[:, 0]))
        u = half[:, None] * np.linspace(-1, 1, _COLUMNS)
        return np.stack([u, np.broadcast_to(v[:, None], u.shape)], axis=-1).reshape(-1, 2)

    def _hairline(self) -> Points:
        """Return the hairline (13, 2), u and v, from the left temple to the right one."""
        identity = self.identity
        theta = np.linspace(0.14, np.pi - 0.14, 13)
        height = {"fringe": 0.66}.get(identity.hair_style, 1.0) * identity.hairline
        u = 1.0 * identity.face_width * np.sign(np.cos(theta)) * np.abs(np.cos(theta)) ** 0.75
        return np.stack([u, 0.02 - height * np.sin(theta) ** 0.7], axis=1)

    def deform(self, expression: Expression) -> Geometry:
        """Apply an expression to landmarks, mesh and contour."""
        moved = express(self.identity, self.neutral, expression)  # (68, 3) displacement
        landmarks = np.concatenate([self.neutral, self._depth[:, None]], axis=1) + moved
        # Lids slide over the eyeball: shut ones meet in depth too, from wherever they are seen.
        landmarks[_LIDS, 2] = surface(self.identity, landmarks[_LIDS, :2])
        # einsum, not BLAS: bitwise the same with any number of threads.
        rest = self._rest + np.einsum("vm,mk->vk", self._weights, moved[self._moving])
        count = len(self.uv)
        return Geometry(landmarks, rest[:count], rest[count:].reshape(*self._chains.shape[:2], 3))


def contour(chains: Points) -> Points:
    """Return the visible contour of the turned face: "landmark marching" of the 68-point scheme.

    When the head turns, the far cheek hides the jaw line behind it and annotators mark the
    visible outline instead. Each contour point therefore slides along its chain to the outermost
    place in the picture; a soft maximum keeps the slide smooth in time.

    Args:
        chains: (P, links, 2) projected chains in units of the face, from the inside outwards.

    Returns:
        (P, 2) contour points.
    """
    side = np.sign(chains[:, -1, 0] - chains[:, 0, 0])
    reach = chains[:, :, 0] * side[:, None]
    weight = np.exp((reach - reach.max(axis=1, keepdims=True)) / 0.012)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray((weight[..., None] * chains).sum(axis=1), np.float64)
