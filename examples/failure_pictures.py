"""Where the default weights fail, on a picture that may be shown: docs/images/failures.jpg.

    python examples/failure_pictures.py astronaut.png

The portrait is scikit-image's `skimage/data/astronaut.png` (NASA, public domain), made harder: in
half shadow, dark, small, turned on its side, upside down, behind a drawn hand and behind drawn
sunglasses. The face's box is given, as a detector of frontal faces would not find all of them.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.augment.occlusion import Occluders
from facemask.extraction import FaceMaskExtractor
from facemask.files import read_image, write_image
from facemask.video.painting import overlay

Image = npt.NDArray[np.uint8]
SIZE = 240


def variants(face: Image, mask: Image) -> dict[str, Image]:
    """The crop made harder, by what was done."""
    side = face.shape[0]
    shadow = face.copy()
    shadow[:, : side // 2] = (shadow[:, : side // 2] * 0.15).astype(np.uint8)
    small = cv2.resize(face, (28, 28), interpolation=cv2.INTER_AREA)
    hand = Occluders(hand=1, glasses=0, object=0, hair=0, patch=0)
    glasses = Occluders(hand=0, glasses=1, object=0, hair=0, patch=0)
    return {
        "as it is": face,
        "half shadow": shadow,
        "dark": (face * 0.06).astype(np.uint8),
        "28 pixels": cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC).astype(
            np.uint8
        ),
        "on its side": np.ascontiguousarray(np.rot90(face)),
        "upside down": np.ascontiguousarray(face[::-1]),
        "hand": hand([face], [mask], seed=3)[0][0],
        "glasses": glasses([face], [mask], seed=5)[0][0],
    }


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("portrait", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/failures.jpg"))
    options = parser.parse_args()
    found = FaceMaskExtractor.load("default", "cpu").image(read_image(options.portrait)).faces[0]
    box = found.box
    face = np.ascontiguousarray(
        read_image(options.portrait)[box.top : box.bottom, box.left : box.right]
    )
    extractor = FaceMaskExtractor.load("default", "cpu", detector="cropped")
    tiles = []
    for name, picture in variants(face, found.crop_labels).items():
        painted = overlay(picture, extractor.image(picture).labels)
        pair = [cv2.resize(part, (SIZE, SIZE)).astype(np.uint8) for part in (picture, painted)]
        tile = np.concatenate(pair, axis=1)
        cv2.putText(tile, name, (6, SIZE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 2)
        tiles.append(tile)
    rows = [np.concatenate(tiles[start : start + 2], axis=1) for start in range(0, len(tiles), 2)]
    write_image(options.out, np.concatenate(rows, axis=0))


if __name__ == "__main__":
    main()
