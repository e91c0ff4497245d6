"""Clips made of stills: simulated motion of camera and head, with labels that move along."""

import math
from typing import Final

import cv2
import numpy as np
from scipy.special import ndtri

from facemask.classes import IGNORE
from facemask.data.artist import Image, Points
from facemask.errors import InputError

SHAKE: Final = 2.5
"""Factor by which a shaken camera moves farther between two frames."""
_CALM: Final = (1 / 40, 1 / 8)
"""Cycles a frame of ordinary motion; the slowest bounds how far a long clip drifts."""
_SHAKY: Final = (1 / 8, 1 / 3)
_LARGEST_TURN: Final = 0.4
"""Largest yaw or pitch: beyond it the denominator could come close to 0 in a corner."""
_NORMAL: Final = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)
"""Standard normal quantiles: a random byte looked up in it is noise, far faster than drawn."""


class StillMotion:
    """Makes a clip of a still, as if camera and head had moved a little.

    Every part of the motion has a smooth random velocity, so that the frames lie on a smooth path
    at a random phase; the still itself is one of the frames, not always the first. All of the
    picture moves as one plane: eyes and mouth neither open nor close, and nothing is uncovered.
    Image and mask of a frame are moved by one and the same matrix.

    Args:
        shift: Largest translation between neighbouring frames, in x as a share of the width and in
            y of the height.
        rotate: Largest rotation between neighbouring frames in degrees.
        zoom: Largest enlargement or reduction between neighbouring frames, as a share of the size.
        turn: Largest change of yaw, pitch and shear between neighbouring frames: of the
            perspective's denominator, or of the shift, at the middle of an edge.
        shake: Probability of a clip whose camera shakes: it moves up to 2.5 times as far between
            frames, and back and forth within a few of them.
        still: Probability of a clip without any motion.
        flicker: Largest change of a frame's exposure, as a share of the brightness.
        noise: Largest standard deviation of the noise, drawn anew for each pixel and frame, with
            white as 1; each clip has one of its own from 0 on.

    Raises:
        InputError: A number is not finite or below 0, a probability is above 1, or `turn` or
            `zoom` or `flicker` is 1 or more.
    """

    def __init__(
        self,
        shift: float = 0.012,
        rotate: float = 1.2,
        zoom: float = 0.012,
        turn: float = 0.01,
        shake: float = 0.1,
        still: float = 0.15,
        flicker: float = 0.03,
        noise: float = 0.015,
    ) -> None:
        self.shift = shift
        self.rotate = rotate
        self.zoom = zoom
        self.turn = turn
        self.shake = shake
        self.still = still
        self.flicker = flicker
        self.noise = noise
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise InputError(f"still_motion.{name} is {value}, expected a number from 0 on.")
            if name in ("shake", "still") and value > 1:
                raise InputError(f"still_motion.{name} is {value}, expected at most 1.")
            if name in ("turn", "zoom", "flicker") and value >= 1:
                raise InputError(f"still_motion.{name} is {value}, expected less than 1.")

    def __call__(
        self, image: Image, mask: Image, frames: int, seed: int
    ) -> tuple[list[Image], list[Image]]:
        """Make one clip.

        Args:
            image: The still, uint8 (H, W, 3).
            mask: Its class ids, uint8 (H, W).
            frames: Number of frames T, at least 1.
            seed: Decides everything: same seed, same clip.

        Returns:
            T images uint8 (H, W, 3), mirrored at the still's edges where these come into view, and
            their T masks uint8 (H, W), 255 beyond the edges.

        Raises:
            InputError: There are less than 1 frames, or image and mask differ in size.
        """
        if frames < 1:
            raise InputError(f"{frames} frames of a still asked for, expected at least 1.")
        if image.shape[:2] != mask.shape:
            raise InputError(f"image {image.shape} and mask {mask.shape} differ in size.")
        rng = np.random.default_rng(seed)
        height, width = mask.shape
        images, masks = [image] * frames, [mask] * frames
        if rng.random() >= self.still:
            matrices = self._matrices(height, width, frames, rng)
            images = [_move(image, m, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101) for m in matrices]
            masks = [_move(mask, m, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) for m in matrices]
        largest, std = self.flicker * rng.random(), self.noise * rng.random()
        images = [_expose(i, 1 + largest * rng.uniform(-1, 1), std, rng) for i in images]
        return images, [mask.copy() for mask in masks]

    def _matrices(
        self, height: int, width: int, frames: int, rng: np.random.Generator
    ) -> list[Points]:
        """Draw T matrices (3, 3) from the still's pixels to each frame's."""
        shaken = rng.random() < self.shake
        band, strength = (_SHAKY, SHAKE) if shaken else (_CALM, 1.0)
        shift = 2 * self.shift  # of half the size, the unit below
        rotate, zoom = math.radians(self.rotate), math.log1p(self.zoom)
        step = strength * np.array([shift, shift, rotate, zoom, *[self.turn] * 3])
        path = step * _paths(len(step), frames, band, rng)  # (T, 7)
        path[:, 4:] = path[:, 4:].clip(-_LARGEST_TURN, _LARGEST_TURN)
        scale = np.array([width, height]) / 2
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return [_matrix(parameters, scale, centre) for parameters in path]


def _paths(count: int, frames: int, band: tuple[float, float], rng: np.random.Generator) -> Points:
    """Draw smooth paths (T, count) that move by at most 1 between frames and pass 0 in one."""
    cycles = rng.uniform(*band, size=(2, count))
    phase = rng.uniform(0, 2 * np.pi, size=(2, count))  # a random time to begin at
    weight = rng.random(count)
    time = np.arange(frames - 1)[:, None, None]
    waves = np.sin(2 * np.pi * cycles * time + phase)  # (T - 1, 2, count)
    # each part's own strength: some clips pan, some only turn
    velocity = rng.random(count) * (weight * waves[:, 0] + (1 - weight) * waves[:, 1])
    path = np.concatenate([np.zeros((1, count)), velocity.cumsum(axis=0)])
    # the unmoved frame is one of the clip, so that a long drift leaves less of the still
    return np.asarray(path - path[rng.integers(frames)])


def _matrix(parameters: Points, scale: Points, centre: Points) -> Points:
    """Return the matrix (3, 3) of one frame, about the centre of the still."""
    x, y, angle, log_zoom, yaw, pitch, shear = parameters.tolist()
    # the turn works with edges at -1 and 1, the rotation in pixels: the still may not be square
    turned = np.array([[1, shear, 0], [0, 1, 0], [yaw, pitch, 1]])
    halves, wholes = np.diag([1 / scale[0], 1 / scale[1], 1]), np.diag([*scale, 1])
    cos, sin = (math.exp(log_zoom) * f(angle) for f in (math.cos, math.sin))
    moved = np.array([[cos, -sin, x * scale[0]], [sin, cos, y * scale[1]], [0, 0, 1]])
    origin = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]])
    back = np.array([[1, 0, centre[0]], [0, 1, centre[1]], [0, 0, 1]])
    return np.asarray(back @ moved @ wholes @ turned @ halves @ origin)


def _move(picture: Image, matrix: Points, flags: int, border: int) -> Image:
    """Return an image or a mask as a frame sees it; 255 where a constant border comes into view."""
    height, width = picture.shape[:2]
    moved = cv2.warpPerspective(
        picture, matrix, (width, height), flags=flags, borderMode=border, borderValue=IGNORE
    )
    return np.asarray(moved, dtype=np.uint8)


def _expose(image: Image, gain: float, std: float, rng: np.random.Generator) -> Image:
    """Return a frame at another exposure and with noise, as a new array."""
    if gain == 1 and std == 0:
        return np.array(image)
    exposed = cv2.LUT(image, np.arange(256, dtype=np.float32) * np.float32(gain))
    draws = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
    noise = cv2.LUT(draws, _NORMAL * np.float32(255 * std))
    return np.asarray(cv2.add(exposed, noise, dtype=cv2.CV_8U), dtype=np.uint8)
