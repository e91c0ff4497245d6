"""The table of a run is a file of boxes, with which another looks at the same crops."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.boxes import Box, Crop
from facemask.extraction import ExtractedFace, ExtractedFrame, FaceMaskExtractor
from facemask.extraction.signals import COLUMNS, table_rows
from facemask.tracking.boxes_file import BoxesFile
from facemask.tracking.detection import Image
from facemask.turned import TurnedBox, wrapped
from facemask.video import open_source
from tests.extraction.faces import Frames
from tests.video.videos import carphone

IMAGE = np.zeros((90, 120, 3), dtype=np.uint8)


def write_table(path: Path, frames: list[ExtractedFrame]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row for frame in frames for row in table_rows(frame))
    return path


def test_every_face_has_its_turned_box_again(tmp_path: Path) -> None:
    labels = np.ones((30, 40), dtype=np.uint8)
    scores = np.full((5, 30, 40), 0.2, dtype=np.float32)
    upright = ExtractedFace(0, Crop(50, 20, 90, 50), 0.9, True, (90, 120), labels, scores)
    lying = replace(upright, track_id=2, roll=89.996, upright_box=Box(55.004, 15, 85, 55.333))
    over = replace(upright, track_id=7, roll=179.999, upright_box=Box(-3.5, -7.25, 30, 31.125))
    frames = [
        ExtractedFrame(0, 0.0, IMAGE, [upright, lying, over]),
        ExtractedFrame(1, 0.04, IMAGE, []),
        ExtractedFrame(2, 0.08, IMAGE, [replace(over, roll=-12.345)]),
    ]
    boxes = BoxesFile(write_table(tmp_path / "own.csv", frames))
    for frame in frames:
        found = boxes.faces(frame.index, IMAGE)
        assert sorted(found) == [face.track_id for face in frame.faces]
        for face in frame.faces:
            box, roll = found[face.track_id]
            assert box == pytest.approx(face.turned_box.box, abs=0.0051)
            assert wrapped(roll - face.roll) == pytest.approx(0, abs=0.0051)
    assert boxes.faces(0, IMAGE)[0] == upright.turned_box


class Turning:
    """A face on a plate that turns: the head of `carphone`, whose box moves by parts of pixels."""

    def __init__(self, roll: float) -> None:
        self.roll = roll

    def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:
        height, width = image.shape[:2]
        center = Box.around(width / 2 + frame / 7, height / 2 - frame / 3, 62 + frame / 9)
        return {3: TurnedBox(center, self.roll + frame / 13)}


def turned(image: Image, roll: float) -> Image:
    """The head's square, turned clockwise by `roll` about its centre."""
    (x, y), side = (89.0, 71.0), 140
    turn = cv2.getRotationMatrix2D((x - 0.5, y - 0.5), -roll, 1.0)
    turn += np.array([[0, 0, side / 2 - x], [0, 0, side / 2 - y]])
    return np.asarray(
        cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8
    )


@pytest.mark.parametrize("roll", [0.0, 30.0, 90.0])
@pytest.mark.filterwarnings("ignore::facemask.weights.LicenceNotice")
def test_the_same_masks_again(roll: float, tmp_path: Path) -> None:
    with open_source(carphone()) as source:
        images = [turned(f.image, roll) for f, _ in zip(source, range(5), strict=False)]
    extractor = FaceMaskExtractor.load("default", "cpu", detector=Turning(roll))
    first = list(extractor.video(Frames(images)))
    extractor.detector = BoxesFile(write_table(tmp_path / "own.csv", first))
    for one, other in zip(first, extractor.video(Frames(images)), strict=True):
        before, after = one.faces[0], other.faces[0]
        assert (after.track_id, after.restart) == (before.track_id, before.restart)
        assert after.turned_box.box == pytest.approx(before.turned_box.box, abs=0.02)
        assert wrapped(after.roll - before.roll) == pytest.approx(0, abs=0.01)
        face = (one.labels > 0) | (other.labels > 0)
        assert face.sum() > 1000
        assert (one.labels == other.labels)[face].mean() > 0.995
