"""Time of a cascade's networks by torch, ONNX Runtime and OpenVINO, and how many labels they keep.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/backends.py default --threads 1
    python benchmarks/backends.py default --rounds 0 --stills STILLS --videos VIDEOS

Prints milliseconds a frame of processor time, all threads together, and of wall time: the least of
rounds in which all take turns, for clips of five frames. Beside a busy process the former is the
steadier. The networks are exported where they are not yet (`facemask extract --backend`); int8
needs NNCF.

STILLS is a folder of photographs with a .pts file beside each, of which --share in % are taken, by
their names as in examples/default_weights.py: its test side. VIDEOS is in the 300VW layout; the
first --frames of each video are scored as windows of five. Faces are cut out where the landmarks
are. "Equal" is the share of the pixels that either calls a part of a face with the same
label as torch's in float32; mIoU is against the landmarks' masks, in %, with its difference.
"""

import argparse
import hashlib
import importlib.util
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from facemask.boxes import face_crop_box
from facemask.data.landmarks import read_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.vw300 import find_videos
from facemask.extraction.backends import prepare_cascade
from facemask.extraction.load import has_fast_bf16
from facemask.files import read_image
from facemask.metrics import MaskIoU
from facemask.models.cascade.cascade import Cascade
from facemask.models.normalisation import normalise
from facemask.video.reading import open_source
from facemask.weights.load import load_model

Pixels = npt.NDArray[np.uint8]
WAYS = (
    ("torch", "float32"), ("torch", "bf16"), ("onnx", "float32"), ("openvino", "float32"),
    ("openvino", "bf16"), ("openvino", "int8"),
)  # fmt: skip
LENGTH = 5


def score(cascade: Cascade, images: torch.Tensor, bf16: bool) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for network in cascade.networks().values():
            network(normalise(images, network))


def crop(image: Pixels, points: npt.NDArray[np.float64]) -> tuple[Pixels, Pixels]:
    """Return the crop of a face, and its mask."""
    place = face_crop_box(points, *image.shape[:2]).pixels
    return image[place], landmarks_to_mask(points, *image.shape[:2])[place]


def stills(folder: Path, share: int) -> Iterator[list[tuple[Pixels, Pixels]]]:
    for path in sorted(folder.glob("*.pts")):
        photo = path.stem.partition("_")[0]
        if int(hashlib.sha256(photo.encode()).hexdigest(), 16) % 100 < share:
            yield [crop(read_image(path.with_suffix(".jpg")), read_pts(path))]


def videos(folder: Path, frames: int) -> Iterator[list[tuple[Pixels, Pixels]]]:
    for video in find_videos(folder)[0]:
        clip: list[tuple[Pixels, Pixels]] = []
        with open_source(video.path) as source:
            for frame in source:
                if len(clip) == frames:
                    break
                clip.append(crop(frame.image, read_pts(video.annotations[frame.index + 1])))
        yield clip


def labelled(cascade: Cascade, clip: list[tuple[Pixels, Pixels]], bf16: bool) -> list[Pixels]:
    images = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image, _ in clip]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return [labels.numpy() for labels in cascade([images], window=LENGTH).labels[0]]


def print_gate(
    what: str, clips: list[list[tuple[Pixels, Pixels]]], ways: dict[str, tuple[Cascade, bool]]
) -> None:
    """Print how many labels each way keeps."""
    frames = sum(map(len, clips))
    print(f"{what}: {len(clips)}, {frames} frames", flush=True)
    expected: list[Pixels] = []
    before = 0.0
    for name, (cascade, bf16) in ways.items():
        found = [labels for clip in clips for labels in labelled(cascade, clip, bf16)]
        expected = expected or found
        inside = equal = 0
        metric = MaskIoU(class_sets=True)
        truths = (truth for clip in clips for _, truth in clip)
        for mine, first, truth in zip(found, expected, truths, strict=True):
            face = (mine > 0) | (first > 0)
            inside += int(face.sum())
            equal += int((mine == first)[face].sum())
            metric.update(torch.from_numpy(mine), torch.from_numpy(truth))
        miou = 100 * float(metric.compute()["miou"])
        before = before or miou
        line = f"equal {100 * equal / inside:7.3f} %   mIoU {miou:.2f} ({miou - before:+.2f})"
        print(f"{name:18} {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stills", type=Path)
    parser.add_argument("--share", type=int, default=23)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cascade = load_model(options.model)
    size = cascade.settings.size
    images = torch.randint(0, 256, (1, LENGTH, 3, size, size), dtype=torch.uint8)
    fast = has_fast_bf16(torch.device("cpu"))
    ways: dict[str, tuple[Cascade, bool]] = {}
    for backend, precision in WAYS:
        int8, bf16 = precision == "int8", precision != "float32" and fast
        if (int8 and not importlib.util.find_spec("nncf")) or (precision == "bf16" and not fast):
            continue
        prepared = prepare_cascade(cascade, backend, bf16, int8)  # type: ignore[arg-type]
        ways[f"{backend} {precision}"] = prepared, bf16
    runs = {name: partial(score, of, images, bf16) for name, (of, bf16) in ways.items()}
    least = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(options.rounds):
        for name, run in runs.items():
            start, wall = time.process_time(), time.perf_counter()
            run()
            took = (time.process_time() - start, time.perf_counter() - wall)
            least[name] = (min(least[name][0], took[0]), min(least[name][1], took[1]))
    networks = len(cascade.networks())
    print(f"{options.model}, {networks} networks, {size} px, {options.threads} thread(s)")
    for name, times in least.items() if options.rounds else ():
        cpu, spent = (1000 * seconds / LENGTH / networks for seconds in times)
        print(f"{name:18} {cpu:6.2f} ms CPU  {spent:6.2f} ms", flush=True)
    if options.stills is not None:
        print_gate("stills", list(stills(options.stills, options.share)), ways)
    if options.videos is not None:
        print_gate("videos", list(videos(options.videos, options.frames)), ways)


if __name__ == "__main__":
    main()
