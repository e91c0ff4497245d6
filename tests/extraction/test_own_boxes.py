"""The table of a run is a file of boxes, with which another looks at the same crops."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facemask.boxes import Box, Crop
from facemask.extraction import ExtractedFace, ExtractedFrame
from facemask.extraction.signals import COLUMNS, table_rows
from facemask.tracking.boxes_file import BoxesFile
from facemask.turned import wrapped

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
