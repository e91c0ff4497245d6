"""Augmentation whose random parameters the frames of a clip share.

Albumentations is imported when a clip is augmented, or shortly before: what is only evaluated does
without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from facemask.data.artist import Image
from facemask.data.augment.occlusion import Occluders
from facemask.errors import InputError

if TYPE_CHECKING:
    import albumentations as A

    from facemask.data.augment.pipeline import Pipeline

Border = Literal["constant", "reflect"]


class ClipTransform:
    """Albumentations transforms with one draw of random parameters for all frames of a clip.

    Args:
        transforms: Albumentations transforms, applied in order. Geometric ones should fill
            masks with 255 (`fill_mask=255`), so that what comes from outside is ignored.
    """

    _pipeline: "Pipeline | None" = None

    def __init__(self, transforms: "Sequence[A.BasicTransform | A.BaseCompose]") -> None:
        self.transforms = list(transforms)

    def prepare(self) -> "Pipeline":
        """Return the transforms in a pipeline, made once.

        Called before worker processes are started, it spares each the import of albumentations.
        """
        if self._pipeline is None:
            from facemask.data.augment.pipeline import Pipeline

            self._pipeline = Pipeline(self.transforms)
        return self._pipeline

    def __call__(
        self, images: Sequence[Image], masks: Sequence[Image], seed: int
    ) -> tuple[list[Image], list[Image]]:
        """Augment one clip.

        Args:
            images: T frames of one size, uint8 (H, W, 3).
            masks: Their masks, uint8 (H, W).
            seed: Decides every random parameter: same seed, same result.

        Returns:
            The augmented frames and masks.
        """
        return self.prepare()(images, masks, seed)

    def describe(self) -> list[dict[str, Any]]:
        """Return the transforms and their arguments in plain values.

        Raises:
            NotImplementedError: A transform does not say what its arguments are.
        """
        return self.prepare().describe()


@dataclass(eq=False)
class ClipAugmentation(ClipTransform):
    """Default augmentation of face clips; every part can be turned off with 0.

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

    flip: float = 0.5
    rotate: float = 15.0
    scale: tuple[float, float] = (0.85, 1.15)
    shift: float = 0.06
    color: float = 0.5
    gamma: float = 0.2
    gray: float = 0.05
    blur: float = 0.1
    low_resolution: float = 0.1
    compression: float = 0.2
    noise: float = 0.1
    occlusion: float = 0.2
    occluders: Occluders | None = None
    border: Border = "constant"
    perspective: float = 0.0
    lighting: float = 0.0
    low_light: float = 0.0

    def __post_init__(self) -> None:
        """Check the new parts' arguments."""
        for name in ("perspective", "lighting", "low_light"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(
                    f"augmentation: {name} is {value}: give a probability from 0 to 1."
                )
        if self.border not in get_args(Border):
            raise InputError(f"augmentation: border is {self.border!r}: give constant or reflect.")

    @cached_property
    def transforms(self) -> "list[A.BasicTransform | A.BaseCompose]":  # type: ignore[override]
        """Albumentations transforms of all parts."""
        from facemask.data.augment.pipeline import face_transforms

        return face_transforms(self)
