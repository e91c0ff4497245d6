"""State that a ConvLSTM carries on from one training batch to the next."""

from typing import Any

import torch
from torch import Tensor

from facemask.errors import InputError
from facemask.models.convlstm import State


def check_dropout(dropout: float, *, carried: bool) -> None:
    """Check the probability that a state which could be carried on is dropped.

    Raises:
        InputError: It is not in [0, 1), or nothing is carried on.
    """
    if not 0 <= dropout < 1:
        raise InputError(
            f"model.state_dropout is {dropout}, expected 0 or more and below 1: at 1 no state "
            "would be carried on."
        )
    if dropout and not carried:
        raise InputError(
            f"model.state_dropout is {dropout}, but model.carry_state is false, so that there is "
            "nothing to drop: give --model.carry_state true, or leave it out."
        )


class CarriedState:
    """State after the clips of a batch, for those of the next one that go on from them.

    It has no gradient: back-propagation through time ends where a clip begins.

    Args:
        dropout: Probability that a clip begins without the state it could go on from. Drawn from
            torch's global generator on the CPU, whose state checkpoints hold.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        self._dropout = dropout
        self._epoch = -1
        self._numbers = torch.empty(0, dtype=torch.int64)  # the clips', (B,)
        self._state: State | None = None

    def before(self, numbers: Tensor, epoch: int) -> State | None:
        """Return the state that a batch's clips begin with; 0 where one does not go on.

        Args:
            numbers: `ClipBatch.numbers`, int64 (B, 2).
            epoch: The training's; none goes on from another epoch.
        """
        if self._state is None or epoch != self._epoch or len(numbers) != len(self._numbers):
            return None
        goes_on = numbers[:, 1] == self._numbers.to(numbers.device)  # (B,); -1 is no clip's
        if self._dropout:
            goes_on &= (torch.rand(len(numbers)) >= self._dropout).to(numbers.device)
        chosen = goes_on.view(-1, 1, 1, 1)
        h, c = (torch.where(chosen, part.to(numbers.device), 0.0) for part in self._state)
        return h, c

    def keep(self, numbers: Tensor, epoch: int, state: State) -> None:
        """Remember the state (h, c), each (B, C, h, w), after a batch's clips."""
        h, c = (part.detach() for part in state)
        self._epoch, self._numbers, self._state = epoch, numbers[:, 0], (h, c)

    def saved(self) -> dict[str, Any]:
        """Return what a checkpoint is to hold, in plain values and tensors on the CPU."""
        state = None if self._state is None else tuple(part.cpu() for part in self._state)
        return {"epoch": self._epoch, "numbers": self._numbers.cpu(), "state": state}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `saved` returned."""
        self._epoch, self._numbers, self._state = saved["epoch"], saved["numbers"], saved["state"]
