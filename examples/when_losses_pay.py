"""When each loss pays: draws docs/images/when_losses_pay.png from experiments' records.

A point is a rare class of one seed of one experiment: how much better its IoU is than with
cross-entropy, after the last epoch of both, against the share of the class's pixels that the FCN
finds. Run it on the folders of
`facemask experiment`, from the root of the checkout; needs matplotlib (`pip install -e '.[plot]'`):

    python examples/when_losses_pay.py "usual pictures=out/usual" "far camera=out/hard"
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.report import FrameTable, read_run

RARE = ("eyes", "lips", "inner_mouth")
LOSSES = {
    "last_iou": "IoU loss (Eq. 3)",
    "last_eq8": "segmentation loss, Eq. 8, g = 1",
    "last_eq9_full": "segmentation loss, Eq. 9, g = 1",
    "last_eq9": "segmentation loss, Eq. 9, g = 0",
}
COLORS = {"eyes": "#0072B2", "lips": "#D55E00", "inner_mouth": "#009E73"}
MARKERS = "o^sD"


def recall(table: FrameTable) -> dict[str, float]:
    """Share in % of each class's pixels that a run finds."""
    share = 100 * table.intersection.sum(axis=0) / table.truth.sum(axis=0)
    return dict(zip(table.class_names, share.tolist(), strict=True))


def iou(table: FrameTable) -> dict[str, float]:
    """IoU in % of each class."""
    return dict(zip(table.class_names, (100 * table.iou()).tolist(), strict=True))


def points_of(out: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Class, the FCN's recall and the gain over cross-entropy, by loss, of each seed."""
    seeds = sorted(out.glob("seed_*")) or [out]
    points: dict[str, list[tuple[str, float, float]]] = {loss: [] for loss in LOSSES}
    for runs in (seed / "runs" for seed in seeds):
        found = recall(read_run(runs / "fcn").table)
        reference = iou(read_run(runs / "last_cross_entropy").table)
        for loss, of_loss in points.items():
            scores = iou(read_run(runs / loss).table)
            of_loss += [(name, found[name], scores[name] - reference[name]) for name in RARE]
    return points


def main() -> None:
    """Read the records, draw them and print their means."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("experiments", nargs="+", help="TITLE=FOLDER of an experiment")
    parser.add_argument("--out", type=Path, default=Path("docs/images/when_losses_pay.png"))
    options = parser.parse_args()
    sets = {}
    for given in options.experiments:
        title, _, folder = given.rpartition("=")
        sets[title or folder] = points_of(Path(folder))

    table = Table(
        "set", "class", "FCN's recall", *LOSSES.values(), title="IoU over cross-entropy's"
    )
    for title, points in sets.items():
        for name in RARE:
            rows = {
                loss: np.array([p[1:] for p in of_loss if p[0] == name])
                for loss, of_loss in points.items()
            }
            gains = [f"{values[:, 1].mean():+.1f}" for values in rows.values()]
            table.add_row(title, name, f"{rows['last_iou'][:, 0].mean():.0f} %", *gains)
    Console(width=160).print(table)

    figure, axes = plt.subplots(
        1, len(LOSSES), figsize=(3.2 * len(LOSSES), 3.6), sharey=True, layout="constrained"
    )
    for axis, (loss, label) in zip(axes, LOSSES.items(), strict=True):
        for (title, points), marker in zip(sets.items(), MARKERS, strict=False):
            for name in RARE:
                values = np.array([p[1:] for p in points[loss] if p[0] == name])
                filled = COLORS[name] if marker == "o" else "none"
                axis.scatter(*values.T, marker=marker, s=34, facecolor=filled,
                             edgecolor=COLORS[name],
                             label=f"{name.replace('_', ' ')}, {title}")  # fmt: skip
        axis.axhline(0, color="#888888", linewidth=0.8)
        axis.set_title(label, fontsize=10)
        axis.set_xlabel("FCN's recall of the class, %")
    axes[0].set_ylabel("IoU over cross-entropy's, points")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6,
                  fontsize=8)  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
