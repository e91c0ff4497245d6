"""The frames that a cascade is given, and the images that its networks see."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.resample import crop_pixels

Clip: TypeAlias = Tensor | Sequence[Tensor]
"""Frames uint8 (3, H, W) RGB, each of its own size, or (T, 3, H, W)."""


def check_clip(clip: Clip, index: int) -> list[Tensor]:
    """The frames of a clip.

    Raises:
        InputError: There are none, or one has another shape or dtype; the message has the index.
    """
    frames = list(clip)
    if not frames:
        raise InputError(f"Clip {index} has no frames: give at least one.")
    for t, frame in enumerate(frames):
        shape = tuple(frame.shape)
        if frame.dtype != torch.uint8 or len(shape) != 3 or shape[0] != 3 or 0 in shape:
            raise InputError(
                f"Frame {t} of clip {index} is {str(frame.dtype).removeprefix('torch.')} {shape}: "
                "give clips of frames uint8 (3, H, W), RGB."
            )
    return frames


def size_of(frame: Tensor) -> tuple[int, int]:
    """Height and width of a frame in pixels."""
    return frame.shape[-2], frame.shape[-1]


def resize_whole(frame: Tensor, size: int) -> Tensor:
    """The whole frame, uint8 (3, size, size), like `resample.resize_image`."""
    if frame.device.type == "cpu":
        return F.interpolate(frame[None], (size, size), mode="bilinear", antialias=True)[0]
    return resize_in_steps(frame, size)


def resize_in_steps(frame: Tensor, size: int) -> Tensor:
    """`resize_whole` where torch cannot resize bytes, as on GPUs, with the rounding of the CPU.

    There torch resizes bytes across and then down, and rounds after both; rounded once at the end,
    one pixel in seven would be another, and a mask's edges with it.
    """
    pixels = frame[None].float()
    for shape in ((frame.shape[-2], size), (size, size)):
        pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True)
        pixels = pixels.add_(0.5).floor_().clamp_(0, 255)
    return pixels[0].byte()


def cut_box(frame: Tensor, box: Box, size: int) -> Tensor:
    """A box of a frame, uint8 (3, size, size), as crops for training are cut."""
    return crop_pixels(frame, box.in_pixels(*size_of(frame)), (size, size))
