"""The whole path on data made on the spot; `make demo` runs it from the root of the checkout.

synth → prepare → fit FCN → fit ConvLSTM-FCN → test both → a table and a picture, all in demo/.
What an earlier run finished is not done again; a killed training goes on from its last epoch.
"""

import csv
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.cli import main as facemask
from facemask.data.masks import mask_to_color
from facemask.data.transforms import resize_image
from facemask.data.vw300_mask import LABELS, cut_clips, read_label, read_split
from facemask.files import read_image, write_image

DEMO = Path("demo")
MODELS = {"FCN": "fcn", "ConvLSTM-FCN": "convlstm_fcn"}
COLUMNS = {"mIoU": "miou", "skin": "iou_skin", "eyes": "iou_eyes", "lips": "iou_lips",
           "inner mouth": "iou_inner_mouth", "background": "iou_background"}  # fmt: skip


def fit(name: str) -> None:
    """Train, or go on with, or skip what is trained."""
    done = DEMO / "runs" / name / "done"
    if done.is_file():
        return
    last = done.with_name("last.ckpt")
    resume = ["--ckpt_path", str(last)] if last.is_file() else []
    facemask(["fit", "--config", f"configs/demo/{name}.yaml", *resume])
    done.touch()


def test_and_predict(name: str) -> dict[str, str]:
    """Score on the test side, write its label images, and return the scores."""
    options = ["-c", f"configs/demo/{name}.yaml", "--ckpt_path", f"demo/runs/{name}/best.ckpt"]
    facemask(["test", *options])
    facemask(["predict", *options, "--predictions.folder", f"demo/predictions/{name}"])
    with (DEMO / "runs" / name / "test" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]


def picture(path: Path, clips: int = 3, height: int = 170) -> None:
    """Draw the first and last frame of some test clips with the true and the predicted masks."""
    frames = read_split(DEMO / "data", "split_1", "test")
    whole = [clip for clip in cut_clips(frames, clip_length=5) if len(clip) == 5]
    chosen = [whole[i] for i in np.linspace(0, len(whole) - 1, clips).round().astype(int)]
    labels = {"true mask": DEMO / "data" / LABELS}
    labels |= {title: DEMO / "predictions" / name for title, name in MODELS.items()}
    rows = []
    for title in ("frame", *labels):
        tiles = [np.full((height, 120, 3), 255, dtype=np.uint8)]
        place = (6, height // 2)
        cv2.putText(
            tiles[0], title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
        )
        for frame in (frame for clip in chosen for frame in (clip[0], clip[-1])):
            tile = read_image(frame.image)
            if title in labels:
                color = mask_to_color(read_label(labels[title] / f"{frame.image.stem}.png"))
                face = color.any(axis=-1, keepdims=True)
                tile = np.where(face, 0.45 * tile + 0.55 * color, tile).astype(np.uint8)
            tiles.append(resize_image(tile, height, height))
        rows.append(np.hstack(tiles))
    write_image(path, np.vstack(rows))


def main() -> None:
    """Run every step."""
    start = time.monotonic()
    facemask(["synth", "demo/videos", "--videos", "36", "--seconds", "0.5", "--seed", "1"])
    facemask(["prepare", "demo/videos", "demo/data", "--fraction", "1"])
    for name in MODELS.values():
        fit(name)
    shutil.rmtree(DEMO / "predictions", ignore_errors=True)
    scores = {title: test_and_predict(name) for title, name in MODELS.items()}
    picture(DEMO / "picture.png")

    title = "Test side, at original size, on made-up faces.\n"
    title += "Four short videos: a few points up or down are chance."
    table = Table("IoU in %", *COLUMNS, title=title)
    for title, row in scores.items():
        values = (100 * float(row[f"test/{column}"]) for column in COLUMNS.values())
        table.add_row(title, *(f"{value:.1f}" for value in values))
    console = Console()
    console.print(table)
    console.print(f"Picture: {DEMO / 'picture.png'} ({time.monotonic() - start:.0f} s in all)")


if __name__ == "__main__":
    main()
