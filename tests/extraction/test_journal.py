"""Knowledge about faces that parts of a long video keep."""

from pathlib import Path

import numpy as np
import torch

from facemask.boxes import Box
from facemask.extraction.corrections import Correction
from facemask.extraction.journal import Journal
from facemask.models.cascade.clips import CascadeMemory


def test_a_part_keeps_what_belongs_to_its_frames(tmp_path: Path) -> None:
    journal = Journal()
    for count in range(5, 26, 5):
        turned = Correction(3, Box(1.5, -2.0, 9.25, 8.0), 1, -170.5)
        journal.note(count, [Correction(0, None, count), turned], {0: CascadeMemory({}, {})})
    for frame in (0, 9, 10, 19, 20):
        side = np.float64(30 + frame)  # of numpy, as measured in a mask
        begins = Correction(frame, Box.around(side, side, side), 0, np.float64(frame) / 4)
        journal.note_start(frame, [begins, Correction(99, None, 0)])
    journal.save(tmp_path / "part", 10, 20)

    later = Journal()
    assert later.load(tmp_path / "part")
    assert later.corrections == {
        15: [(0, None, 15, None), (3, (1.5, -2.0, 9.25, 8.0), 1, -170.5)],
        20: [(0, None, 20, None), (3, (1.5, -2.0, 9.25, 8.0), 1, -170.5)],
    }
    assert later.starts == {
        10: [(10, (20.0, 20.0, 60.0, 60.0), 0, 2.5), (99, None, 0, None)],
        19: [(19, (24.5, 24.5, 73.5, 73.5), 0, 4.75), (99, None, 0, None)],
    }
    assert isinstance(later.starts[10][0].box, Box)
    assert list(later.memories) == [20]

    journal.save(tmp_path / "first", 0, 10)
    assert later.load(tmp_path / "first")  # parts add up
    assert sorted(later.corrections) == [5, 10, 15, 20]
    assert sorted(later.starts) == [0, 9, 10, 19]


def test_parts_that_do_not_tell_all_are_not_used(tmp_path: Path) -> None:
    whole = Journal()
    whole.note(5, [Correction(0, Box(1.0, 2.0, 3.0, 4.0), 0, 5.0)], {})
    whole.save(tmp_path / "part", 0, 5)
    content = torch.load(tmp_path / "part", weights_only=True)
    without_starts = {name: content[name] for name in content if name != "starts"}
    without_roll = content | {"corrections": {5: [(0, (1.0, 2.0, 3.0, 4.0), 0)]}}
    for number, other in enumerate((without_starts, without_roll, {}, [1])):
        torch.save(other, tmp_path / str(number))
        journal = Journal()
        assert not journal.load(tmp_path / str(number))
        assert journal == Journal()
    (tmp_path / "text").write_text("no part")
    assert not Journal().load(tmp_path / "text")
    assert not Journal().load(tmp_path / "none")
