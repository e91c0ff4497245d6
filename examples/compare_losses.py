"""A ConvLSTM-FCN trained with each loss; run after `make demo`, from the same folder.

Every run starts from one FCN on RegNetX-200MF, trains the ConvLSTM alone (as in Table 5 of the
paper) for the same 8 epochs and is scored on 36 made-up videos that no run has seen. What is done
is not done again: `python examples/compare_losses.py` prints the table of docs/losses.md.
"""

import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo import DATA, DEMO, fit_convlstm, fit_fcn, test
from unseen import COLUMNS, make_test_data, scores_of

RUNS = DEMO / "losses"
SEEDS = (0, 1, 2)
BACKBONE = ["--model.backbone", "regnetx_002"]
LOSSES: dict[str, tuple[str, list[str]]] = {
    "cross-entropy": ("CrossEntropyLoss", ["temperature=1"]),
    "cross-entropy, temperature 0.1": ("CrossEntropyLoss", ["temperature=0.1"]),
    "IoU loss (Eq. 3)": ("IoULoss", ["temperature=1"]),
    "IoU loss, temperature 0.1": ("IoULoss", ["temperature=0.1"]),
    "segmentation loss, Eq. 8, g = 1": ("SegmentationLoss", ["form=hinge", "margin=1"]),
    "segmentation loss, Eq. 9, g = 0.1": ("SegmentationLoss", ["form=linear", "margin=0.1"]),
    "segmentation loss, Eq. 9, g = 0": ("SegmentationLoss", ["form=linear", "margin=0"]),
}


def train_and_test(name: str, seed: int, data: Path) -> dict[str, float]:
    """Scores of the demo's ConvLSTM-FCN, trained with one loss."""
    loss, options = LOSSES[name]
    folder = RUNS / f"{loss}_{'_'.join(options)}_{seed}".replace("=", "_")
    best = fit_convlstm(
        folder, RUNS, "face", *BACKBONE, "--seed_everything", str(seed), "--data.seed", str(seed),
        "--trainer.max_epochs", "8", "--model.gamma", "0",
        "--model.loss", f"facemask.losses.{loss}",
        *(f"--model.loss.{option}" for option in options),
    )  # fmt: skip
    unseen = ["--data.root", str(data), "--data.split", "all"]
    test("convlstm_fcn", folder, "--ckpt_path", str(best), *BACKBONE, *unseen)
    return scores_of(folder)


def main() -> None:
    """Train and score everything, then print the table."""
    if not (DATA / "data_splits").is_dir():
        raise SystemExit(f"{DATA} does not exist: run `make demo` first.")
    start = fit_fcn(RUNS, "face", *BACKBONE, "--trainer.max_epochs", "10")
    data = make_test_data()
    table = Table("trained with", *COLUMNS, title="IoU in % on made-up faces, mean of 3 seeds")
    unseen = ["--data.root", str(data), "--data.split", "all"]
    test("fcn", RUNS / "fcn_face", "--ckpt_path", str(start), *BACKBONE, *unseen)
    fcn = scores_of(RUNS / "fcn_face")
    table.add_row("(the FCN it starts from)", *(f"{value:.1f}" for value in fcn.values()))
    for name in LOSSES:
        rows = [train_and_test(name, seed, data) for seed in SEEDS]
        cells = []
        for title in COLUMNS:
            values = [row[title] for row in rows]
            spread = f" ± {statistics.stdev(values):.1f}" if title == "mIoU" else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
