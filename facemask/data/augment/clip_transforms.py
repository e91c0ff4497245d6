"""Albumentations transforms that the clip augmentation needs and albumentations lacks."""

from typing import Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt
from albumentations.augmentations.geometric import functional as geometric

from facemask.data.augment.occlusion import Occluders


class ReflectAffine(A.Affine):  # type: ignore[misc]  # albumentations is untyped
    """An affine transform whose image goes on as a mirror image outside; the mask is filled.

    Albumentations has one border mode for both; here `border_mode` is the mask's alone.
    """

    def apply(
        self,
        img: npt.NDArray[np.uint8],
        matrix: npt.NDArray[np.float64],
        output_shape: tuple[int, int],
        **params: Any,  # noqa: ANN401, ARG002
    ) -> npt.NDArray[np.uint8]:
        """Warp an image."""
        warped = geometric.warp_affine(
            img,
            matrix,
            interpolation=self.interpolation,
            fill=self.fill,
            border_mode=cv2.BORDER_REFLECT_101,
            output_shape=output_shape,
        )
        return np.asarray(warped, np.uint8)


class ReflectPerspective(A.Perspective):  # type: ignore[misc]  # albumentations is untyped
    """The same of a perspective transform."""

    def apply(
        self,
        img: npt.NDArray[np.uint8],
        matrix: npt.NDArray[np.float64],
        max_height: int,
        max_width: int,
        **params: Any,  # noqa: ANN401, ARG002
    ) -> npt.NDArray[np.uint8]:
        """Warp an image."""
        warped = geometric.perspective(
            img,
            matrix,
            max_width,
            max_height,
            self.fill,
            cv2.BORDER_REFLECT_101,
            self.keep_size,
            self.interpolation,
        )
        return np.asarray(warped, np.uint8)


class Lighting(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations is untyped
    """Light that falls off across the frame: a straight or a round ramp of brightness.

    Args:
        dark: Smallest and largest brightness at the ramp's dark end.
        bright: The same at its bright end.
        p: Probability.
    """

    def __init__(
        self,
        dark: tuple[float, float] = (0.4, 0.9),
        bright: tuple[float, float] = (0.95, 1.3),
        p: float = 0.5,
    ) -> None:
        super().__init__(p=p)
        self.dark = dark
        self.bright = bright

    def get_params_dependent_on_data(
        self,
        params: dict[str, Any],
        data: dict[str, Any],  # noqa: ARG002
    ) -> dict[str, Any]:
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

    def apply(
        self,
        img: npt.NDArray[np.uint8],
        gain: npt.NDArray[np.float32],
        **params: Any,  # noqa: ANN401, ARG002
    ) -> npt.NDArray[np.uint8]:
        """Multiply an image by the ramp."""
        return np.asarray(cv2.multiply(img, gain, dtype=cv2.CV_8U), np.uint8)


class ClipOcclusion(A.DualTransform):  # type: ignore[misc]  # albumentations is untyped
    """`Occluders` as a step of a pipeline; the masks of all frames say where the faces are.

    Args:
        occluders: Draws them.
    """

    def __init__(self, occluders: Occluders) -> None:
        super().__init__(p=1.0)
        self.occluders = occluders

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002
        """Draw over the targets image, image1, image2, …, which go with mask, mask1, mask2, …."""
        names = ["", *(str(t) for t in range(1, len(kwargs)) if f"image{t}" in kwargs)]
        images, masks = self.occluders(
            [kwargs[f"image{name}"] for name in names],
            [kwargs[f"mask{name}"] for name in names],
            seed=self.py_random.getrandbits(32),
        )
        kwargs |= {f"image{name}": image for name, image in zip(names, images, strict=True)}
        kwargs |= {f"mask{name}": mask for name, mask in zip(names, masks, strict=True)}
        return kwargs

    def get_transform_init_args(self) -> dict[str, Any]:
        """The occluders' arguments, for the key of cached features."""
        return {"occluders": self.occluders.describe()}
