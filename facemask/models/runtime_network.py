"""Networks that another runtime than PyTorch computes, in a cascade's places."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facemask.models.convlstm import State

Run: TypeAlias = Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[np.float32]]]
"""Arrays in, arrays out, as a graph of `facemask.export` takes and gives them."""


class RuntimeNetwork(nn.Module):
    """Network of one exported graph.

    It scores clips: with a graph of windows each frame from those before it, with one of steps one
    frame after the other, with its memory.

    Args:
        run: Runs the graph.
        num_classes: Number of classes C.
        state_size: Height and width of the memory of a graph of steps; None for another graph.
        backend: Name of the runtime.
    """

    def __init__(
        self,
        run: Run,
        num_classes: int,
        state_size: tuple[int, int] | None = None,
        backend: str = "onnx",
    ) -> None:
        super().__init__()
        self.backend = backend
        self.num_classes = num_classes
        self._run = run
        self._state_size = state_size

    def score(
        self, images: Tensor, states: Sequence[State | None]
    ) -> tuple[Tensor, list[State | None]]:
        """Score clips.

        Args:
            images: uint8 (B, T, 3, S, S).
            states: What a graph of steps remembers of each clip, (h, c), each (1, C, h, w).

        Returns:
            Scores float32 (B, T, C, S, S), and each clip's state after its last frame.
        """
        pixels = np.ascontiguousarray(images.movedim(-3, -1).numpy())  # (B, T, S, S, 3)
        if self._state_size is None:
            return torch.from_numpy(self._run([pixels])[0]), [None] * len(states)
        zeros = torch.zeros(1, self.num_classes, *self._state_size)
        h, c = (
            torch.cat([zeros if state is None else state[place] for state in states]).numpy()
            for place in (0, 1)
        )
        scores = []
        for t in range(pixels.shape[1]):
            of_frame, h, c = self._run([np.ascontiguousarray(pixels[:, t]), h, c])
            scores.append(torch.from_numpy(of_frame))
        after = [
            (torch.from_numpy(h[b : b + 1]), torch.from_numpy(c[b : b + 1])) for b in range(len(h))
        ]
        return torch.stack(scores, dim=1), list(after)
