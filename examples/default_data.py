"""The data of the weights that come with the package: prepared, split by name, and in one place.

examples/default_weights.py calls it. What is there already is not made again.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from facemask.boxes import face_crop_box
from facemask.cli import main as facemask
from facemask.data.landmarks import read_pts, write_pts
from facemask.data.vw300_mask import IMAGES, LABELS, parse_stem, read_split, sequence_id
from facemask.files import read_image, write_atomic, write_image
from score_groups import EYES_SHUT, eyes_opening

WORK = Path("default_weights")
DATA = WORK / "data"
TEST_SHARE, VAL_SHARE = 23, 5  # in % of the photographs
LONGEST = 300
"""Pixels of the longest side of a crop that is scored, about that of a face in a video."""
SECONDS = 10
"""At most so many of each training video, so that the longest does not drown the others."""
HELD_OUT = ("006", "008", "010", "011", "012", "013")
"""Videos whose persons no training sees."""


def side_of(photo: str, test: int = TEST_SHARE) -> str:
    """The side of a photograph, by its name alone: all its faces are on one side."""
    number = int(hashlib.sha256(photo.encode()).hexdigest(), 16) % 100
    return "test" if number < test else "val" if number < test + VAL_SHARE else "train"


def photo_of(name: str) -> str:
    """The photograph of a face: names of digits are PHOTO_FACE (Helen), others have one face."""
    photo, _, face = name.rpartition("_")
    return photo if photo.isdecimal() and face.isdecimal() else name


def stills(sources: Sequence[Path]) -> None:
    """Prepare the photographs; those that are scored are reduced to the size of faces in videos.

    Those to train on whose eyes are shut or lowered come a second time, in a data set of their own.
    """
    raw, root, shut = DATA / "stills_raw", DATA / "stills", DATA / "shut"
    if _is_split(shut):
        return
    annotations = sorted(path for source in sources for path in source.glob("*.pts"))
    missing = {"train", "val", "test"} - {side_of(photo_of(path.stem)) for path in annotations}
    if missing:
        raise SystemExit(
            f"None of {len(annotations)} annotated photographs is for "
            f"{', '.join(sorted(missing))}; sides are drawn by name, so give some dozens."
        )
    raw.mkdir(parents=True, exist_ok=True)
    lowered = set()
    for annotation in annotations:
        points = read_pts(annotation)
        if eyes_opening(points) < EYES_SHUT:
            lowered.add(annotation.stem)
        if (raw / annotation.name).is_file():
            continue
        image = read_image(annotation.with_suffix(".jpg"))
        box = face_crop_box(points, *image.shape[:2])
        scale = min(1.0, LONGEST / max(box.width, box.height))
        if side_of(photo_of(annotation.stem)) != "train" and scale < 1:
            reduced = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = reduced.astype(np.uint8, copy=False)
            points = (points + 0.5) * scale - 0.5
        write_image(raw / f"{annotation.stem}.jpg", image, jpeg_quality=98)
        write_pts(raw / annotation.name, points)
    facemask(["prepare", str(raw), str(root), "--fraction", "1"])
    write_split(root, lambda video, _: side_of(photo_of(video)))
    for frame in read_split(root, "default", "train"):
        if frame.video in lowered and frame.label is not None:
            for file, folder in ((frame.image, IMAGES), (frame.label, LABELS)):
                (shut / folder).mkdir(parents=True, exist_ok=True)
                if not (shut / folder / file.name).exists():
                    os.link(file, shut / folder / file.name)
    write_split(shut, lambda *_: "train")


def photographs(name: str, source: Path, side: Callable[[str], str] = side_of) -> None:
    """Prepare CelebAMask-HQ or templates, as `facemask prepare` finds them in the source."""
    root = DATA / name
    if _is_split(root):
        return
    facemask(["prepare", str(source), str(root), "--fraction", "1"])
    write_split(root, lambda video, _: side(video))


def videos(source: Path) -> None:
    """Prepare the videos: a few seconds, evenly spread, of those to train on."""
    root = DATA / "videos"
    if _is_split(root):
        return
    facemask(["prepare", str(source), str(root), "--fraction", "1"])
    last: dict[str, int] = {}
    for image in (root / IMAGES).glob("*.jpg"):
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
    if _is_split(root):
        return
    raw = str(DATA / "synthetic_raw")
    facemask(["synth", raw, "--videos", "150", "--seconds", "0.5", "--seed", "7"])
    facemask(["prepare", raw, str(root), "--fraction", "1"])
    ends = {"train": 135, "val": 140, "test": 150}
    write_split(root, lambda video, _: next(s for s, end in ends.items() if int(video) <= end))


def _is_split(root: Path) -> bool:
    return (root / "data_splits" / "default").is_dir()


def write_split(root: Path, side: Callable[[str, int], str]) -> None:
    """Write the split "default" of a prepared data set.

    Args:
        root: Its folder.
        side: From video and frame number to train, val, test, or unused.
    """
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for image in sorted((root / IMAGES).glob("*.jpg")):
        video, number = parse_stem(image.stem)
        line = f"/{IMAGES}/{image.name} /{LABELS}/{image.stem}.png\n"
        lines.setdefault(side(video, number or 1), []).append(line)
    folder = root / "data_splits" / "default"
    folder.mkdir(parents=True)
    for name in ("train", "val", "test"):
        write_atomic(folder / f"{name}_per10.txt", "".join(lines[name]).encode())
