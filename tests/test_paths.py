"""Files and folders are given as strings or as paths, alike."""

from collections.abc import Callable
from pathlib import Path

import pytest

from facemask.checkpoints import read_checkpoint, read_weights
from facemask.data.prepare import prepare
from facemask.data.synthetic import synthesize
from facemask.data.templates import read_landmarks
from facemask.data.vw300_mask import list_crops, read_label, read_split
from facemask.errors import InputError
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import read_card, read_cascade, read_header
from facemask.tracking.boxes_file import BoxesFile
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detectors import open_detector
from facemask.video.decoding import VideoFile
from facemask.weights.load import load_networks

READERS: dict[str, Callable[[str | Path], object]] = {
    "read_checkpoint": read_checkpoint,
    "read_weights": read_weights,
    "read_card": read_card,
    "read_header": read_header,
    "read_cascade": read_cascade,
    "Cascade.load": Cascade.load,
    "load_networks": load_networks,
    "read_landmarks": read_landmarks,
    "read_label": read_label,
    "read_split": lambda path: read_split(path, "split_1", "val"),
    "list_crops": list_crops,
    "prepare": lambda path: prepare(path, "never"),
    "BoxesFile": BoxesFile,
    "CenterFaceDetector": lambda path: CenterFaceDetector(model=path),
    "YunetDetector": lambda path: open_detector("yunet", path),
    "VideoFile": VideoFile,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_missing_file_is_named(read: Callable[[str | Path], object], tmp_path: Path) -> None:
    missing = tmp_path / "missing.bin"
    for given in (missing, str(missing)):
        with pytest.raises(InputError, match=r"missing\.bin"):
            read(given)


def test_a_data_set_from_strings(tmp_path: Path) -> None:
    source, out = str(tmp_path / "videos"), str(tmp_path / "data")
    synthesize(source, videos=3, seconds=0.1, width=128, height=96, workers=1)
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("002 2\n")
    table = f"{source}/subjects.csv"
    prepare(source, out, fraction=1, subjects=table, exclude=str(exclude), workers=1)
    sides = [read_split(out, "split_1", side) for side in ("train", "val", "test")]
    frames = [(frame.video, frame.number) for side in sides for frame in side]
    assert sorted(frames) == [
        (f"00{v}", n) for v in (1, 2, 3) for n in (1, 2, 3) if (v, n) != (2, 2)
    ]
    crops = list_crops(f"{out}/images_orig")
    assert [(crop.video, crop.number) for crop in crops] == sorted(frames)
    assert read_label(f"{out}/labels_orig/{crops[0].image.stem}.png").max() > 0
    assert read_landmarks(f"{source}/001/annot/000001.pts").shape == (68, 2)
    with VideoFile(f"{source}/001/vid.avi") as video:
        assert len(list(video)) == 3
