"""Cross-entropy over single frames or clips, for free or bounded scores."""

import torch.nn.functional as F
from torch import Tensor, nn

from facemask.classes import IGNORE
from facemask.errors import InputError


def cross_entropy(
    scores: Tensor, target: Tensor, ignore_index: int = IGNORE, temperature: float = 1.0
) -> Tensor:
    """Mean cross-entropy of softmax(scores / temperature) over all pixels that count.

    The ConvLSTM-FCN's scores lie in (-1, 1), so that softmax can give the true one of five
    classes at most e² / (e² + 4) and the loss cannot fall below about 0.43. A temperature below
    1 widens that range; 1 is the literal reading of the paper.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C).
        target: Class ids, any integer dtype, the same shape without the class axis.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores.

    Returns:
        A scalar; 0 where no pixel counts.

    Raises:
        InputError: The shapes do not belong together or the temperature is not positive.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(2, 5, 3, 4, 4, requires_grad=True)  # two clips of five frames
        >>> loss = cross_entropy(scores, torch.ones(2, 5, 4, 4, dtype=torch.uint8))
        >>> loss.backward()
        >>> round(loss.item(), 4)  # log 3
        1.0986
    """
    _check_temperature(temperature)
    axis = 2 if scores.ndim == 5 else 1
    if scores.ndim not in (2, 4, 5) or target.shape != (
        *scores.shape[:axis],
        *scores.shape[axis + 1 :],
    ):
        raise InputError(
            f"cross_entropy got scores of shape {tuple(scores.shape)} and a target of shape "
            f"{tuple(target.shape)}: give (N, C, H, W), (B, T, C, H, W) or (N, C) and the same "
            "without C."
        )
    if scores.ndim == 5:
        scores, target = scores.flatten(0, 1), target.flatten(0, 1)
    target = target.long()
    total = F.cross_entropy(
        scores / temperature, target, ignore_index=ignore_index, reduction="sum"
    )
    return total / (target != ignore_index).sum().clamp(min=1)


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:  # NaN too
        raise InputError(f"cross_entropy got temperature {temperature}: give more than 0.")


class CrossEntropyLoss(nn.Module):
    """See `cross_entropy`."""

    def __init__(self, ignore_index: int = IGNORE, temperature: float = 1.0) -> None:
        """Keep the options.

        Args:
            ignore_index: Target value of the pixels that do not count.
            temperature: Divides the scores; below 1 for the ConvLSTM-FCN's bounded ones.

        Raises:
            InputError: The temperature is not positive.
        """
        super().__init__()
        _check_temperature(temperature)
        self.ignore_index = ignore_index
        self.temperature = temperature

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """The loss of scores and class ids, see `cross_entropy`."""
        return cross_entropy(scores, target, self.ignore_index, self.temperature)

    def extra_repr(self) -> str:
        """The options, for `print(loss)`."""
        return f"ignore_index={self.ignore_index}, temperature={self.temperature}"
