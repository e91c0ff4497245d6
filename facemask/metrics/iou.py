"""Mask IoU: one confusion matrix over all frames (Eq. 2)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from facemask.classes import CLASS_NAMES, IGNORE
from facemask.errors import InputError


class MaskIoU(Metric):
    """IoU of each class and their mean, from one confusion matrix summed over all frames (Eq. 2).

    mIoU is the mean over the foreground classes; the background's IoU is reported and left out of
    the mean (section 4.2). A class that neither occurs nor is predicted has no IoU: it is NaN and
    left out of the mean too.

    Feed it masks at the frames' original sizes: the sizes may differ from call to call.

    Args:
        class_names: Names of the classes by id; the first one is the background.
        ignore_index: Target id that is not counted.

    Examples:
        >>> import torch
        >>> metric = MaskIoU(["background", "skin"])
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'miou': 0.5, 'iou_background': 0.5, 'iou_skin': 0.5}
    """

    full_state_update = False
    confusion: Tensor

    def __init__(
        self, class_names: Sequence[str] = CLASS_NAMES, ignore_index: int = IGNORE
    ) -> None:
        """See the class."""
        super().__init__()
        if len(class_names) < 2:
            raise InputError(f"MaskIoU got classes {list(class_names)}: give at least two.")
        self.class_names = tuple(class_names)
        self.ignore_index = ignore_index
        size = len(self.class_names)
        self.add_state(
            "confusion", torch.zeros(size, size, dtype=torch.int64), dist_reduce_fx="sum"
        )

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one or more masks.

        Args:
            prediction: Predicted class ids, any integer dtype, any shape.
            target: True class ids or `ignore_index`, the same shape.

        Raises:
            InputError: The shapes differ, a tensor does not hold integers, or an id is out of
                range.
        """
        if prediction.shape != target.shape:
            raise InputError(
                f"MaskIoU got a prediction of shape {tuple(prediction.shape)} and a target of "
                f"shape {tuple(target.shape)}: give class ids of one shape."
            )
        if prediction.is_floating_point() or target.is_floating_point():
            raise InputError("MaskIoU got scores: give class ids, such as scores.argmax(dim=1).")
        size = len(self.class_names)
        counted = target != self.ignore_index
        truth, guess = target[counted].long(), prediction[counted].long()
        if truth.numel() == 0:
            return
        low = int(torch.minimum(truth.min(), guess.min()))
        high = int(torch.maximum(truth.max(), guess.max()))
        if low < 0 or high >= size:
            raise InputError(
                f"MaskIoU got class id {low if low < 0 else high}: give 0 to {size - 1}, or "
                f"{self.ignore_index} in the target for pixels to ignore."
            )
        counts = torch.bincount(truth * size + guess, minlength=size * size)
        self.confusion += counts.view(size, size)

    def compute(self) -> dict[str, Tensor]:
        """Compute from everything counted.

        Returns:
            `miou` and, for every class, `iou_<name>`; scalars in [0, 1] or NaN.
        """
        intersection = self.confusion.diagonal().double()
        union = self.confusion.sum(dim=0) + self.confusion.sum(dim=1) - intersection
        iou = (intersection / union).float()  # 0 / 0 is NaN
        values = {"miou": iou[1:].nanmean()}
        values |= {f"iou_{name}": iou[i] for i, name in enumerate(self.class_names)}
        return values
