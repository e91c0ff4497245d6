"""Frames as a cascade's networks see them, and the networks' scores."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.models.convlstm import State
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.own_network import first_output, normalise
from facemask.resample import crop_pixels


def size_of(frame: Tensor) -> tuple[int, int]:
    """Return height and width of a frame in pixels."""
    return frame.shape[-2], frame.shape[-1]


def resize_whole(frame: Tensor, size: int) -> Tensor:
    """Resize a whole frame to uint8 (3, size, size), like `facemask.resample.resize_image`."""
    if frame.device.type == "cpu":
        return F.interpolate(frame[None], (size, size), mode="bilinear", antialias=True)[0]
    return resize_in_steps(frame, size)


def resize_in_steps(frame: Tensor, size: int) -> Tensor:
    """Resize like `resize_whole` where torch cannot resize bytes, as on GPUs, and round alike.

    There torch resizes bytes across and then down, and rounds after both; rounded once at the end,
    one pixel in seven would be another, and a mask's edges with it.
    """
    pixels = frame[None].float()
    for shape in ((frame.shape[-2], size), (size, size)):
        pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True)
        pixels = pixels.add_(0.5).floor_().clamp_(0, 255)
    return pixels[0].byte()


def cut_box(frame: Tensor, box: Box, size: int) -> Tensor:
    """Cut a relative box out of a frame as for training: uint8 (3, size, size)."""
    return crop_pixels(frame, box.in_pixels(*size_of(frame)), (size, size))


def score_frames(
    network: nn.Module,
    name: str,
    images: Tensor,
    window: int | None,
    states: Sequence[State | None],
) -> tuple[Tensor, list[State | None]]:
    """Score clips with one of a cascade's networks.

    Args:
        network: The network.
        name: Its name in the cascade, for the error message.
        images: uint8 (B, T, 3, S, S).
        window: Score each frame from this many: itself and those before; None scores the clip.
        states: What it remembers of each clip, (h, c), each (1, C, h, w); None begins with zeros.

    Returns:
        Scores float32 (B, T, C, S, S), and each clip's state after its last frame, None for a
        network without memory.

    Raises:
        InputError: A score is not finite.
    """
    normalised = normalise(images, network)
    after: list[State | None] = [None] * len(states)
    if not isinstance(network, ConvLSTMFCN):
        scores = first_output(network(normalised))
    elif window is None:
        scores, (h, c) = network(normalised, _stack_states(states))
        after = list(zip(h.split(1), c.split(1), strict=True))
    else:
        scores = network.score_windows(normalised, window)
    scores = scores.float()
    if not bool(scores.isfinite().all()):
        raise InputError(
            f"The {name} network's scores are not finite (infinity or not a number): its "
            "weights are damaged or its training diverged; give others."
        )
    return scores, after


def _stack_states(states: Sequence[State | None]) -> State | None:
    known = next((state for state in states if state is not None), None)
    if known is None:
        return None
    zeros = (torch.zeros_like(known[0]), torch.zeros_like(known[1]))
    h, c = zip(*(zeros if state is None else state for state in states), strict=True)
    return torch.cat(h), torch.cat(c)
