"""Surroundings of a made-up person: background, light, and the camera's faults."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.synthetic.drawing import (
    Canvas,
    Light,
    Picture,
    Points,
    blur,
    ellipse,
    noise,
    trace,
)
from facemask.data.synthetic.person import Wave

_MARGIN: Final = 1.5  # the background is this much larger than the frame, for the camera to move


def _muted(rng: np.random.Generator, mean: float, spread: float) -> Points:
    """Draw a colour (3,) of mostly little saturation, its brightness around `mean`."""
    tint = rng.normal(0, 1, 3) * rng.choice([8.0, 16.0, 34.0])
    return np.asarray(np.clip(rng.normal(mean, spread) + tint - tint.mean(), 8, 248), np.float64)


def make_background(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Draw a blurred room or landscape, float32, `_MARGIN` times the frame's size."""
    rows, columns = int(height * _MARGIN), int(width * _MARGIN)
    base, other = _muted(rng, 128, 70), _muted(rng, 128, 70)
    ramp = np.linspace(0, 1, rows)[:, None, None] * rng.uniform(0, 1) + (
        np.linspace(0, 1, columns)[None, :, None] * rng.uniform(0, 1)
    )
    picture = Picture((base + (other - base) * 0.5 * ramp).astype(np.float32))
    kind = rng.integers(0, 4)
    for _ in range(int(rng.integers(6, 26)) if kind else 3):
        color = _muted(rng, float(base.mean()), 45)
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        size = rng.uniform(0.04, 0.25) * rows
        if kind == 1:  # lights out of focus
            disc = ellipse(np.array([x, y]), (size * 0.6,) * 2)
            picture.paint(disc, np.clip(color + 50, 0, 255), 0.6)
        elif kind == 2:  # shelves, windows, doors
            half = np.array([size, size * rng.uniform(0.4, 2.5)]) / 1.5
            corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * half + (x, y)
            picture.paint(corners, color, 0.9)
        else:  # foliage, crowd
            radii = (size, size * rng.uniform(0.4, 1.6))
            blob = ellipse(np.array([x, y]), radii, rng.uniform(0, 3))
            picture.paint(blob, color, 0.7, soft=2.0)
    blurred = blur(picture.canvas, float(rng.uniform(0.004, 0.03)) * rows)
    blurred += noise(rng, rows, columns, 3.0)[..., None] * np.float32(rng.uniform(0, 2.5))
    return np.clip(blurred, 0, 255)


def place_background(background: Canvas, height: int, width: int, view: Points) -> Canvas:
    """Cut the frame out of the background.

    Args:
        background: From `make_background`.
        height: Rows of the frame.
        width: Columns.
        view: (3,) shift right, shift down (both in frame heights) and zoom of the camera.
    """
    zoom = float(view[2])
    x = width / 2 - zoom * background.shape[1] / 2 + view[0] * height
    y = height / 2 - zoom * background.shape[0] / 2 + view[1] * height
    matrix = np.array([[zoom, 0, x], [0, zoom, y]])
    placed = cv2.warpAffine(background, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(placed, np.float32)


def make_light(rng: np.random.Generator, category: int) -> Light:
    """Draw the light: even and bright for category 1, anything from dim to harsh for the others."""
    hard = category == 2 or (category == 3 and rng.random() < 0.4)
    side = rng.uniform(-1, 1) * (1.6 if hard else 0.7)
    direction = np.array([side, rng.uniform(-0.9, 0.45 if hard else -0.15), 0.75])
    direction /= np.linalg.norm(direction)
    warmth = rng.uniform(-1, 1) * (0.16 if hard else 0.05)
    tint = np.array([1 + warmth, 1 + 0.15 * warmth * rng.uniform(-1, 1), 1 - warmth])
    ambient = rng.uniform(0.16, 0.34) if hard else rng.uniform(0.38, 0.50)
    lamp = rng.uniform(0.62, 0.86) if hard else rng.uniform(0.50, 0.62)
    return Light(direction, lamp * tint, ambient * (2 - tint))


@dataclass(frozen=True)
class Degradation:
    """Faults of one video's frames, in the order of application.

    Attributes:
        gain: Exposure; 1 is right.
        bloom: Share of over-exposed light that spreads.
        defocus: Standard deviation of the blur, as a share of the frame's height.
        smear: Length of the motion blur, as a share of the frame's height.
        smear_angle: Its direction, radians.
        reduction: How many times smaller the sensor is than the frame.
        noise: Standard deviation of the sensor's noise, 0 to 255.
        quality: JPEG quality of the transmission, 0 for none.
        flicker: Exposure in time.
        focus: Focus in time.
    """

    gain: float
    bloom: float
    defocus: float
    smear: float
    smear_angle: float
    reduction: float
    noise: float
    quality: int
    flicker: Wave
    focus: Wave

    @classmethod
    def sample(cls, rng: np.random.Generator, category: int) -> "Degradation":
        """Draw a video's faults: next to none, two or three, or perhaps one, by category."""
        kinds = ["dark", "over", "defocus", "smear", "small", "noise", "jpeg"]
        count = {1: 0, 2: int(rng.integers(2, 4)), 3: int(rng.integers(0, 2))}[category]
        chosen = {str(k) for k in rng.permutation(kinds)[:count]}
        if {"dark", "over"} <= chosen:
            chosen.remove("dark")
        gain = rng.uniform(0.94, 1.06)
        dark, over = rng.uniform(0.36, 0.6), rng.uniform(1.45, 1.9)
        return cls(
            gain=float(dark if "dark" in chosen else over if "over" in chosen else gain),
            bloom=0.35 if "over" in chosen else 0.0,
            defocus=float(rng.uniform(0.004, 0.010)) if "defocus" in chosen else 0.0,
            smear=float(rng.uniform(0.02, 0.05)) if "smear" in chosen else 0.0,
            smear_angle=float(rng.uniform(0, np.pi)),
            reduction=float(rng.uniform(2.0, 3.6)) if "small" in chosen else 1.0,
            noise=float(rng.uniform(8, 20)) if "noise" in chosen else float(rng.uniform(0.8, 2.5)),
            quality=int(rng.integers(9, 26)) if "jpeg" in chosen else 0,
            flicker=Wave(rng, 0.3, 1.2),
            focus=Wave(rng, 0.2, 0.7),
        )

    @classmethod
    def far(cls, rng: np.random.Generator, side: float, height: int) -> "Degradation":
        """Draw the faults of a cheap camera that is far away: all of them, in every frame.

        The face is small on its sensor, out of focus, dark, noisy and compressed into blocks.

        Args:
            rng: Source of the draws.
            side: Of the face crop in the frame, in pixels; 30 to 60 of them are left.
            height: Rows of the frame.
        """
        reduction = max(1.0, side / float(rng.uniform(30, 60)))
        return cls(
            gain=float(rng.uniform(0.35, 0.65)),
            bloom=0.0,
            defocus=float(rng.uniform(0.3, 0.9)) * reduction / height,
            smear=0.0,
            smear_angle=0.0,
            reduction=reduction,
            noise=float(rng.uniform(4, 12)),
            quality=int(rng.integers(25, 51)),
            flicker=Wave(rng, 0.3, 1.2),
            focus=Wave(rng, 0.2, 0.7),
        )

    def apply(self, canvas: Canvas, t: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Spoil a frame.

        Args:
            canvas: The clean picture, float32 (H, W, 3), 0 to 255.
            t: Time in seconds.
            rng: The frame's own source of noise.

        Returns:
            The frame, uint8 (H, W, 3).
        """
        height, width = canvas.shape[:2]
        swing = 0.12 if self.gain > 1.3 or self.gain < 0.7 else 0.02
        picture = canvas * np.float32(self.gain * (1 + swing * self.flicker(t)))
        if self.bloom:
            glow = np.maximum(picture - 235, 0)
            picture += np.float32(self.bloom) * blur(glow, 0.025 * height) * 2
        if self.defocus:
            picture = blur(picture, self.defocus * height * (0.75 + 0.45 * self.focus(t)))
        if self.smear:
            kernel = _smear_kernel(self.smear * height * abs(self.focus(t)), self.smear_angle)
            picture = np.asarray(cv2.filter2D(picture, -1, kernel), np.float32)
        if self.reduction > 1:
            size = (round(width / self.reduction), round(height / self.reduction))
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            picture = np.asarray(small, np.float32)
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        picture += grain * np.float32(self.noise)
        frame = np.clip(picture, 0, 255).astype(np.uint8)
        if self.quality:
            options = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
            _, encoded = cv2.imencode(".jpg", frame[..., ::-1], options)
            frame = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
        if self.reduction > 1:
            large = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
            frame = np.asarray(large, np.uint8)
        return np.ascontiguousarray(frame)


def _smear_kernel(length: float, angle: float) -> npt.NDArray[np.float32]:
    """Return a line of `length` pixels through the kernel's centre, summing to 1."""
    size = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((size * 4, size * 4), np.uint8)
    middle = (size * 4 - 1) / 2
    half = np.array([np.cos(angle), np.sin(angle)]) * length * 2
    trace(kernel, np.stack([middle - half, middle + half]), 255, 4)
    small = cv2.resize(kernel.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small / small.sum(), np.float32)
