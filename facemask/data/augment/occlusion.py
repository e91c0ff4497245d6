"""Hands, glasses, objects and hair drawn over real faces; the masks stay complete.

A model that shall find the whole face under a hand has to see hands, so they are drawn over crops
whose masks are known. A clip's things are decided once and follow the face's motion.
"""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import EYES, OPEN, SKIN
from facemask.data import artist
from facemask.data.artist import Color, Image, Points, Projection, Thing
from facemask.data.augment import things
from facemask.errors import InputError

Region = Literal["face", "eyes", "mouth"]
_MOUTH: Final = np.array([0.0, 1.1])
"""Place of the mouth, from between the eyes, in units of the eyes' distance."""
_NOSE: Final = _MOUTH / 2
_TONES: Final = np.array(
    [[236, 196, 170], [205, 155, 125], [160, 110, 80], [110, 70, 48], [62, 40, 30]], np.float64
)
_TARGETS: Final[dict[str, Points]] = {  # (x, y) in units, from between the eyes
    "face": np.array([[0, 1.1], [0.1, 1.6], [-0.7, 0.8], [0.7, 0.8], [-0.5, 0], [0.5, 0], [0, 0]]),
    "eyes": np.array([[-0.5, 0.1], [0.5, 0.1], [0.0, 0.1], [-0.6, 0.5], [0.6, 0.5]]),
    "mouth": np.array([[0, 1.1], [-0.4, 1.1], [0.4, 1.1], [0.1, 1.5]]),
}
_MIN_SHARE: Final = 0.2
"""Smallest size of an eye as a share of the other; less is a splinter."""


class Face:
    """Place of the face in every frame of a clip.

    Attributes:
        found: The masks show it; else the frame's middle stands in.
        origin: Between the eyes, float64 (T, 2) in pixels.
        axes: Unit of length and direction of the face's x axis, (T, 2): pixels and radians.
        spread: Half of the eyes' distance, in units.
    """

    def __init__(self, masks: Sequence[Image], region: Region) -> None:
        """Find it."""
        found = [_find(mask, region) for mask in masks]
        seen = [t for t, place in enumerate(found) if place is not None]
        self.found = bool(seen)
        if not seen:
            height, width = masks[0].shape
            middle = (width / 2, 0.42 * height, 0.3 * min(height, width), 0.0, 0.5)
            found, seen = [middle], [0]
        table = np.array([found[t] for t in seen], np.float64)
        frames = np.arange(len(masks))
        full = np.stack([np.interp(frames, seen, column) for column in table.T], axis=1)
        self.origin, self.axes = full[:, :2], full[:, 2:4]
        self.spread = float(np.median(full[:, 4]))

    def view(self, t: int, target: Points, angle: float, size: float) -> tuple[Projection, float]:
        """Return the projection of a thing at `target` into frame t, and pixels per unit of it."""
        unit, tilt = self.axes[t]
        start = self.origin[t] + unit * _turn(tilt) @ target
        scale = float(unit * size)
        axes = scale * _turn(tilt + angle)
        return lambda points: points @ axes.T + start, scale


def _turn(angle: float) -> Points:
    """Return the rotation (2, 2), clockwise as the picture is seen."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _find(mask: Image, region: Region) -> tuple[float, float, float, float, float] | None:
    """Return origin x, y, unit, tilt and spread of one frame; None without eyes or mouth."""
    if region == "mouth":
        return _find_mouth(mask)
    eyes = _components(mask == (EYES if region == "face" else 1))
    skin = cv2.boundingRect((mask == SKIN).view(np.uint8)) if region == "face" else (0, 0, 0, 0)
    if not eyes:
        return None
    left, right = min(eyes), max(eyes)
    dx, dy = right[0] - left[0], right[1] - left[1]
    distance, width = float(np.hypot(dx, dy)), float(skin[2])
    if len(eyes) == 2 and abs(dy) < 1.2 * dx:
        unit = max(distance, 0.4 * width)  # a face seen from the side is as large as any other
        x, y = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
        return x, y, unit, float(np.arctan2(dy, dx)), 0.5 * distance / unit
    unit = 0.45 * width or 0.5 * max(mask.shape)
    middle = skin[0] + width / 2 if width else left[0]
    return middle, left[1], unit, 0.0, 0.5


def _find_mouth(mask: Image) -> tuple[float, float, float, float, float] | None:
    """Return the same of a mouth crop, whose ids are 1 lips and 2 inner mouth."""
    mouth = ((mask > 0) & (mask < OPEN)).view(np.uint8)
    moments = cv2.moments(mouth, binaryImage=True)
    if moments["m00"] < 4:
        return None
    tilt = 0.5 * np.arctan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"])
    tilt = float(tilt) if abs(tilt) < 0.7 else 0.0  # a wide open mouth has no long axis
    unit = max(cv2.boundingRect(mouth)[2] / 0.85, 2.0)
    center = np.array([moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]])
    x, y = center - unit * _turn(tilt) @ _MOUTH
    return float(x), float(y), float(unit), tilt, 0.5


def _components(inside: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return the centres x, y of the two largest connected parts; fewer where there are fewer."""
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    if not width:
        return []
    part = np.ascontiguousarray(inside[y : y + height, x : x + width]).view(np.uint8)
    _, _, stats, centers = cv2.connectedComponentsWithStats(part)
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = 1 + np.argsort(areas, kind="stable")[::-1][:2]
    large = [k for k in order if stats[k, cv2.CC_STAT_AREA] >= _MIN_SHARE * areas.max()]
    return [(float(centers[k, 0] + x), float(centers[k, 1] + y)) for k in large]


class Occluders:
    """Draws occluders over the faces of a clip, the same ones in all of its frames.

    Each kind comes with its own probability, so that several can meet. Without a face in the
    masks only patches are drawn. The masks are given back as they are.

    Args:
        hand: Probability of a hand, of the person's own skin colour or another.
        glasses: Probability of glasses or sunglasses; none in mouth crops.
        object: Probability of a microphone, a phone or a cup.
        hair: Probability of strands of hair or, rarely, a scarf.
        patch: Probability of a rectangle or ellipse with a texture or a piece of the image.
        region: What the clips show, and thereby what the class ids mean: face (skin 1, eyes 2,
            lips 3, inner mouth 4), eyes (eyes 1) or mouth (lips 1, inner mouth 2).

    Raises:
        InputError: A probability is not within 0 to 1, or the region is none of the three.
    """

    def __init__(
        self,
        hand: float = 0.2,
        glasses: float = 0.15,
        object: float = 0.12,  # noqa: A002
        hair: float = 0.12,
        patch: float = 0.1,
        region: Region = "face",
    ) -> None:
        self.probabilities = {
            "glasses": glasses, "hair": hair, "object": object, "hand": hand, "patch": patch
        }  # fmt: skip
        for name, value in self.probabilities.items():
            if not 0 <= value <= 1:
                raise InputError(f"occluders: {name} is {value}: give a probability from 0 to 1.")
        if region not in get_args(Region):
            raise InputError(f"occluders: region is {region!r}: give face, eyes or mouth.")
        self.region: Region = region

    def describe(self) -> dict[str, float | str]:
        """Return the class and all arguments, which tell one augmentation from another."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"class": name, "region": self.region, **self.probabilities}

    def __call__(
        self, images: Sequence[Image], masks: Sequence[Image], seed: int
    ) -> tuple[list[Image], list[Image]]:
        """Draw over one clip.

        Args:
            images: T frames of one size, uint8 (H, W, 3); not changed.
            masks: Their masks, uint8 (H, W); see `region` for the class ids.
            seed: Decides everything.

        Returns:
            The frames, drawn over, and the masks as given.
        """
        rng = np.random.default_rng(seed)
        chosen = [kind for kind, p in self.probabilities.items() if rng.random() < p]
        out = list(images)
        if chosen:
            face = Face(masks, self.region)
            for kind in chosen:
                if kind == "patch" or (face.found and (kind, self.region) != ("glasses", "mouth")):
                    self._add(kind, rng, face, out, masks[0])
        return out, list(masks)

    def _add(
        self, kind: str, rng: np.random.Generator, face: Face, images: list[Image], mask: Image
    ) -> None:
        """Draw one object over all frames; `images` gets new entries."""
        thing, target, angle, size = self._make(kind, rng, face, images[0], mask)
        frames = len(images)
        offsets = np.zeros((frames, 2))
        if kind != "glasses":
            speed, phase = rng.uniform(0.1, 0.5, 2), rng.uniform(0, 2 * np.pi, 2)
            time = np.arange(frames)[:, None]
            offsets += 0.06 * np.sin(speed * time + phase)
            if frames > 1 and rng.random() < 0.3:  # comes in or leaves
                away = _turn(angle)[:, 1] * rng.uniform(0.5, 2.5) * (-1 if kind == "hair" else 1)
                gone = np.linspace(0, 1, frames)[:, None]
                offsets += away * (gone if rng.random() < 0.5 else 1 - gone) ** 1.5
        for t, image in enumerate(images):
            images[t] = artist.cover(image, thing, *face.view(t, target + offsets[t], angle, size))

    def _make(
        self, kind: str, rng: np.random.Generator, face: Face, image: Image, mask: Image
    ) -> tuple[Thing, Points, float, float]:
        """Draw the object and return it, its place, its angle in radians and its size."""
        targets = _TARGETS[self.region]
        target = targets[rng.integers(0, len(targets))] + rng.normal(0, 0.15, 2)
        side = float(np.sign(target[0])) or 1.0
        if kind == "glasses":
            return artist.glasses(rng, face.spread), np.zeros(2), 0.0, 1.0
        if kind == "hand":
            angle = -side * rng.uniform(-0.3, 1.3)
            thing = artist.hand(rng, self._skin(rng, face, image, mask))
            return thing, target, angle, rng.uniform(0.8, 1.1)
        if kind == "patch":
            return things.patch(rng, image), target, rng.uniform(0, np.pi), rng.uniform(0.6, 1.2)
        if kind == "hair":
            if self.region != "eyes" and rng.random() < 0.2:
                top = np.array([0, rng.uniform(0.6, 1.7)])
                return things.scarf(rng), top, rng.normal(0, 0.1), 1.0
            if self.region == "face":
                target = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.5, 1.3)])
            return things.locks(rng), target, rng.normal(0, 0.2), rng.uniform(0.9, 1.2)
        if self.region == "face":  # held to the mouth, chin or cheek
            target = targets[rng.integers(0, 4)] + rng.normal(0, 0.15, 2)
        angle = -side * rng.uniform(-0.3, 0.8)
        thing = (artist.microphone, things.phone, things.cup)[rng.integers(0, 3)](rng)
        return thing, target, angle, rng.uniform(0.8, 1.25)

    def _skin(self, rng: np.random.Generator, face: Face, image: Image, mask: Image) -> Color:
        """Draw a colour of the person's own skin, mostly, else of another's."""
        # in eye and mouth crops the skin is what is neither eyes, mouth nor outside of the picture
        inside = mask[::3, ::3] == (SKIN if self.region == "face" else 0)
        if not inside.any():  # labels may leave it open: it is around the nose
            rows, columns = 3 * np.indices(inside.shape)
            unit, tilt = face.axes[0]
            x, y = face.origin[0] + unit * _turn(tilt) @ _NOSE
            inside = np.hypot(columns - x, rows - y) < 0.35 * unit
        pixels = image[::3, ::3][inside & (image[::3, ::3].max(axis=2) > 8)]
        if len(pixels) and rng.random() < 0.75:
            own = np.percentile(pixels, rng.uniform(50, 75), axis=0)
            return np.asarray(own * rng.uniform(0.85, 1.15) * rng.normal(1, 0.03, 3), np.float64)
        tones = rng.dirichlet(np.full(len(_TONES), 0.5)) @ _TONES
        return np.asarray(tones * rng.uniform(0.6, 1.1), np.float64)
