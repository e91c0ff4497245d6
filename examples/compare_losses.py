"""The demo's ConvLSTM-FCN trained with each loss; run after `make demo`, from the same folder.

Every run starts from the demo's FCN, trains the ConvLSTM alone (as in Table 5 of the paper) for the
same 8 epochs and is scored on 36 made-up videos that no run has seen. What is done is not done
again: `python examples/compare_losses.py` prints the table of docs/losses.md.
"""

import csv
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from facemask.cli import main as facemask

DEMO = Path("demo")
RUNS = DEMO / "losses"
SEEDS = (0, 1, 2)
COLUMNS = {"mIoU": "miou", "skin": "iou_skin", "eyes": "iou_eyes", "lips": "iou_lips",
           "inner mouth": "iou_inner_mouth", "background": "iou_background"}  # fmt: skip
LOSSES: dict[str, tuple[str, list[str]]] = {
    "cross-entropy": ("CrossEntropyLoss", ["temperature=1"]),
    "cross-entropy, temperature 0.1": ("CrossEntropyLoss", ["temperature=0.1"]),
    "IoU loss (Eq. 3)": ("IoULoss", ["temperature=1"]),
    "IoU loss, temperature 0.1": ("IoULoss", ["temperature=0.1"]),
    "segmentation loss, Eq. 8, g = 1": ("SegmentationLoss", ["form=hinge", "margin=1"]),
    "segmentation loss, Eq. 9, g = 0.1": ("SegmentationLoss", ["form=linear", "margin=0.1"]),
    "segmentation loss, Eq. 9, g = 0": ("SegmentationLoss", ["form=linear", "margin=0"]),
}


def make_test_data() -> Path:
    """Frames of 36 new videos, all of them on the test side of the split "all"."""
    root = DEMO / "losses_data"
    lists = root / "data_splits"
    if not (lists / "all" / "test_per10.txt").is_file():
        videos = str(DEMO / "losses_videos")
        facemask(["synth", videos, "--videos", "36", "--seconds", "0.5", "--seed", "2"])
        facemask(["prepare", videos, str(root), "--fraction", "1"])
        lines = [path.read_text() for path in sorted((lists / "split_1").glob("*.txt"))]
        (lists / "all").mkdir()
        (lists / "all" / "test_per10.txt").write_text("".join(lines))
    return root


def score(config: str, folder: Path, checkpoint: Path, data: Path) -> dict[str, float]:
    """IoU in % by column of the table."""
    metrics = folder / "test" / "metrics.csv"
    if not metrics.is_file():
        logger = ["--trainer.logger.save_dir", str(folder.parent)]
        logger += ["--trainer.logger.name", folder.name]
        facemask(["test", "-c", config, "--ckpt_path", str(checkpoint), *logger,
                  "--data.root", str(data), "--data.split", "all"])  # fmt: skip
    with metrics.open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    return {title: 100 * float(row[f"test/{key}"]) for title, key in COLUMNS.items()}


def train(name: str, seed: int) -> Path:
    """The folder of a finished run."""
    loss, options = LOSSES[name]
    folder = RUNS / f"{loss}_{'_'.join(options)}_{seed}".replace("=", "_")
    done = folder / "done"
    if not done.is_file():
        path = "--trainer.callbacks.init_args.dirpath"
        facemask(["fit", "-c", "configs/demo/convlstm_fcn.yaml", "--seed_everything", str(seed),
                  "--data.seed", str(seed), "--model.loss", f"facemask.losses.{loss}",
                  *(f"--model.loss.{option}" for option in options),
                  "--trainer.logger.save_dir", str(RUNS), "--trainer.logger.name", folder.name,
                  path, str(folder)])  # fmt: skip
        done.touch()
    return folder


def main() -> None:
    """Train and score everything, then print the table."""
    start = DEMO / "runs" / "fcn" / "best.ckpt"
    if not start.is_file():
        raise SystemExit(f"{start} does not exist: run `make demo` first.")
    data = make_test_data()
    table = Table("trained with", *COLUMNS, title="IoU in % on made-up faces, mean of 3 seeds")
    fcn = score("configs/demo/fcn.yaml", RUNS / "fcn", start, data)
    table.add_row("(the FCN it starts from)", *(f"{value:.1f}" for value in fcn.values()))
    for name in LOSSES:
        rows = []
        for seed in SEEDS:
            folder = train(name, seed)
            config = "configs/demo/convlstm_fcn.yaml"
            rows.append(score(config, folder, folder / "best.ckpt", data))
        cells = []
        for title in COLUMNS:
            values = [row[title] for row in rows]
            spread = f" ± {statistics.stdev(values):.1f}" if title == "mIoU" else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
