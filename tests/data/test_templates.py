from pathlib import Path

import numpy as np
import pytest

from facemask.boxes import face_crop_box
from facemask.cli import main
from facemask.data.landmarks import LANDMARK_GROUPS, write_pts
from facemask.data.masks import landmarks_to_mask
from facemask.data.templates import landmarks_of_template, read_tem
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.files import write_image
from tests.data.templates import JAW, template_of, write_tem
from tests.faces import Points, face_points


def face(seed: int, size: float = 300.0) -> Points:
    return face_points(np.random.default_rng(seed), size, (220.0, 200.0), jitter=0.004)


def picture(path: Path) -> None:
    write_image(path, np.full((400, 440, 3), 90, np.uint8))


@pytest.mark.parametrize("seed", range(6))
def test_a_known_face_comes_back(tmp_path: Path, seed: int) -> None:
    points = face(seed)
    read = read_tem(write_tem(tmp_path / "a.tem", template_of(points), "2\n1\n0\n3\n18 19 20\n"))
    assert read.dtype == np.float64
    off = np.hypot(*(read - points).T) / 300  # some along the line, where iBUG's are less even
    tolerance = {"jaw": 0.07, "right_eye": 0.02, "left_eye": 0.02, "outer_lips": 1e-4,
                 "nose_bridge": 1e-4, "nose_base": 1e-4}  # fmt: skip
    for name, most in tolerance.items():
        assert off[LANDMARK_GROUPS[name]].max() < most, name
    assert np.abs(read[[0, 16, 36, 39, 42, 45]] - points[[0, 16, 36, 39, 42, 45]]).max() < 0.01
    masks = [landmarks_to_mask(p, 400, 440) for p in (read, points)]
    for class_id, least in ((1, 0.98), (2, 0.93), (3, 0.95), (4, 0.87)):
        inside = [mask == class_id for mask in masks]
        assert (inside[0] & inside[1]).sum() > least * (inside[0] | inside[1]).sum(), class_id


def test_places_on_lines_by_length_of_arc() -> None:
    template = template_of(face(0))
    # jaw: a half circle about (200, 100), points at uneven angles; evenly by arc are even angles
    angles = np.pi - np.pi * np.linspace(0, 1, len(JAW)) ** 1.2
    template[JAW] = np.stack([200 + 150 * np.cos(angles), 100 + 150 * np.sin(angles)], axis=1)
    # right eye's upper lid and the brows: straight lines
    template[[18, 19, 20, 21, 22]] = [[100, 90], [106, 90], [112, 90], [120, 90], [130, 90]]
    template[range(71, 77)] = [[x, 60.0] for x in (80, 90, 120, 130, 150, 180)]
    template[range(77, 83)] = [[x, 61.0] for x in (220, 230, 240, 260, 310, 320)]
    points = landmarks_of_template(template)
    even = np.pi - np.pi * np.arange(17) / 16
    jaw = np.stack([200 + 150 * np.cos(even), 100 + 150 * np.sin(even)], axis=1)
    np.testing.assert_allclose(points[:17], jaw, atol=0.05)
    np.testing.assert_allclose(
        points[36:40], [[100, 90], [110, 90], [120, 90], [130, 90]], atol=0.3
    )
    np.testing.assert_allclose(points[17:22, 0], [80, 103, 126, 149, 172], atol=0.3)
    np.testing.assert_allclose(points[22:27, 0], [228, 251, 274, 297, 320], atol=0.3)


@pytest.mark.parametrize("roll", [0.0, 2.5])
def test_the_inside_of_the_mouth(roll: float) -> None:
    template = template_of(face(1))
    template[87:94] = [[0, 0], [20, -8], [40, -12], [50, -10], [60, -12], [80, -8], [100, 0]]
    template[94:99] = [[x, -4.0] for x in (20, 35, 50, 65, 80)]
    template[99:104] = [[20, 6], [35, 6], [50, 4], [65, -6], [80, -6]]
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    points = landmarks_of_template(template @ turn) @ turn.T
    inner = points[60:68]
    assert inner[0, 0] == pytest.approx(7, abs=1)
    assert inner[4, 0] == pytest.approx(93, abs=1)
    assert abs(inner[[0, 4], 1]).max() < 2.5  # the middle of both lines
    assert inner[2] == pytest.approx([50, -4], abs=0.6)
    assert inner[6] == pytest.approx([51.2, 3.2], abs=0.6)  # by hand, on straight pieces
    np.testing.assert_allclose(inner[3], inner[5])  # the lines cross there: both in their middle
    assert inner[3] == pytest.approx([63, -4.5], abs=1)


def test_points_that_coincide() -> None:
    template = template_of(face(0))
    template[[18, 19, 20, 21, 22]] = [40, 50]  # an eye that is a point
    template[[28, 29, 30]] = [40, 50]
    template[95] = template[96]  # two points of the lips' inside
    points = landmarks_of_template(template)
    np.testing.assert_allclose(points[36:42], np.tile([40.0, 50.0], (6, 1)))
    assert np.isfinite(points).all()


def test_prepare_takes_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for seed, suffix in ((0, ".tem"), (1, ".TEM"), (2, ".pts")):
        picture(source / f"{seed}.png")
        if suffix == ".pts":
            write_pts(source / "2.pts", face(2))
        else:
            write_tem(source / f"{seed}{suffix}", template_of(face(seed)))
    picture(source / "3.png")
    main(["prepare", str(source), str(out), "--fraction=1", "--workers=0"])
    said = capsys.readouterr().out
    assert "pictures without a landmark file: 1 (3.png)" in said
    for seed in range(3):
        found = read_label(out / f"labels_orig/{seed}_000001.png")
        points = face(seed) if seed == 2 else read_tem(next(source.glob(f"{seed}.[tT]*")))
        box = face_crop_box(points, 400, 440)
        np.testing.assert_array_equal(found, landmarks_to_mask(points, 400, 440)[box.pixels])


def test_two_landmark_files_of_one_still_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "a.png")
    write_pts(tmp_path / "a.pts", face(0))
    write_tem(tmp_path / "a.tem", template_of(face(0)))
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path), str(tmp_path / "out")])
    assert "a.tem: annotates the same picture as a.pts; remove one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("179\n" + "1 2\n" * 179, "has 179 points, expected 189: other templates"),
        ("", "has no number of points, expected 189"),
        ("189\n" + "1 2\n" * 188, "truncated template: 188 points"),
        ("189\n" + "1 2\n" * 9 + "1\n" + "1 2\n" * 179, "point 10 is '1', expected 'x y'"),
        ("189\n" + "1 2\n" * 188 + "1 b\n", "not a number"),
        ("189\n" + "1 2\n" * 188 + "1 inf\n", "not finite"),
    ],
)
def test_bad_templates_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.tem"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_tem(path)
    assert str(path) in str(error.value)


def test_another_order_missing_and_binary_files(tmp_path: Path) -> None:
    template = template_of(face(0))
    template[[109, 112, 129]] = template[[112, 129, 109]]
    with pytest.raises(InputError, match="another order than Psychomorph's"):
        read_tem(write_tem(tmp_path / "order.tem", template))
    with pytest.raises(InputError, match="No such file"):
        read_tem(tmp_path / "none.tem")
    (tmp_path / "image.tem").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="not text"):
        read_tem(tmp_path / "image.tem")
