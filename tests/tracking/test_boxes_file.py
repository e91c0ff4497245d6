from pathlib import Path

import numpy as np
import pytest

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detectors import BoxesFile, CroppedFrames
from facemask.tracking.tracker import FaceTracker
from facemask.turned import TurnedBox

IMAGE = np.zeros((60, 80, 3), dtype=np.uint8)


def write(folder: Path, text: str) -> Path:
    path = folder / "boxes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_boxes_are_taken_as_they_are(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "\ufeffface, frame,left,Top,right,bottom,score\n"
        "7,0,10.5,5,40,30.25,0.1\n2,0,-5,0,20,20,\n\n7,1,12,5,42,30,0.3\n7,3,12,5,42,30,0.3\n",
    )
    tracker = FaceTracker(BoxesFile(path))
    shown = [
        [(face.track_id, face.box, face.restart) for face in tracker.step(IMAGE)] for _ in range(5)
    ]
    assert shown == [
        [(2, Box(-5, 0, 20, 20), True), (7, Box(10.5, 5, 40, 30.25), True)],
        [(7, Box(12, 5, 42, 30), False)],
        [],
        [(7, Box(12, 5, 42, 30), True)],
        [],
    ]
    tracker.correct(7, None)  # changes nothing
    tracker.reset()
    assert [face.track_id for face in tracker.step(IMAGE)] == [2, 7]


def test_without_a_column_of_faces(tmp_path: Path) -> None:
    boxes = BoxesFile(write(tmp_path, "frame,left,top,right,bottom\n4,1,2,30,40\n"))
    assert boxes.faces(4, IMAGE) == {0: TurnedBox(Box(1, 2, 30, 40))}
    assert boxes.faces(0, IMAGE) == {}


def test_turned_boxes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "frame,face,Roll,left,top,right,bottom\n"
        "0,0,,10,5,40,35\n0,1,-12.25,10,5,40,30\n0,2,630,-20,5,20,45\n0,3,180,10,5,40,35\n",
    )
    assert BoxesFile(path).faces(0, IMAGE) == {
        0: TurnedBox(Box(10, 5, 40, 35), 0.0),
        1: TurnedBox(Box(10, 5, 40, 30), -12.25),
        2: TurnedBox(Box(-20, 5, 20, 45), -90.0),  # three quarters of a turn after a whole one
        3: TurnedBox(Box(10, 5, 40, 35), -180.0),
    }
    faces = FaceTracker(BoxesFile(path)).step(IMAGE)
    assert [face.roll for face in faces] == [0.0, -12.25, -90.0, -180.0]


def test_a_turned_box_of_which_nothing_is_in_the_frame(tmp_path: Path) -> None:
    # a band of 100 × 10 pixels beyond the right edge (80): turned by 90° it only comes nearer
    # to the upper and the lower one; beside the left one, it reaches in as it lies
    text = (
        "frame,left,top,right,bottom,roll\n0,82,20,182,30,90\n1,-95,20,5,30,0\n2,-95,20,5,30,90\n"
    )
    boxes = BoxesFile(write(tmp_path, text))
    assert boxes.faces(1, IMAGE)
    for frame in (0, 2):
        with pytest.raises(
            InputError, match=rf"boxes.csv: frame {frame}: the turned box .* leaves"
        ):
            boxes.faces(frame, IMAGE)


def test_rows_of_frames_without_a_face(tmp_path: Path) -> None:
    rows = "0,0.0,,,,,,\n1,0.04,0,1,2,30,40,5\n2,0.08,,,,,,\n"
    boxes = BoxesFile(write(tmp_path, f"frame,time,face,left,top,right,bottom,roll\n{rows}"))
    assert [sorted(boxes.faces(frame, IMAGE)) for frame in range(3)] == [[], [0], []]


HEAD = "frame,left,top,right,bottom\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"columns \(none\): expected frame, left, top, right, bottom"),
        ("frame,x,y,w,h\n0,1,2,3,4\n", "missing: left, top, right, bottom"),
        (HEAD, "no boxes found"),
        (HEAD + "0,1,2,3\n", "line 2 has 4 columns, expected 5"),
        (HEAD + "0,1,2,x,4\n", "line 2: a box is 1, 2, x, 4: expected four numbers"),
        (HEAD + "0,1,2,nan,4\n", "line 2: a box is 1, 2, nan, 4: expected pixels"),
        (HEAD + "0,1,2,9,9\n-1,1,2,3,4\n", "line 3: frame is '-1', expected 0, 1, 2"),
        (HEAD + "0.5,1,2,3,4\n", "line 2: frame is '0.5'"),
        (HEAD + "0,10,2,10,4\n", "line 2: the box is empty: left 10 to right 10"),
        (HEAD + "0,1,4,10,3\n", "the box is empty: left 1 to right 10, top 4 to bottom 3"),
        (HEAD + "0,1,2,3,4\n0,5,6,7,8\n", "frame 0's second box; add a column face"),
        ("face," + HEAD + "1,0,1,2,3,4\n1,0,5,6,7,8\n", "line 3 is frame 0's second box."),
        ("roll," + HEAD + "x,0,1,2,3,4\n", "line 2: roll is 'x', expected degrees by which"),
        ("roll," + HEAD + "0,0,1,2,3,4\nnan,1,1,2,3,4\n", "line 3: roll is 'nan', expected"),
        ("roll," + HEAD + "-inf,0,1,2,3,4\n", "roll is '-inf', .* or nothing for an upright one"),
        ("face," + HEAD + "0,0,,,,\n", "line 2: a box is , , , : expected four numbers"),
        ("face," + HEAD + "ann,0,1,2,3,4\n", "face is 'ann', expected 0, 1, 2"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        BoxesFile(write(tmp_path, text))
    assert "boxes.csv" in str(error.value)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read boxes: No such file"):
        BoxesFile(tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="it is not text"):
        BoxesFile(tmp_path / "picture.csv")


def test_boxes_of_another_video(tmp_path: Path) -> None:
    boxes = BoxesFile(write(tmp_path, HEAD + "9,1,2,30,40\n2,200,2,230,40\n"))
    boxes.check_frames(10)
    with pytest.raises(InputError, match="a box in frame 9, but the video has 9 frames, 0 to 8"):
        boxes.check_frames(9)
    with pytest.raises(InputError, match="holds 10 frames, of which an edit list hides 3; the box"):
        boxes.check_frames(7, hidden=3)
    with pytest.raises(InputError, match="but the video has 7 frames"):
        boxes.check_frames(7, hidden=2)
    with pytest.raises(InputError, match=r"frame 2: the box .* leaves no face inside the frame"):
        boxes.faces(2, IMAGE)


def test_cropped_frames() -> None:
    detector = CroppedFrames()
    assert [face.box for face in detector.detect(IMAGE)] == [Box(0, 0, 80, 60)]
    tracker = FaceTracker(detector)
    assert [face.restart for _ in range(2) for face in tracker.step(IMAGE)] == [True, False]
    (face,) = tracker.step(np.zeros((50, 70, 3), dtype=np.uint8))  # crops may differ in size
    assert face.box == Box(0, 0, 70, 50)
    with pytest.raises(InputError, match="expected RGB"):
        tracker.step(np.zeros((50, 70), dtype=np.uint8))
