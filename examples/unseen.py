"""Made-up videos that no run has seen, and what `facemask test` found on them."""

import csv
from pathlib import Path

from demo import DEMO
from facemask.cli import main as facemask

COLUMNS = {"mIoU": "miou", "skin": "iou_skin", "eyes": "iou_eyes", "lips": "iou_lips",
           "inner mouth": "iou_inner_mouth", "background": "iou_background"}  # fmt: skip


def make_test_data() -> Path:
    """Frames of 36 new videos, all of them on the test side of the split "all"."""
    root = DEMO / "unseen"
    lists = root / "data_splits"
    if not (lists / "all" / "test_per10.txt").is_file():
        videos = str(DEMO / "unseen_videos")
        facemask(["synth", videos, "--videos", "36", "--seconds", "0.5", "--seed", "2"])
        facemask(["prepare", videos, str(root), "--fraction", "1"])
        lines = [path.read_text() for path in sorted((lists / "split_1").glob("*.txt"))]
        (lists / "all").mkdir(exist_ok=True)
        (lists / "all" / "test_per10.txt").write_text("".join(lines))
    return root


def scores_of(folder: Path) -> dict[str, float]:
    """IoU in % of a tested run by column of the table."""
    with (folder / "test" / "metrics.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    return {title: 100 * float(row[f"test/{key}"]) for title, key in COLUMNS.items()}
