"""Scores of a cascade's networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.models.convlstm import State
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.normalisation import normalise
from facemask.models.own_network import first_output


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
    after: list[State | None] = [None] * len(states)
    if not isinstance(network, ConvLSTMFCN):
        scores = first_output(network(normalise(images, network)))
    elif window is None:
        scores, (h, c) = network(normalise(images, network), _stack_states(states))
        after = list(zip(h.split(1), c.split(1), strict=True))
    else:
        scores = network.score_windows(normalise(images, network), window)
    scores = scores.float()
    least, most = torch.aminmax(scores)  # `isfinite` would need as much memory again
    if not (math.isfinite(least) and math.isfinite(most)):
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


def stack_boxes(boxes: Sequence[Box | None], device: torch.device) -> Tensor:
    """Return boxes as rows, float32 (B, 4): left, top, right, bottom; NaN where there is none."""
    missing = Box(*[float("nan")] * 4)
    rows = [missing if box is None else box for box in boxes]
    return torch.tensor(rows, dtype=torch.float32, device=device).reshape(-1, 4)
