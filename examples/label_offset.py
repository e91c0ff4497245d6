"""Do the landmarks of a data set count pixels as the reader believes, from 0 or from 1?

    python examples/label_offset.py DATA [--model default]

DATA is a prepared data set. Its labels are moved by up to two pixels either way and compared with a
model's masks: where the best agreement lies away from 0, all points of the set lie beside what they
mark. A file that counts from 0 and is read as counting from 1 shows as 1 to the right and 1 down.
Look at eyes and lips, whose edges are thin; do this with crops of at most 300 pixels, where a pixel
counts.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from facemask.classes import EYES, LIPS, SKIN
from facemask.data.clips import read_frame
from facemask.data.vw300_mask import SPLIT_NAMES, read_split
from facemask.extraction import load_model
from score_photographs import Pixels, label

REACH = 2
CLASSES = {"skin": SKIN, "eyes": EYES, "lips": LIPS}


def agreement(masks: list[Pixels], truths: list[Pixels], x: int, y: int, class_id: int) -> float:
    """IoU of a class in %, the truth moved by x to the right and y down; edges are left out."""
    shared = either = 0
    inside = (slice(REACH, -REACH), slice(REACH, -REACH))
    for mask, truth in zip(masks, truths, strict=True):
        ours = (mask == class_id)[inside]
        theirs = np.roll(truth == class_id, (y, x), axis=(0, 1))[inside]
        shared += np.count_nonzero(ours & theirs)
        either += np.count_nonzero(ours | theirs)
    return 100 * shared / max(either, 1)


def main() -> None:
    """Print the agreement without a shift, and the best one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--split", default="split_1")
    parser.add_argument("--side", default="test", choices=SPLIT_NAMES)
    options = parser.parse_args()
    frames = read_split(options.data, options.split, options.side)
    images, truths = map(list, zip(*map(read_frame, frames), strict=True))
    masks = label(load_model(options.model), images)
    table = Table("class", "as it is, %", "best, %", "labels moved by", title=str(options.data))
    steps = range(-REACH, REACH + 1)
    for name, class_id in CLASSES.items():
        found = {
            (x, y): agreement(masks, truths, x, y, class_id)
            for x, y in ((x, y) for x in steps for y in steps)
        }
        x, y = max(found, key=lambda shift: found[shift])
        moved = f"{x:+d} to the right, {y:+d} down" if x or y else "0"
        table.add_row(name, f"{found[0, 0]:.1f}", f"{found[x, y]:.1f}", moved)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
