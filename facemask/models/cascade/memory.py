"""How a cascade's networks see time: clips, windows, or a memory that is carried on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.models.convlstm import State
from facemask.models.convlstm_fcn import ConvLSTMFCN

_SAME_BOX: Final = 0.7
"""IoU from which a new box is so near the remembered one that this one is kept: what a ConvLSTM
remembers is tied to places in its box."""


@dataclass(frozen=True)
class CascadeMemory:
    """What a cascade remembers of one face when its next frames come.

    Attributes:
        states: The ConvLSTMs' states (h, c), each (1, C, h, w), by "primary" and the names of
            boxes. Networks without memory have none.
        boxes: The boxes that were zoomed into, by name.
    """

    states: dict[str, State] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)


class ClipJob(NamedTuple):
    """One clip of a batch.

    Attributes:
        frames: uint8 (3, H, W) each.
        context: Number of frames at the start that are only there for those after them.
        memory: What is known from earlier frames.
    """

    frames: list[Tensor]
    context: int
    memory: CascadeMemory


def score_frames(
    network: nn.Module, name: str, images: Tensor, window: int | None, state: State | None
) -> tuple[Tensor, State | None]:
    """A network's scores and its state after the last frame.

    Args:
        network: One of a cascade's.
        name: What the cascade calls it, for the error message.
        images: uint8 (B, T, 3, S, S).
        window: Score each frame from this many: itself and those before; None scores the clip.
        state: What it remembers.

    Returns:
        Scores float32 (B, T, C, S, S), and the state, None for a network without memory.

    Raises:
        InputError: A score is not finite.
    """
    mean, std = cast("Tensor", network.mean), cast("Tensor", network.std)
    normalised = (images.float() / 255 - mean) / std
    after: State | None = None
    if not isinstance(network, ConvLSTMFCN):
        output = network(normalised)
        scores = output[0] if isinstance(output, tuple) else output
    elif window is None:
        scores, after = network(normalised, state)
    else:
        scores = network.score_windows(normalised, window)
    scores = scores.float()
    if not bool(scores.isfinite().all()):
        raise InputError(
            f"The {name} network's scores are not finite (infinity or not a number): its "
            "weights are damaged or its training diverged; give others."
        )
    return scores, after


def stack_states(states: Sequence[State | None]) -> State | None:
    """States of one clip each as one batch; a clip without one begins with zeros, as always."""
    known = next((state for state in states if state is not None), None)
    if known is None:
        return None
    zeros = (torch.zeros_like(known[0]), torch.zeros_like(known[1]))
    all_states = [zeros if state is None else state for state in states]
    h, c = (torch.cat(parts) for parts in zip(*all_states, strict=True))
    return h, c


def split_states(state: State | None, count: int) -> list[State | None]:
    """The opposite of `stack_states`."""
    if state is None:
        return [None] * count
    return [(state[0][b : b + 1], state[1][b : b + 1]) for b in range(count)]


def keep_boxes(found: dict[str, Box], memory: CascadeMemory) -> dict[str, Box]:
    """The boxes found, each replaced by the remembered one where that is nearly the same."""
    return {
        name: memory.boxes[name]
        if name in memory.boxes and overlap(box, memory.boxes[name]) >= _SAME_BOX
        else box
        for name, box in found.items()
    }
