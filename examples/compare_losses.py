"""A ConvLSTM-FCN trained with each loss; run after `make demo`, from the same folder.

Every run starts from one FCN on RegNetX-200MF, trains the ConvLSTM alone (as in Table 5 of the
paper) for the same 12 epochs on the FCN's cached features, and is scored on 36 made-up videos that
no run has seen. What is done is not done again: `python examples/compare_losses.py` prints the
table of docs/losses.md.
"""

import re
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo import DATA, DEMO, fit_convlstm, fit_fcn, test
from unseen import COLUMNS, make_test_data, scores_of

RUNS = DEMO / "losses"
SEEDS = (0, 1, 2)
BACKBONE = ["--model.backbone", "regnetx_002"]
FROZEN = [
    "--model.gamma", "0", "--trainer.max_epochs", "12",
    "--model.feature_cache", str(RUNS / "features"), "--model.feature_variants", "3",
    "--data.num_workers", "0",
]  # fmt: skip
CROSS_ENTROPY = ["--model.loss", "facemask.losses.CrossEntropyLoss"]
EQ8 = ["--model.loss.form", "hinge", "--model.loss.margin"]
EQ9 = ["--model.loss.form", "linear", "--model.loss.margin"]  # of softmax
BOUNDED = ["--model.cell_activation", "tanh", "--model.classifier_scale", "0.1"]
# the paper's text at its word: a random start, Eq. 9 of the bounded scores themselves
LITERAL = [
    "--model.cell_activation", "tanh", "--model.classifier_scale", "null",
    "--model.input_deviation", "null",
]  # fmt: skip
LOSSES: dict[str, list[str]] = {
    "cross-entropy": CROSS_ENTROPY,
    "IoU loss (Eq. 3)": ["--model.loss", "facemask.losses.IoULoss"],
    "segmentation loss, Eq. 8, g = 1": [*EQ8, "1"],
    "segmentation loss, Eq. 9, g = 1": [*EQ9, "1"],
    "segmentation loss, Eq. 9, g = 0.1": [*EQ9, "0.1"],
    "segmentation loss, Eq. 9, g = 0": [*EQ9, "0"],
    "bounded scores: cross-entropy, temperature 0.1": [
        *BOUNDED, *CROSS_ENTROPY, "--model.loss.temperature", "0.1",
    ],
    "bounded scores: Eq. 8, g = 0.1": [*BOUNDED, *EQ8, "0.1"],
    "literal: cross-entropy": [*LITERAL, *CROSS_ENTROPY],
    "literal: Eq. 9, g = 0": [*LITERAL, *EQ9, "0", "--model.loss.activation", "null"],
}  # fmt: skip


def train_and_test(name: str, seed: int, data: Path) -> dict[str, float]:
    """Scores of the demo's ConvLSTM-FCN, trained with one loss."""
    folder = RUNS / f"{re.sub('[^a-z0-9]+', '_', name.lower())}_seed_{seed}"
    best = fit_convlstm(
        folder, RUNS, "face", *BACKBONE, "--seed_everything", str(seed), "--data.seed", str(seed),
        *FROZEN, *LOSSES[name],
    )  # fmt: skip
    unseen = ["--data.root", str(data), "--data.split", "all"]
    cell = BOUNDED[:2] if BOUNDED[1] in LOSSES[name] else []
    options = [*BACKBONE, *unseen, *cell, "--record.flow", "null"]
    test("convlstm_fcn", folder, "--ckpt_path", str(best), *options)
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
