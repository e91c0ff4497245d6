"""Cross-entropy over single frames or clips, for free or bounded scores."""

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.classes import IGNORE
from facemask.errors import InputError
from facemask.losses._pixels import LossModule, check_positive, check_shapes


def cross_entropy(
    scores: Tensor, target: Tensor, ignore_index: int = IGNORE, temperature: float = 1.0
) -> Tensor:
    """Return the mean cross-entropy of softmax(scores / temperature) over all pixels that count.

    The ConvLSTM-FCN's scores lie in (-1, 1), so that softmax can give the true one of five
    classes at most e² / (e² + 4) and the loss cannot fall below about 0.43. A temperature below
    1 widens that range; 1 is the literal reading of the paper.

    Under `torch.distributed` each rank takes the mean over its own pixels, as torch's does: the
    ranks' mean is that of the joined batch only if they ignore equally many pixels.

    Args:
        scores: Floating point (N, C, H, W), (B, T, C, H, W) or (N, C).
        target: Class ids, any integer dtype, the same shape without the class axis.
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores.

    Returns:
        A scalar, at least float32; 0 where no pixel counts.

    Raises:
        InputError: Shapes or types that do not belong together, a temperature that is not
            positive or (on the CPU) a class id out of range.

    Examples:
        >>> import torch
        >>> scores = torch.zeros(2, 5, 3, 4, 4, requires_grad=True)  # two clips of five frames
        >>> loss = cross_entropy(scores, torch.ones(2, 5, 4, 4, dtype=torch.uint8))
        >>> loss.backward()
        >>> round(loss.item(), 4)  # log 3
        1.0986
    """
    check_positive("cross_entropy", "temperature", temperature)
    check_shapes("cross_entropy", scores, target)
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()  # a sum over a million pixels
    if scores.ndim == 5:
        scores, target = scores.flatten(0, 1), target.flatten(0, 1)
    target = target.long()
    try:
        total = F.cross_entropy(
            scores / temperature, target, ignore_index=ignore_index, reduction="sum"
        )
    except IndexError as error:
        raise InputError(
            f"cross_entropy got scores of {scores.shape[1]} classes and a class id beyond them "
            f"({error}): give 0 to {scores.shape[1] - 1}, or {ignore_index} for pixels to ignore."
        ) from error
    return total / (target != ignore_index).sum().clamp(min=1)


class CrossEntropyLoss(LossModule):
    """Cross-entropy as a module, see `cross_entropy`.

    Args:
        ignore_index: Target value of the pixels that do not count.
        temperature: Divides the scores; below 1 for the ConvLSTM-FCN's bounded ones.

    Raises:
        InputError: The temperature is not positive.
    """

    def __init__(self, ignore_index: int = IGNORE, temperature: float = 1.0) -> None:
        super().__init__()
        check_positive("cross_entropy", "temperature", temperature)
        self.ignore_index = ignore_index
        self.temperature = temperature

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the loss of scores and class ids, see `cross_entropy`."""
        return cross_entropy(scores, target, self.ignore_index, self.temperature)
