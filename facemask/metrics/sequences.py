"""Reading a sequence of frames and masks that a user hands over."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facemask.classes import IGNORE
from facemask.errors import InputError
from facemask.metrics.motion import Image


def read_sequence(
    frames: Tensor | Sequence[Tensor], masks: Tensor | Sequence[Tensor], num_classes: int
) -> tuple[list[Image], list[Image]]:
    """Check frames and masks of one sequence and bring them to NumPy.

    Args:
        frames: RGB uint8 (T, 3, H, W), or T times (3, H_t, W_t).
        masks: Class ids or 255, any integer dtype, (T, H, W), or T times (H_t, W_t).
        num_classes: C.

    Returns:
        T frames uint8 (H_t, W_t, 3) and T masks uint8 (H_t, W_t).

    Raises:
        InputError: See `TemporalConsistency.update`.
    """
    for name, given in (("frames", frames), ("masks", masks)):
        if not isinstance(given, (Tensor, list, tuple)):
            raise InputError(
                f"TemporalConsistency got {name} of type {type(given).__name__}: give a tensor, "
                "such as torch.from_numpy(array), or a list of tensors."
            )
        if isinstance(given, Tensor) and given.ndim == 0:
            raise InputError(f"TemporalConsistency got a number as {name}: give T of them.")
    if len(frames) != len(masks) or len(frames) == 0:
        raise InputError(
            f"TemporalConsistency got {len(frames)} frames and {len(masks)} masks: give one mask "
            "to each of at least one frame."
        )
    pairs = list(zip(frames, masks, strict=True))
    images = [_read_frame(frame, t) for t, (frame, _) in enumerate(pairs)]
    labels = [_read_mask(mask, t, num_classes) for t, (_, mask) in enumerate(pairs)]
    for t, (image, label) in enumerate(zip(images, labels, strict=True)):
        if image.shape[:2] != label.shape:
            raise InputError(
                f"TemporalConsistency got frame {t} of size {image.shape[:2]} with a mask of size "
                f"{label.shape}: give (3, H, W) and (H, W)."
            )
    return images, labels


def _read_frame(frame: object, t: int) -> Image:
    if not isinstance(frame, Tensor) or frame.dtype != torch.uint8 or frame.ndim != 3:
        raise InputError(
            f"TemporalConsistency got frame {t} as {_describe(frame)}: give an RGB uint8 tensor "
            "(3, H, W)."
        )
    if len(frame) != 3 or frame.numel() == 0:
        raise InputError(
            f"TemporalConsistency got frame {t} of shape {tuple(frame.shape)}: give (3, H, W)."
        )
    return np.ascontiguousarray(frame.cpu().permute(1, 2, 0).numpy())


def _read_mask(mask: object, t: int, num_classes: int) -> Image:
    integers = isinstance(mask, Tensor) and not (
        mask.is_floating_point() or mask.is_complex() or mask.dtype == torch.bool
    )
    if not isinstance(mask, Tensor) or not integers or mask.ndim != 2:
        raise InputError(
            f"TemporalConsistency got mask {t} as {_describe(mask)}: give an integer tensor (H, W) "
            "of class ids, such as scores.argmax(dim=1)."
        )
    ids = mask.cpu().numpy()
    wrong = ids[((ids < 0) | (ids >= num_classes)) & (ids != IGNORE)]
    if wrong.size:
        raise InputError(
            f"TemporalConsistency got class id {wrong[0]} in mask {t}: give 0 to "
            f"{num_classes - 1}, or {IGNORE} for pixels to ignore."
        )
    return np.ascontiguousarray(ids, dtype=np.uint8)


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
