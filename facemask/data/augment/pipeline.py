"""Pipelines of albumentations: the one module that knows it, by its public classes alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt

from facemask.classes import IGNORE
from facemask.data.artist import Image
from facemask.data.augment.occlusion import Occluders

if TYPE_CHECKING:
    from facemask.data.augment.transforms import ClipAugmentation

Range = tuple[float, float]
Params = dict[str, Any]
Matrix = npt.NDArray[np.float64]
HUE = (-0.05, 0.05)
"""Turns of the colour circle: other white balance. Albumentations' default makes faces green."""
SMALLER = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
"""As a small face in a video is made and enlarged. Albumentations' default repeats pixels."""


class ReflectAffine(A.Affine):  # type: ignore[misc]  # albumentations is untyped
    """Affine transform whose image goes on as a mirror image outside; the mask is filled.

    Albumentations has one border mode for both; here `border_mode` is the mask's alone.
    """

    def apply(self, img: Image, matrix: Matrix, output_shape: tuple[int, int], **_: Any) -> Image:  # noqa: ANN401
        """Warp an image."""
        size, border = output_shape[::-1], cv2.BORDER_REFLECT_101
        warped = cv2.warpAffine(img, matrix[:2], size, flags=self.interpolation, borderMode=border)
        return np.asarray(warped, np.uint8)


class ReflectPerspective(A.Perspective):  # type: ignore[misc]  # albumentations is untyped
    """Perspective transform whose image goes on as a mirror image; the mask is filled."""

    def apply(
        self, img: Image, matrix: Matrix, max_height: int, max_width: int, **_: object
    ) -> Image:
        """Warp an image; its size stays."""
        size, border = img.shape[1::-1], cv2.BORDER_REFLECT_101
        scaled = np.diag([size[0] / max_width, size[1] / max_height, 1]) @ matrix
        warped = cv2.warpPerspective(img, scaled, size, flags=self.interpolation, borderMode=border)
        return np.asarray(warped, np.uint8)


class Lighting(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations is untyped
    """Light that falls off across the frame: a straight or a round ramp of brightness.

    Args:
        dark: Smallest and largest brightness at the ramp's dark end.
        bright: The same at its bright end.
        p: Probability.
    """

    def __init__(
        self, dark: Range = (0.4, 0.9), bright: Range = (0.95, 1.3), p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        self.dark = dark
        self.bright = bright

    def get_params_dependent_on_data(self, params: Params, data: Params) -> Params:  # noqa: ARG002
        """Draw the ramp, one for all images."""
        height, width = params["shape"][:2]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        draw = self.py_random.uniform
        if self.py_random.random() < 0.5:
            angle = draw(0, 2 * np.pi)
            ramp = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        else:
            ramp = 1 - np.sqrt((x - draw(-1.2, 1.2)) ** 2 + (y - draw(-1.2, 1.2)) ** 2)
        softness = draw(0.15, 1.0)  # from a shadow's edge to a slow fall-off
        ramp = np.clip(0.5 + (ramp + draw(-0.4, 0.4)) / (2 * softness), 0, 1)
        ramp = ramp * ramp * (3 - 2 * ramp)
        dark, bright = draw(*self.dark), draw(*self.bright)
        gain = (dark + (bright - dark) * ramp).astype(np.float32)
        return {"gain": cv2.merge([gain] * 3)}

    def apply(self, img: Image, gain: npt.NDArray[np.float32], **_: Any) -> Image:  # noqa: ANN401
        """Multiply an image by the ramp."""
        return np.asarray(cv2.multiply(img, gain, dtype=cv2.CV_8U), np.uint8)


class ClipOcclusion(A.DualTransform):  # type: ignore[misc]  # albumentations is untyped
    """Step of a pipeline that draws `Occluders`; the masks of all frames tell where faces are.

    Args:
        occluders: Draws them.
    """

    def __init__(self, occluders: Occluders) -> None:
        super().__init__(p=1.0)
        self.occluders = occluders

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002
        """Draw over the targets image, image1, image2, …, which go with mask, mask1, mask2, …."""
        frames = [name.removeprefix("image") for name in kwargs if name.startswith("image")]
        images, _ = self.occluders(
            [kwargs[f"image{frame}"] for frame in frames],
            [kwargs[f"mask{frame}"] for frame in frames],
            seed=self.py_random.getrandbits(32),
        )
        return kwargs | {f"image{f}": image for f, image in zip(frames, images, strict=True)}

    def get_transform_init_args(self) -> dict[str, Any]:
        """Return the occluders' arguments, for the key of cached features."""
        return {"occluders": self.occluders.describe()}


class Pipeline:
    """Transforms with one draw of random parameters for all frames of a clip.

    Args:
        transforms: Applied in order.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform | A.BaseCompose]) -> None:
        self._transforms = transforms
        self._composed: dict[int, A.Compose] = {}

    def __call__(
        self, images: Sequence[Image], masks: Sequence[Image], seed: int
    ) -> tuple[list[Image], list[Image]]:
        """Augment one clip; see `ClipTransform`."""
        frames = ["", *map(str, range(1, len(images)))]
        pipeline = self._composed.get(len(images))
        if pipeline is None:
            # additional_targets, not images=: that one draws some parameters for each frame anew
            targets = {f"{kind}{f}": kind for kind in ("image", "mask") for f in frames[1:]}
            pipeline = A.Compose(self._transforms, additional_targets=targets)
            self._composed[len(images)] = pipeline
        pipeline.set_random_seed(seed)
        clip = {f"image{f}": image for f, image in zip(frames, images, strict=True)}
        clip |= {f"mask{f}": mask for f, mask in zip(frames, masks, strict=True)}
        out = pipeline(**clip)
        return [out[f"image{f}"] for f in frames], [out[f"mask{f}"] for f in frames]

    def describe(self) -> list[dict[str, Any]]:
        """Return the transforms and their arguments in plain values."""
        return [A.to_dict(transform) for transform in self._transforms]


def face_transforms(parts: "ClipAugmentation") -> list[A.BasicTransform | A.BaseCompose]:
    """Return the transforms of an augmentation of face clips."""
    hole, fills = (0.1, 0.35), ("random_uniform", "random")
    rectangles = [A.CoarseDropout((1, 3), hole, hole, fill=fill) for fill in fills]
    reflect, turn, shift = parts.border == "reflect", parts.rotate, parts.shift
    affine = ReflectAffine if reflect else A.Affine
    warp = ReflectPerspective if reflect else A.Perspective
    # Parts that are off by default are left out, not given probability 0: they would take
    # random numbers from the parts after them and change what a seed means.
    added: list[A.BasicTransform] = []
    if parts.perspective:
        added.append(warp(scale=(0.02, 0.08), fill_mask=IGNORE, p=parts.perspective))
    if parts.occluders is not None:
        added.append(ClipOcclusion(parts.occluders))
    if parts.lighting:
        added.append(Lighting(p=parts.lighting))
    if parts.low_light:
        added.append(A.ColorJitter((0.2, 0.6), (0.6, 1), (0, 1), HUE, p=parts.low_light))
    return [
        A.HorizontalFlip(p=parts.flip),
        affine(
            rotate=(-turn, turn),
            scale=parts.scale,
            translate_percent=(-shift, shift),
            fill_mask=IGNORE,
            p=1.0 if turn or shift or parts.scale != (1.0, 1.0) else 0.0,
        ),
        *added,
        A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.5, 1.5), HUE, p=parts.color),
        A.RandomGamma(gamma_limit=(50, 180), p=parts.gamma),
        A.ToGray(p=parts.gray),
        A.OneOf([A.GaussianBlur((3, 9)), A.MotionBlur((3, 11))], p=parts.blur),
        A.Downscale(scale_range=(0.3, 0.7), interpolation_pair=SMALLER, p=parts.low_resolution),
        A.ImageCompression(quality_range=(25, 80), p=parts.compression),
        A.GaussNoise(std_range=(0.02, 0.08), p=parts.noise),
        A.OneOf(rectangles, p=parts.occlusion),
    ]
