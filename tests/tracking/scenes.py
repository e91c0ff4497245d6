"""Made-up video: textured patches that move over a textured background."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.tracking.detection import Detection
from facemask.turned import TurnedBox, wrapped

Image = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 240, 320


def texture(seed: int, height: int, width: int) -> Image:
    """Smooth random colours with corners that flow can follow, RGB uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 10), max(2, width // 10), 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, dtype=np.uint8)


@dataclass(frozen=True)
class Patch:
    """One "face".

    Attributes:
        place: Its box in a frame; None where it is away.
        seed: Its looks.
        seen: Frames in which the detector is allowed to see it; None: all.
        roll: Degrees by which it is turned clockwise in a frame.
        score: Factor of the detector's score.
    """

    place: Callable[[int], Box | None]
    seed: int
    seen: Callable[[int], bool] = lambda _: True
    roll: Callable[[int], float] = lambda _: 0.0
    score: float = 1.0


class Scene:
    """Frames and what a detector sees in them; later patches lie over earlier ones."""

    def __init__(self, patches: Sequence[Patch], background: int = 99) -> None:
        self.patches = patches
        self.background = texture(background, HEIGHT, WIDTH)
        self.looks = [texture(patch.seed, 64, 64) for patch in patches]

    def frame(self, number: int) -> Image:
        image: Image = self.background.copy()
        for patch, look in zip(self.patches, self.looks, strict=True):
            box = patch.place(number)
            if box is not None:
                _paint(image, look, TurnedBox(box, patch.roll(number)))
        return image

    def frames(self, count: int) -> Iterator[Image]:
        return (self.frame(number) for number in range(count))

    def faces(self, number: int) -> list[tuple[TurnedBox, float]]:
        """The patches, with their factors, that are there, seen and not covered by a later one."""
        found = []
        for i, patch in enumerate(self.patches):
            box = patch.place(number)
            if box is None or not patch.seen(number):
                continue
            later = (other.place(number) for other in self.patches[i + 1 :])
            if not any(other is not None and _covers(other, box) for other in later):
                found.append((TurnedBox(box, patch.roll(number)), patch.score))
        return found


class SceneDetector:
    """Sees a scene's patches; `noise` shifts each box by so much of its side, `sway` each roll.

    It sees those that stand upright, within `FARTHEST_ROLL` degrees, in the image as it is given;
    `calls` has the frame of each run, `turns` the way in which its image was turned.
    """

    FARTHEST_ROLL: Final = 60

    def __init__(
        self, scene: Scene, noise: float = 0.0, score: float = 0.9, sway: float = 0.0
    ) -> None:
        self.scene, self.noise, self.score, self.sway = scene, noise, score, sway
        self.frame = -1
        self.calls: list[int] = []
        self.turns: list[int] = []
        self._rng = np.random.default_rng(0)

    @property
    def looks(self) -> list[int]:
        """Frames in which it was run."""
        return sorted(set(self.calls))

    def detect(self, image: Image) -> list[Detection]:
        quarters = self._quarters(image)
        self.calls.append(self.frame)
        self.turns.append(90 * quarters)
        found = []
        for face, factor in self.scene.faces(self.frame):
            box, roll = self._shifted(face.box), wrapped(self._swayed(face.roll) - 90 * quarters)
            if abs(roll) <= self.FARTHEST_ROLL:
                x, y = box.center
                x, y = ((x, y), (y, WIDTH - x), (WIDTH - x, HEIGHT - y), (HEIGHT - y, x))[quarters]
                score = factor * self.score - abs(roll) / 1000  # the more upright, the surer
                found.append(Detection(Box.around(x, y, box.side), score, roll))
        return found

    def _quarters(self, image: Image) -> int:
        """Return how often an image was turned counter-clockwise by 90 degrees."""
        height, width = self.scene.background.shape[:2]
        unlike = {}
        for quarters in range(4):
            back = np.rot90(image, -quarters)
            if (back.shape[0] > back.shape[1]) == (height > width):
                known = self.scene.background[: back.shape[0], : back.shape[1]]
                unlike[quarters] = float(np.abs(known.astype(float) - back).mean())
        return min(unlike, key=lambda quarters: unlike[quarters])

    def _shifted(self, box: Box) -> Box:
        dx, dy, grow = self._rng.normal(0, self.noise, 3) if self.noise else (0.0, 0.0, 0.0)
        x, y = box.center
        return Box.around(x + dx * box.side, y + dy * box.side, box.side * np.exp(grow))

    def _swayed(self, roll: float) -> float:
        return wrapped(roll + self._rng.normal(0, self.sway)) if self.sway else roll


def _covers(front: Box, back: Box) -> bool:
    width = min(front.right, back.right) - max(front.left, back.left)
    height = min(front.bottom, back.bottom) - max(front.top, back.top)
    return max(width, 0) * max(height, 0) > 0.4 * back.width * back.height


def _paint(image: Image, look: Image, face: TurnedBox) -> None:
    """Sub-pixel: the patch's edges are where the turned box's are."""
    scale = face.box.side / look.shape[0]
    # where the patch's first pixel and its right and lower neighbours have their centres
    corners = face.to_image(scale * np.array([[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]])) - 0.5
    move = np.column_stack([corners[1] - corners[0], corners[2] - corners[0], corners[0]])
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(look, move, size, flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.full(look.shape[:2], 255, np.uint8), move, size)
    image[inside > 127] = moved[inside > 127]
