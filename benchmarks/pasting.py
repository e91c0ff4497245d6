"""CPU time of putting one face's mask together, by the face's size: where needed, and everywhere.

    python benchmarks/pasting.py VIDEO [--sides 75 120 250 450] [--frames 6] [--repeats 10]

VIDEO's first frames are resized so that the crop around the largest face has the sides asked for,
and labelled by the default cascade, upright and turned by 10 degrees. Then the masks are made again
from the same scores, in turn: by `make_mask`, and by `stitch_everywhere` and `expected_ious`. One
thread, least CPU time of the repeats of each frame, means over frames; labels must be equal.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from facemask.boxes import Box
from facemask.confidence import expected_ious
from facemask.extraction import FaceMaskExtractor
from facemask.models.cascade.mask import Mask, make_mask
from facemask.models.cascade.stitch import stitch_everywhere
from facemask.turned import TurnedBox
from facemask.video import open_source
from facemask.views import View


def masks_of(
    extractor: FaceMaskExtractor, video: str, side: int, turned: bool, frames: int
) -> list[Mask]:
    with open_source(video) as source:
        pictures = [frame.image for frame in itertools.islice(source, frames)]
    face = max(extractor.image(pictures[0]).faces, key=lambda found: found.turned_box.box.side)
    scale = side / face.turned_box.box.side
    x, y = (scale * centre for centre in face.turned_box.box.center)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    views = []
    for picture in pictures:
        resized = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)
        height, width = resized.shape[:2]
        place = TurnedBox(Box.around(x, y, side), 10.0 if turned else 0.0).clipped(height, width)
        crop = place.bounds.covering(height, width)
        pixels = torch.from_numpy(resized[crop.pixels].transpose(2, 0, 1).copy())
        there = place.box.shifted(-crop.left, -crop.top)
        views.append(View(pixels, TurnedBox(there, place.roll)))
    with torch.inference_mode():
        masks: list[Mask] = extractor.cascade([views], window=5).masks[0]
    return masks


def everywhere(mask: Mask) -> torch.Tensor:
    labels, probabilities = stitch_everywhere(mask.frame, mask.rules, True)
    expected_ious(labels.numpy(), probabilities.numpy())
    return labels


def where_needed(mask: Mask) -> torch.Tensor:
    return make_mask(mask.frame, mask.rules).labels


def least_of(
    ways: Sequence[Callable[[Mask], torch.Tensor]], masks: Sequence[Mask], repeats: int
) -> list[float]:
    times = np.full((len(masks), len(ways), repeats), np.inf)
    with torch.inference_mode():
        for repeat in range(repeats):
            for n, mask in enumerate(masks):
                for way, function in enumerate(ways):
                    start = time.thread_time()
                    labels = function(mask)
                    times[n, way, repeat] = time.thread_time() - start
                    if not torch.equal(labels, mask.labels):
                        raise SystemExit(f"frame {n}: labels differ")
    values: list[float] = (1e3 * times.min(axis=2).mean(axis=0)).tolist()
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video")
    parser.add_argument("--sides", type=int, nargs="+", default=[75, 120, 250, 450])
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    extractor = FaceMaskExtractor.load("default", device="cpu", precision="float32")
    table = Table("crop, pixels", "", "where needed, ms", "everywhere, ms", "ratio")
    for side, turned in itertools.product(options.sides, (True, False)):
        masks = masks_of(extractor, options.video, side, turned, options.frames)
        quick, all_pixels = least_of((where_needed, everywhere), masks, options.repeats)
        table.add_row(
            str(side), "turned" if turned else "upright", f"{quick:.2f}", f"{all_pixels:.2f}",
            f"{quick / all_pixels:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
