"""Mask IoU: one confusion matrix over all frames (Eq. 2)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from facemask.classes import CLASS_NAMES, IGNORE, PALETTE
from facemask.errors import InputError
from facemask.metrics.confusion import class_iou, confusion_matrix
from facemask.metrics.open_labels import OpenCounts, count_open, never_settled
from facemask.plotting import check_matplotlib
from facemask.resample import labels_at_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class MaskIoU(Metric):
    """IoU of each class and their mean, from one confusion matrix summed over all frames (Eq. 2).

    mIoU is the mean over the foreground classes; the background's IoU is reported and left out of
    the mean (section 4.2). A class that neither occurs nor is predicted has no IoU: it is NaN and
    left out of the mean too. So does a class whose id is the `ignore_index`.

    Feed it masks at the frames' original sizes, or scores at any size together with targets at
    the original sizes; the sizes may differ from call to call and from frame to frame.

    With `class_sets`, a target may leave several classes open (`facemask.classes.OPEN`): a
    prediction among them is not counted there, another one is wrong, with the lowest of them as the
    truth. A class that is in such labels only has no IoU: where it is, nobody knows.

    Args:
        class_names: Names of the classes by id, all different; the first one is the background. Or
            their number C, which calls them "0" to "C - 1".
        ignore_index: Target value of the pixels that are not counted, any integer.
        class_sets: Whether targets from 131 to 159 are sets of classes.
        num_classes: Number of classes, as torchmetrics calls it, in place of `class_names`.

    Attributes:
        class_names: Names of the classes by id.
        unsettled: Names of the classes that are in sets only, as `compute` found.

    Raises:
        InputError: There are fewer than two names, one occurs twice, or `num_classes` says another
            number.

    Examples:
        >>> import torch
        >>> metric = MaskIoU(["background", "skin"])
        >>> metric.update(torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 255]]))
        >>> {name: round(float(value), 3) for name, value in metric.compute().items()}
        {'miou': 0.5, 'pixel_accuracy': 0.667, 'iou_background': 0.5, 'iou_skin': 0.5}
        >>> MaskIoU(3), MaskIoU(num_classes=2)
        (MaskIoU(0, 1, 2), MaskIoU(0, 1))

        Scores at the network's size, each frame's mask at its own:

        >>> masks = [torch.ones(64, 60, dtype=torch.uint8), torch.ones(66, 61, dtype=torch.uint8)]
        >>> metric.update(torch.rand(2, 2, 20, 20), masks)
        >>> int(metric.confusion.sum())  # with 3 pixels from the first call
        7869
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor
    labelled: Tensor
    possible: Tensor

    def __init__(
        self,
        class_names: Sequence[str] | int | None = None,
        ignore_index: int = IGNORE,
        class_sets: bool = False,
        *,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        names = class_names if class_names is not None else num_classes
        self.class_names = check_class_names(
            CLASS_NAMES if names is None else names, type(self).__name__
        )
        if num_classes not in (None, len(self.class_names)):
            raise InputError(
                f"MaskIoU got num_classes={num_classes} and {len(self.class_names)} class_names: "
                "give one of them."
            )
        self.ignore_index = ignore_index
        self.class_sets = class_sets
        self.unsettled: tuple[str, ...] = ()
        size = len(self.class_names)
        for name, shape in (("confusion", (size, size)), ("labelled", size), ("possible", size)):
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def __repr__(self) -> str:
        """Return the classes, for `print(metric)`."""
        return f"{type(self).__name__}({', '.join(self.class_names)})"

    def update(self, prediction: Tensor, target: Tensor | Sequence[Tensor]) -> None:
        """Count one or more frames.

        Scores are resized to the target's size before the arg-max, frame by frame (section 4.2;
        see `labels_at_size`). A call that raises counts nothing.

        Args:
            prediction: Class ids, any integer dtype, any shape; or scores of the C classes,
                floating point, (C, h, w), (N, C, h, w) or (B, T, C, h, w).
            target: True class ids or `ignore_index`, any integer dtype. For ids: the same shape.
                For scores: (H, W), (N, H, W) or (B, T, H, W); or for (N, C, h, w) a list of N
                targets, each of its own (H, W).

        Raises:
            InputError: An argument is no tensor, the shapes do not belong together, the scores
                have another number of classes, or an id is out of range.
        """
        if isinstance(prediction, Tensor) and prediction.is_floating_point():
            counts = self._count_scores(prediction, target)
        elif isinstance(target, Tensor):
            counts = self.count(prediction, target)
        else:
            raise InputError(
                f"MaskIoU got a {type(target).__name__} as target of class ids: give a tensor, "
                "such as torch.from_numpy(array); a list goes with scores (N, C, h, w) only."
            )
        _add(self._states(), counts)

    def _states(self) -> OpenCounts:
        return OpenCounts(self.confusion, self.labelled, self.possible)

    def count(self, prediction: Tensor, target: Tensor) -> OpenCounts:
        """Return the counts of class ids, as `update` would add them; nothing is added."""
        size = len(self.class_names)
        if self.class_sets:
            return count_open(prediction, target, size, self.ignore_index)
        confusion = confusion_matrix(prediction, target, size, self.ignore_index)
        labelled = confusion.sum(dim=1)
        return OpenCounts(confusion, labelled, torch.zeros_like(labelled))

    def _count_scores(self, scores: Tensor, target: Tensor | Sequence[Tensor]) -> OpenCounts:
        frames, targets = self._split(scores, target)
        total = OpenCounts(*map(torch.zeros_like, self._states()))
        for frame, mask in zip(frames, targets, strict=True):
            if not isinstance(mask, Tensor):
                raise InputError(
                    f"MaskIoU got a list of {type(mask).__name__} as target: give tensors, such "
                    "as torch.from_numpy(array)."
                )
            if mask.ndim != 2:
                raise InputError(
                    f"MaskIoU got a target of shape {tuple(mask.shape)} in a list: give (H, W)."
                )
            if mask.numel():
                labels = labels_at_size(frame, mask.shape[0], mask.shape[1])
                _add(total, self.count(labels, mask))
        return total

    def _split(
        self, scores: Tensor, target: Tensor | Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | Sequence[Tensor]]:
        """Return scores (N, C, h, w) and N targets (H, W)."""
        if isinstance(target, Tensor):
            expected = (*scores.shape[:-3], *target.shape[-2:])
            fits = 3 <= scores.ndim <= 5 and target.ndim >= 2 and target.shape == expected
            found = f"a target of shape {tuple(target.shape)}"
        elif isinstance(target, (list, tuple)):
            fits = scores.ndim == 4 and len(scores) == len(target)
            found = f"a list of {len(target)} targets"
        else:
            raise InputError(
                f"MaskIoU got a {type(target).__name__} as target: give a tensor, such as "
                "torch.from_numpy(array), or a list of tensors."
            )
        if not fits:
            raise InputError(
                f"MaskIoU got scores of shape {tuple(scores.shape)} and {found}: give scores "
                "(C, h, w), (N, C, h, w) or (B, T, C, h, w) and the target without C, or scores "
                "(N, C, h, w) and a list of N targets."
            )
        size = len(self.class_names)
        if scores.shape[-3] != size or 0 in scores.shape[-2:]:
            raise InputError(
                f"MaskIoU got scores of shape {tuple(scores.shape)}: give {size} classes "
                "(axis -3), as many as there are class names, and at least one pixel."
            )
        if isinstance(target, Tensor):
            return scores.reshape(-1, *scores.shape[-3:]), target.reshape(-1, *target.shape[-2:])
        return scores, target

    def compute(self) -> dict[str, Tensor]:
        """Compute from everything counted.

        Returns:
            `miou`, `pixel_accuracy` (the share of all counted pixels, background included, whose
            class is right) and, for every class, `iou_<name>`; float32 scalars in [0, 1] or NaN.
        """
        confusion = self.confusion.cpu()  # float64, which some devices lack
        iou = class_iou(confusion, self.ignore_index)
        unsettled = never_settled(self.labelled, self.possible).cpu()
        iou[unsettled] = torch.nan
        pairs = zip(self.class_names, unsettled.tolist(), strict=True)
        self.unsettled = tuple(name for name, never in pairs if never)
        accuracy = confusion.diagonal().sum().double() / confusion.sum()
        values = {"miou": iou[1:].nanmean(), "pixel_accuracy": accuracy}
        values |= {f"iou_{name}": iou[i] for i, name in enumerate(self.class_names)}
        return {name: value.float().to(self.confusion.device) for name, value in values.items()}

    def plot(self, ax: "Axes | None" = None) -> "tuple[Figure, Axes]":
        """Draw the classes' IoUs as bars and the mIoU as a line; needs matplotlib.

        The classes of a face mask have their own colours.

        Args:
            ax: Axes to draw on; None makes a new figure.

        Returns:
            The figure and the axes.

        Raises:
            InputError: matplotlib is not installed.
        """
        check_matplotlib()
        from matplotlib import pyplot

        if ax is None:
            _, ax = pyplot.subplots(layout="constrained")
        values = {name: float(value) for name, value in self.compute().items()}
        heights = [values[f"iou_{name}"] for name in self.class_names]
        colors = [_color(name) for name in self.class_names]
        bars = ax.bar(range(len(heights)), heights, color=colors, edgecolor="black", alpha=0.8)
        ax.bar_label(bars, ["–" if h != h else f"{100 * h:.1f}" for h in heights])  # NaN
        miou = values["miou"]
        if miou == miou:
            label = f"mIoU {100 * miou:.1f}, without {self.class_names[0]}"
            ax.axhline(miou, color="black", linestyle="--", label=label)
            ax.legend(loc="lower right")
        ax.set_xticks(range(len(heights)), list(self.class_names))
        ax.set_ylim(0, 1.08)
        ax.set_ylabel("IoU")
        return cast("Figure", ax.figure), ax


def _add(total: OpenCounts, counts: OpenCounts) -> None:
    for state, count in zip(total, counts, strict=True):
        state += count.to(state.device)


def _color(name: str) -> tuple[float, ...]:
    if name not in CLASS_NAMES:
        return 0.5, 0.5, 0.5
    return tuple((PALETTE[CLASS_NAMES.index(name)] / 255).tolist())


def check_class_names(names: Sequence[str] | int, owner: str) -> tuple[str, ...]:
    """Return the names of classes, checked to serve as parts of keys; of a number "0", "1" ….

    Raises:
        InputError: There are fewer than two names, or one occurs twice.
    """
    given, names = names, tuple(map(str, range(names))) if isinstance(names, int) else names
    if isinstance(names, str) or len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{owner} got classes {given!r}: give their number, 2 or more, or a list of at least "
            "two names, all different."
        )
    return tuple(names)
