"""One synthetic video, frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.boxes import face_box_of_points
from facemask.data.artist import cover
from facemask.data.synthetic.body import Body
from facemask.data.synthetic.drawing import Points, Scene, curve
from facemask.data.synthetic.eyes_mouth import paint_eyes, paint_mouth
from facemask.data.synthetic.occluders import make_occluders
from facemask.data.synthetic.person import Identity, Moment, Performance
from facemask.data.synthetic.shape import FaceShape, Geometry, contour
from facemask.data.synthetic.skin import Skin
from facemask.data.synthetic.surroundings import (
    Degradation,
    make_background,
    make_light,
    place_background,
)
from facemask.errors import InputError

MIN_SIZE: Final = 96
"""Smallest frame in pixels on which eyes and lips are still more than a dot."""
CATEGORIES: Final = (1, 2, 3)

# Independent streams of random numbers, so that leaving one part out changes no other.
_WHO, _MOTION, _LOOK, _COVER, _NOISE, _FAR = range(6)


@dataclass(frozen=True)
class Settings:
    """Settings that all videos of one folder share; their number may grow.

    Arguments as in `render_video`; the videos cycle through the categories.

    Raises:
        InputError: An option is out of range; the message names it.
    """

    seed: int
    frames: int
    width: int
    height: int
    fps: int
    categories: tuple[int, ...]
    hard: bool = False

    def __post_init__(self) -> None:
        """Check the options."""
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, expected 0 or more.")
        for category in self.categories:
            if category not in CATEGORIES:
                raise InputError(f"category is {category}, expected 1, 2 or 3.")
        if self.fps < 1:
            raise InputError(f"fps is {self.fps}, expected 1 or more frames a second.")
        if self.frames < 1:
            raise InputError(
                f"the video has {self.frames} frames, expected at least 1: raise seconds."
            )
        if min(self.width, self.height) < MIN_SIZE:
            raise InputError(
                f"frames are {self.width} x {self.height} pixels (width x height), expected at "
                f"least {MIN_SIZE} x {MIN_SIZE}."
            )

    def category(self, index: int) -> int:
        """Return the difficulty of video `index`, from 0."""
        return self.categories[index % len(self.categories)]


class SyntheticVideo:
    """One video: its person, performance and surroundings, ready to give any frame.

    Attributes:
        identity: The person shown.
        performance: What they do.
    """

    def __init__(
        self,
        seed: int,
        index: int,
        *,
        category: int,
        frames: int,
        width: int,
        height: int,
        fps: int,
        occluders: bool = True,
        hard: bool = False,
    ) -> None:
        """Draw everything that stays for the whole video; arguments as in `render_video`."""
        Settings(seed, frames, width, height, fps, (category,))
        self._key, self._fps = (seed, index), fps
        self._width, self._height = width, height
        who, look = self._stream(_WHO), self._stream(_LOOK)
        self.identity = Identity.sample(who)
        self._shape = FaceShape(self.identity)
        self._skin = Skin(self.identity, self._shape, who)
        self._body = Body(self.identity, who)
        motion, seconds = self._stream(_MOTION), frames / fps
        self.performance = Performance(motion, category, seconds, height, width)
        self._light = make_light(look, category)
        self._degradation = Degradation.sample(look, category)
        background = make_background(look, height, width)
        dim = min(1.0, float(self._light.ambient.mean()) / 0.4)
        self._background = background * np.float32(0.4 + 0.6 * dim)
        covered = category == 3 and occluders
        self._covers = make_occluders(self._stream(_COVER), self.identity, index) if covered else []
        if hard:
            box = face_box_of_points(self.points(0))
            self._degradation = Degradation.far(self._stream(_FAR), box.right - box.left, height)

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([*self._key, *key])

    def _face(self, moment: Moment) -> tuple[Geometry, Points, Points]:
        """Return the deformed face, its visible outline (30, 2) and its landmarks (68, 2)."""
        camera = moment.camera
        geometry = self._shape.deform(moment.expression)
        outline = contour(camera.head(geometry.chains) / camera.unit) * camera.unit
        points = camera.head(geometry.landmarks)
        points[:17] = outline[:17]
        return geometry, outline, points

    def points(self, number: int) -> npt.NDArray[np.float64]:
        """Return the landmarks (68, 2) of frame `number`, from 0, without drawing it."""
        return self._face(self.performance.at(number / self._fps))[2]

    def frame(self, number: int) -> npt.NDArray[np.uint8]:
        """Return frame `number`, from 0, uint8 (H, W, 3) RGB."""
        t = number / self._fps
        moment = self.performance.at(t)
        geometry, outline, points = self._face(moment)
        canvas = place_background(self._background, self._height, self._width, moment.view)
        scene = Scene(canvas, moment.camera, self._light)
        self._body.paint_behind(scene, points[:17])
        face = np.concatenate([curve(outline[:17]), curve(outline[17:])])
        self._skin.paint(scene, face, geometry, moment.expression)
        self._body.paint_fringe(scene, outline[17:])
        paint_eyes(scene, points, self.identity, moment.expression)
        paint_mouth(scene, points, self._shape, moment.expression)
        for thing, place in self._covers:
            canvas = cover(canvas, thing, *place(moment.camera, t), self._light.front)
        return self._degradation.apply(canvas, t, self._stream(_NOISE, number))


def render_video(
    seed: int,
    index: int,
    *,
    category: int = 1,
    frames: int = 60,
    width: int = 400,
    height: int = 320,
    fps: int = 30,
    occluders: bool = True,
    hard: bool = False,
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]]:
    """Render one video without writing it.

    The same arguments give the same bits. A video of more frames begins with the frames of a
    shorter one.

    Args:
        seed: Of the whole data set, 0 or more.
        index: Which video of it, from 0; each shows another person.
        category: Difficulty as in 300VW: 1 good light; 2 bad light, blur, noise; 3 hands,
            glasses, microphones, large poses and a part of the faults of 2.
        frames: Number of frames.
        width: Of a frame in pixels, at least 96.
        height: Of a frame in pixels, at least 96.
        fps: Frames a second.
        occluders: Whether category 3 covers the face. The landmarks are the same without.
        hard: Whether a cheap camera films from afar, whatever the category: see
            `Degradation.far`. The landmarks are the same without.

    Yields:
        The frame, uint8 (height, width, 3) RGB, and its 68 landmarks, float64 (68, 2) x, y in
        pixels counted from 0, complete even where something covers them.

    Raises:
        InputError: An option is out of range.

    Examples:
        >>> frame, points = next(render_video(seed=0, index=0, width=128, height=96))
        >>> frame.shape, points.shape
        ((96, 128, 3), (68, 2))
    """
    video = SyntheticVideo(
        seed,
        index,
        category=category,
        frames=frames,
        width=width,
        height=height,
        fps=fps,
        occluders=occluders,
        hard=hard,
    )
    # A generator expression, so that a bad option is refused here and not at the first frame.
    return ((video.frame(k), video.points(k)) for k in range(frames))
