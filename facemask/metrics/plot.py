"""Bar chart of class IoUs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from facemask.classes import CLASS_NAMES, PALETTE
from facemask.plotting import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_class_iou(
    values: Mapping[str, float], class_names: Sequence[str], ax: "Axes | None" = None
) -> "tuple[Figure, Axes]":
    """Draw the classes' IoUs as bars and the mIoU as a line.

    Args:
        values: `miou` and `iou_<name>` of every class, in [0, 1]; NaN leaves a gap.
        class_names: Names of the classes. The classes of a face mask have their own colours.
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
    heights = [values[f"iou_{name}"] for name in class_names]
    colors = [_color(name) for name in class_names]
    bars = ax.bar(range(len(heights)), heights, color=colors, edgecolor="black", alpha=0.8)
    ax.bar_label(bars, ["–" if h != h else f"{100 * h:.1f}" for h in heights])  # NaN
    miou = values["miou"]
    if miou == miou:
        label = f"mIoU {100 * miou:.1f}, without {class_names[0]}"
        ax.axhline(miou, color="black", linestyle="--", label=label)
        ax.legend(loc="lower right")
    ax.set_xticks(range(len(heights)), list(class_names))
    ax.set_ylim(0, 1.08)
    ax.set_ylabel("IoU")
    return cast("Figure", ax.figure), ax


def _color(name: str) -> tuple[float, float, float]:
    if name not in CLASS_NAMES:
        return 0.5, 0.5, 0.5
    red, green, blue = PALETTE[CLASS_NAMES.index(name)] / 255
    return float(red), float(green), float(blue)
