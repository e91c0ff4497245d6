"""Hidden landmarks: none of a real face's is taken for one, all that are marked are found."""

import csv
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.cli import main
from facemask.data.hidden import hidden_points
from facemask.data.landmarks import HiddenLandmarksError, read_pts, write_pts
from facemask.data.synthetic.person import Expression, Identity
from facemask.data.synthetic.shape import FaceShape, contour
from tests.faces import Points, face_points

JAW, RIGHT_EYE, LEFT_EYE = range(17), range(36, 42), range(42, 48)
PROFILE = [*range(8, 17), *range(22, 27), *range(34, 36), *range(42, 48), *range(52, 58), 64]


def turned(seed: int, yaw: float, size: float = 60, at: tuple[float, float] = (150, 140)) -> Points:
    """A made-up face turned aside, `size` pixels between its pupils."""
    rng = np.random.default_rng(seed)
    shape = FaceShape(Identity.sample(rng))
    geometry = shape.deform(Expression(jaw_open=float(rng.uniform(0, 1))))
    angle = np.deg2rad(yaw)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0]])
    points = geometry.landmarks @ turn.T
    points[:17] = contour(geometry.chains[:17] @ turn.T)
    placed: Points = points * size + at
    return placed


FACES = [
    *(face_points(np.random.default_rng(s), 100, (100, 100)) for s in range(12)),
    *(face_points(np.random.default_rng(s), 20, (12, 13)) for s in range(6)),  # tiny, in the corner
    *(turned(s, yaw) for s in range(3) for yaw in (-70, -40, 0, 25, 55)),
]


@pytest.mark.parametrize("points", FACES)
def test_a_whole_face_has_none(points: Points) -> None:
    assert hidden_points(points) == []
    half_outside = points - points.mean(axis=0)  # the picture's corner is the middle of the face
    assert hidden_points(half_outside) == []
    assert hidden_points(points * (1.5, 1)) == []  # pixels that are not square


def test_shut_eyes_and_mouth_have_none() -> None:
    for points in FACES:
        shut = points.copy()
        for above, below in ((37, 41), (38, 40), (43, 47), (44, 46), (61, 67), (62, 66), (63, 65)):
            shut[above] = shut[below] = (points[above] + points[below]) / 2
        assert hidden_points(shut) == []


# -1: "0 0" in a file that counts from 1; -2: "-1 -1"; 0: "0 0" of a program that counts from 0
@pytest.mark.parametrize("value", [0.0, -1.0, -2.0, -3.0, -11.0, -1001.0, 9999.0])
@pytest.mark.parametrize("where", [JAW, RIGHT_EYE, LEFT_EYE, PROFILE, range(48, 68), [37], [8]])
def test_marked_points_are_found(where: range | list[int], value: float) -> None:
    for points in (face for face in FACES if np.ptp(face, axis=0).max() > 40):
        marked = points.copy()
        marked[list(where)] = value
        assert set(hidden_points(marked)) >= {index + 1 for index in where}


@pytest.mark.parametrize("count", [1, 2, 5, 12, 25])
def test_negated_points_are_found(count: int) -> None:
    rng = np.random.default_rng(count)
    for points in (face for face in FACES if face.min() > 5):
        chosen = rng.choice(68, count, replace=False)
        marked = points.copy()
        marked[chosen] = -(marked[chosen] + 1) - 1
        assert hidden_points(marked) == sorted(int(index) + 1 for index in chosen)


def test_every_single_point_of_a_tiny_face() -> None:
    points = face_points(np.random.default_rng(1), 20, (30, 32))
    for index in range(68):
        marked = points.copy()
        marked[index] = -2
        assert hidden_points(marked) == [index + 1]


def test_no_face_at_all() -> None:
    assert hidden_points(np.full((68, 2), -1.0)) == list(range(1, 69))
    assert hidden_points(np.full((68, 2), 57.5)) == list(range(1, 69))


def test_read_pts_names_file_and_points(tmp_path: Path) -> None:
    points = face_points(np.random.default_rng(2), 100, (100, 100))
    points[[3, *RIGHT_EYE]] = -2
    write_pts(tmp_path / "a.pts", points)
    sentence = r"a\.pts: points 4, 37-42 cannot be at \(-1\.000000 -1\.000000\) in this face"
    with pytest.raises(HiddenLandmarksError, match=sentence) as error:
        read_pts(tmp_path / "a.pts")
    assert error.value.points == [4, *range(37, 43)]
    again = pickle.loads(pickle.dumps(error.value))  # as from a worker process
    assert (str(again), again.points) == (str(error.value), error.value.points)
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts", allow_hidden=True), points, atol=1e-6)
    text = (tmp_path / "a.pts").read_text().replace("-1.000000 -1.000000", "nan nan")
    (tmp_path / "b.pts").write_text(text)
    with pytest.raises(HiddenLandmarksError, match=r"points 4, 37-42 is not finite") as error:
        read_pts(tmp_path / "b.pts", allow_hidden=True)
    assert error.value.points == [4, *range(37, 43)]


def write_still(path: Path, points: Points) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((200, 200, 3), 99, np.uint8))
    write_pts(path.with_suffix(".pts"), points)


def test_prepare_leaves_hidden_stills_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, points = tmp_path / "src", face_points(np.random.default_rng(2), 100, (100, 100))
    for number, where in enumerate(([], [], [], JAW, RIGHT_EYE, [3, 40])):
        marked = points.copy()
        marked[list(where)] = -2
        write_still(source / f"{number}.png", marked)
    main(["prepare", str(source), str(tmp_path / "out"), "--workers", "0"])
    text = "".join(p.read_text() for p in (tmp_path / "out").glob("data_splits/split_1/*.txt"))
    assert sorted(line.split("/")[2][:1] for line in text.splitlines()) == ["0", "1", "2"]
    assert len(list((tmp_path / "out" / "labels_orig").iterdir())) == 3
    assert (
        "Not used: faces with hidden landmarks: 3 (3 frame 1: points 1-17, 4 frame 1: points "
        "37-42, 5 frame 1: points 4, 41)." in capsys.readouterr().out
    )
    with (tmp_path / "out" / "hidden_landmarks.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["video", "frame", "points"]
    assert rows[2] == ["4", "1", "37 38 39 40 41 42"]
    # once completed, it is used, and the list goes
    for number in (3, 4, 5):
        write_pts(source / f"{number}.pts", points)
    main(["prepare", str(source), str(tmp_path / "out"), "--workers", "0"])
    assert len(list((tmp_path / "out" / "labels_orig").iterdir())) == 6
    assert not (tmp_path / "out" / "hidden_landmarks.csv").exists()


def test_prepare_with_nothing_but_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_still(tmp_path / "src" / "a.png", np.full((68, 2), -1.0))
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--workers", "0"])
    assert "every face has hidden landmarks" in " ".join(capsys.readouterr().err.split())


def test_prepare_leaves_hidden_frames_of_a_video_out(
    vw300_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(vw300_root / "003", tmp_path / "src" / "003")
    annotation = tmp_path / "src" / "003" / "annot" / "000007.pts"
    points = read_pts(annotation)
    points[list(RIGHT_EYE)] = -1
    write_pts(annotation, points)
    main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--fraction", "1"])
    assert "003 frame 7: points 37-42" in capsys.readouterr().out
    names = [p.stem for p in (tmp_path / "out" / "images_orig").iterdir()]
    assert sorted(names) == [f"003_{n:06d}" for n in range(1, 13) if n != 7]
