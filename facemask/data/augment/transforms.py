"""Resizing, and augmentation whose random parameters the frames of a clip share."""

from collections.abc import Sequence
from typing import Literal, get_args

import albumentations as A
import numpy as np
import numpy.typing as npt

from facemask.classes import IGNORE
from facemask.data.augment.clip_transforms import (
    ClipOcclusion,
    Lighting,
    ReflectAffine,
    ReflectPerspective,
)
from facemask.data.augment.occlusion import Occluders
from facemask.errors import InputError
from facemask.resample import resize_image as resize_image
from facemask.resample import resize_mask as resize_mask

Border = Literal["constant", "reflect"]
HUE = (-0.05, 0.05)
"""Turns of the colour circle: other white balance. Albumentations' default makes faces green."""


class ClipTransform:
    """Albumentations transforms with one draw of random parameters for all frames of a clip.

    Args:
        transforms: Albumentations transforms, applied in order. Geometric ones should fill
            masks with 255 (`fill_mask=255`), so that what comes from outside is ignored.
    """

    def __init__(self, transforms: Sequence[A.BasicTransform | A.BaseCompose]) -> None:
        self.transforms = list(transforms)
        self._pipelines: dict[int, A.Compose] = {}

    def __call__(
        self,
        images: Sequence[npt.NDArray[np.uint8]],
        masks: Sequence[npt.NDArray[np.uint8]],
        seed: int,
    ) -> tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]]:
        """Augment one clip.

        Args:
            images: T frames of one size, uint8 (H, W, 3).
            masks: Their masks, uint8 (H, W).
            seed: Decides every random parameter: same seed, same result.

        Returns:
            The augmented frames and masks.
        """
        # additional_targets, not images=: that one draws some parameters for each frame anew
        pipeline = self._pipelines.get(len(images))
        if pipeline is None:
            targets = {f"image{t}": "image" for t in range(1, len(images))}
            targets |= {f"mask{t}": "mask" for t in range(1, len(images))}
            pipeline = A.Compose(self.transforms, additional_targets=targets)
            self._pipelines[len(images)] = pipeline
        pipeline.set_random_seed(seed)
        names = ["", *map(str, range(1, len(images)))]
        clip = {f"image{name}": image for name, image in zip(names, images, strict=True)}
        clip |= {f"mask{name}": mask for name, mask in zip(names, masks, strict=True)}
        out = pipeline(**clip)
        return [out[f"image{name}"] for name in names], [out[f"mask{name}"] for name in names]


class ClipAugmentation(ClipTransform):
    """The default augmentation of face clips; every part can be turned off with 0.

    Left and right eye are one class, so flipping needs no relabelling. Occlusion changes the
    image only: a face mask is complete under whatever covers the face.

    Args:
        flip: Probability of a left/right flip.
        rotate: Largest rotation in degrees, either way.
        scale: Smallest and largest zoom.
        shift: Largest shift either way, as a share of the size.
        color: Probability of a change of brightness, contrast, saturation and hue.
        gamma: Probability of a gamma change (bad light, over-exposure).
        gray: Probability of a grey image.
        blur: Probability of defocus or motion blur.
        low_resolution: Probability of down- and up-scaling.
        compression: Probability of JPEG artefacts.
        noise: Probability of sensor noise.
        occlusion: Probability of one to three flat or noisy rectangles over the face.
        occluders: Draws hands, glasses and other things over the face after the geometric
            parts, so that blur and compression act on them too; None draws none.
        border: What the image shows outside of the moved crop: 0, or its mirror image. The mask
            is 255 there either way.
        perspective: Probability of a change of perspective.
        lighting: Probability of light or shadow that changes across the frame.
        low_light: Probability of too little light: 0.2 to 0.6 of the brightness, with weak
            contrast and colours.

    Raises:
        InputError: A new part's probability is not within 0 to 1, or the border is neither.
    """

    def __init__(
        self,
        flip: float = 0.5,
        rotate: float = 15.0,
        scale: tuple[float, float] = (0.85, 1.15),
        shift: float = 0.06,
        color: float = 0.5,
        gamma: float = 0.2,
        gray: float = 0.05,
        blur: float = 0.1,
        low_resolution: float = 0.1,
        compression: float = 0.2,
        noise: float = 0.1,
        occlusion: float = 0.2,
        occluders: Occluders | None = None,
        border: Border = "constant",
        perspective: float = 0.0,
        lighting: float = 0.0,
        low_light: float = 0.0,
    ) -> None:
        new = {"perspective": perspective, "lighting": lighting, "low_light": low_light}
        for name, value in new.items():
            if not 0 <= value <= 1:
                raise InputError(
                    f"augmentation: {name} is {value}: give a probability from 0 to 1."
                )
        if border not in get_args(Border):
            raise InputError(f"augmentation: border is {border!r}: give constant or reflect.")
        hole = (0.1, 0.35)
        affine, warp = (
            (ReflectAffine, ReflectPerspective)
            if border == "reflect"
            else (A.Affine, A.Perspective)
        )
        # Parts that are off by default are left out, not given probability 0: they would take
        # random numbers from the parts after them and change what a seed means.
        added: list[A.BasicTransform] = []
        if perspective:
            added.append(warp(scale=(0.02, 0.08), fill_mask=IGNORE, p=perspective))
        if occluders is not None:
            added.append(ClipOcclusion(occluders))
        if lighting:
            added.append(Lighting(p=lighting))
        if low_light:
            added.append(
                A.ColorJitter(
                    brightness=(0.2, 0.6),
                    contrast=(0.6, 1),
                    saturation=(0, 1),
                    hue=HUE,
                    p=low_light,
                )
            )
        super().__init__(
            [
                A.HorizontalFlip(p=flip),
                affine(
                    rotate=(-rotate, rotate),
                    scale=scale,
                    translate_percent=(-shift, shift),
                    fill_mask=IGNORE,
                    p=1.0 if rotate or shift or scale != (1.0, 1.0) else 0.0,
                ),
                *added,
                A.ColorJitter(
                    brightness=(0.6, 1.4),
                    contrast=(0.6, 1.4),
                    saturation=(0.5, 1.5),
                    hue=HUE,
                    p=color,
                ),
                A.RandomGamma(gamma_limit=(50, 180), p=gamma),
                A.ToGray(p=gray),
                A.OneOf(
                    [A.GaussianBlur(blur_limit=(3, 9)), A.MotionBlur(blur_limit=(3, 11))], p=blur
                ),
                A.Downscale(scale_range=(0.3, 0.7), p=low_resolution),
                A.ImageCompression(quality_range=(25, 80), p=compression),
                A.GaussNoise(std_range=(0.02, 0.08), p=noise),
                A.OneOf(
                    [
                        A.CoarseDropout((1, 3), hole, hole, fill="random_uniform"),
                        A.CoarseDropout((1, 3), hole, hole, fill="random"),
                    ],
                    p=occlusion,
                ),
            ]
        )
