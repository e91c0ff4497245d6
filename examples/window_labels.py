"""Windows' masks of videos as a data set: a teacher of models that carry their memory on.

    python examples/window_labels.py DATA train=a.mp4 train=b.mp4 val=c.mp4 [--frames 600]

Each frame's crop of the largest face, as extraction follows it, and its mask, scored from itself
and the four frames before (`--temporal window`), go into DATA in the 300VW-Mask layout (split_1),
named after the video's folder and file. Give two sides at least: what is missing of validation and
test is a copy of the other. A model trained on them has its teacher's opinion, which is no truth.
"""

import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from facemask.data.vw300_mask import IMAGES, LABELS, SPLIT_NAMES
from facemask.extraction import FaceMaskExtractor
from facemask.files import write_image
from facemask.tracking.tracker import TrackerSettings


def main() -> None:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("videos", nargs="+", metavar="SIDE=VIDEO", help="side: train, val or test")
    parser.add_argument("--model", default="default", help="as of `facemask extract`")
    parser.add_argument("--frames", type=int, default=1000, help="at most so many of each video")
    parser.add_argument("--longest", type=int, default=256, help="longer side of a crop, at most")
    options = parser.parse_args()
    lists = options.data / "data_splits" / "split_1"
    for folder in (options.data / IMAGES, options.data / LABELS, lists):
        folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {side: [] for side in SPLIT_NAMES}
    extractor = FaceMaskExtractor.load(options.model, tracking=TrackerSettings(max_faces=1))
    for word in options.videos:
        side, _, name = word.partition("=")
        if side not in lines or not name:
            raise SystemExit(f"{word}: give SIDE=VIDEO, with train, val or test as the side.")
        path = Path(name)
        video = f"{path.parent.name}-{path.stem}".replace(" ", "-")
        for frame in islice(extractor.video(path), options.frames):
            for face in frame.faces:
                crop, labels = frame.image[face.box.pixels], face.crop_labels
                scale = min(1.0, options.longest / max(labels.shape))
                size = (round(labels.shape[1] * scale), round(labels.shape[0] * scale))
                image = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
                mask = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
                stem = f"{video}_{frame.index + 1:06d}"
                write_image(
                    options.data / IMAGES / f"{stem}.jpg", image.astype(np.uint8, copy=False)
                )
                write_image(
                    options.data / LABELS / f"{stem}.png", mask.astype(np.uint8, copy=False)
                )
                lines[side].append(f"/{IMAGES}/{stem}.jpg /{LABELS}/{stem}.png")
    lines["val"] = lines["val"] or lines["test"]
    lines["test"] = lines["test"] or lines["val"]
    for side, found in lines.items():
        (lists / f"{side}_per10.txt").write_text("".join(f"{line}\n" for line in found))


if __name__ == "__main__":
    main()
