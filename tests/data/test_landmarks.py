from pathlib import Path

import numpy as np
import pytest

from facemask.data.landmarks import LANDMARK_GROUPS, read_pts, write_pts
from facemask.errors import InputError

POINTS = np.arange(136, dtype=np.float64).reshape(68, 2) * 1.5 - 3.25  # some outside the frame
LINES = [f"{x + 1} {y + 1}" for x, y in POINTS]
BODY = "\n".join(LINES)


@pytest.mark.parametrize(
    "text",
    [
        f"version: 1\nn_points: 68\n{{\n{BODY}\n}}\n",  # 300VW
        f"version: 1\r\nn_points:  68\r\n{{\r\n{BODY}\r\n}}",  # 300-W, Windows line ends
        f"version: 1 n_points: 68 {{\n{BODY}\n}}\n\n",  # header in one line
        BODY,  # headerless iBUG
        "\n" + BODY.replace(" ", ",  ") + "\n",
    ],
)
def test_reads_every_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "face.pts"
    path.write_bytes(text.encode())
    points = read_pts(path, allow_hidden=True)  # no face, but numbers that tell order and offset
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, POINTS)


def test_files_count_from_one(tmp_path: Path) -> None:
    write_pts(tmp_path / "a.pts", POINTS)
    assert (tmp_path / "a.pts").read_text().splitlines()[3] == "-2.250000 -0.750000"
    read = read_pts(tmp_path / "a.pts", allow_hidden=True)
    np.testing.assert_allclose(read, POINTS, atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pts"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"version: 1\nn_points: 68\n{{\n{BODY}", "closing '}' is missing"),
        (f"version: 1\nn_points: 67\n{{\n{BODY}\n}}", "n_points: 67, expected 68"),
        ("n_points: 68\n{\n" + "\n".join(LINES[:67]) + "\n}", "67 points found, expected 68"),
        ("\n".join([*LINES[:67], "1 2 3"]), "point 68 is '1 2 3', expected 'x y'"),
        ("\n".join([*LINES[:67], "1 two"]), "not a number"),
        ("\n".join([*LINES[:3], "NaN 5", *LINES[4:]]), r"point 4 is not finite \(NaN 5\)"),
        ("", "0 points found"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.pts"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_pts(path)
    assert str(path) in str(error.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_pts(tmp_path / "none.pts")
    (tmp_path / "image.pts").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="not text"):
        read_pts(tmp_path / "image.pts")


@pytest.mark.parametrize("points", [POINTS[:67], POINTS[None], np.full((68, 2), np.nan)])
def test_write_refuses_what_is_no_face(tmp_path: Path, points: np.ndarray) -> None:
    with pytest.raises(InputError):
        write_pts(tmp_path / "a.pts", points)
    assert list(tmp_path.iterdir()) == []


def test_groups_are_the_68_points_in_order() -> None:
    indices = [i for group in LANDMARK_GROUPS.values() for i in range(68)[group]]
    assert indices == list(range(68))
    sizes = [len(range(68)[group]) for group in LANDMARK_GROUPS.values()]
    assert sizes == [17, 5, 5, 4, 5, 6, 6, 12, 8]
