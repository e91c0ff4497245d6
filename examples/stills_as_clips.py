"""Photographs as a data set of clips: the validation's and the test's are moved once, and kept.

    facemask prepare STILLS DATA --fraction 1
    python examples/stills_as_clips.py DATA CLIPS
    python examples/stills_as_clips.py DATA CLIPS64 --reduce 64

DATA is prepared from photographs with a .pts file beside each. Its training side stays single
frames, which `data.still_motion` moves anew in every epoch; each photograph of the other sides
becomes a clip of five frames by `StillMotion`. --reduce makes every frame of these as blurred as a
face crop of so many pixels. Run with the same DATA, both have the same motion and masks.
"""

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.augment.still_motion import StillMotion
from facemask.data.clips import read_frame
from facemask.data.vw300_mask import IMAGES, LABELS, SPLIT_NAMES, read_split
from facemask.files import write_atomic, write_image

FRAMES = 5
Pixels = npt.NDArray[np.uint8]


def reduce(image: Pixels, longest: int) -> Pixels:
    """Return an image (H, W, 3) reduced so that its longer side has `longest` pixels, and back."""
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    large = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR)
    return large.astype(np.uint8, copy=False)


def main() -> None:
    """Write the clips' data set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="split_1")
    parser.add_argument("--reduce", type=int, help="longer side of val's and test's crops, pixels")
    options = parser.parse_args()
    lists = options.out / "data_splits" / options.split
    for folder in (options.out / IMAGES, options.out / LABELS, lists):
        folder.mkdir(parents=True, exist_ok=True)
    motion = StillMotion()
    for side in SPLIT_NAMES:
        stems: list[str] = []
        for number, frame in enumerate(read_split(options.data, options.split, side)):
            assert frame.label is not None
            if side == "train":
                stems.append(frame.image.stem)
                shutil.copy(frame.image, options.out / IMAGES)
                shutil.copy(frame.label, options.out / LABELS)
                continue
            if f"{frame.video}_{1:06d}" in stems:
                raise SystemExit(f"{options.data}: {frame.video} has several frames: give stills.")
            image, mask = read_frame(frame)
            clip = zip(*motion(image, mask, FRAMES, seed=number), strict=True)
            for place, (moved, labels) in enumerate(clip, start=1):
                stems.append(f"{frame.video}_{place:06d}")
                shown = reduce(moved, options.reduce) if options.reduce else moved
                write_image(options.out / IMAGES / f"{stems[-1]}.jpg", shown, jpeg_quality=95)
                write_image(options.out / LABELS / f"{stems[-1]}.png", labels)
        lines = (f"/{IMAGES}/{stem}.jpg /{LABELS}/{stem}.png\n" for stem in stems)
        write_atomic(lists / f"{side}_per10.txt", "".join(lines).encode())


if __name__ == "__main__":
    main()
