"""Sides that `facemask prepare` puts videos on, and marks that go with the data."""

import shutil
from pathlib import Path

import pytest

from facemask.cli import main
from facemask.data.landmarks import write_pts
from facemask.data.prepare import prepare
from tests.conftest import draw_frame, frame_points, write_video
from tests.data.test_prepare import copy_videos


def test_the_mark_of_pseudo_landmarks_goes_with_the_data(
    vw300_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = copy_videos(vw300_root, tmp_path / "in", "001")
    (source / "PSEUDO_LANDMARKS.md").write_text("by dlib")
    prepare(source, tmp_path / "out")
    assert (tmp_path / "out" / "PSEUDO_LANDMARKS.md").read_text() == "by dlib"
    said = " ".join(capsys.readouterr().out.split())
    assert "PSEUDO_LANDMARKS.md, which also says what clip each video is)." in said
    (source / "PSEUDO_LANDMARKS.md").unlink()
    prepare(source, tmp_path / "out")
    assert not (tmp_path / "out" / "PSEUDO_LANDMARKS.md").exists()


def test_a_further_video_moves_nobody(vw300_root: Path, tmp_path: Path) -> None:
    def sides() -> dict[str, str]:
        found: dict[str, str] = {}
        for side in ("train", "val", "test"):
            path = tmp_path / "out" / "data_splits" / "split_1" / f"{side}_per10.txt"
            lines = path.read_text().splitlines()
            found |= {line.split("/")[2].partition("_")[0]: side for line in lines}
        return found

    source = copy_videos(vw300_root, tmp_path / "in", "001", "002", "004")
    prepare(source, tmp_path / "out")
    before = sides()
    assert sorted(before.values()) == ["test", "train", "val"]
    shutil.copytree(vw300_root / "003", source / "005")
    prepare(source, tmp_path / "out", seed=1)
    assert sides() == before | {"005": "train"}
    draws = []
    for seed in range(4):
        prepare(source, tmp_path / "out", seed=seed, resplit=True)
        draws.append(sides())
    assert any(draw[video] != side for draw in draws for video, side in before.items())


def test_two_subjects_are_split_by_time(
    vw300_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    for name in ("001", "002"):  # six seconds each
        (source / name / "annot").mkdir(parents=True)
        frames = [draw_frame(frame_points("001", n), n) for n in range(1, 181)]
        write_video(source / name / "vid.avi", frames)
        for number in range(1, 181):
            points = frame_points("001", number)
            write_pts(source / name / "annot" / f"{number:06d}.pts", points)
    prepare(source, tmp_path / "out", fraction=1)
    assert "each video of 5 seconds and more is split by time" in capsys.readouterr().out
    for side, first in (("train", 1), ("val", 91), ("test", 151)):
        path = tmp_path / "out" / "data_splits" / "split_1" / f"{side}_per10.txt"
        lines = path.read_text().splitlines()
        numbers = [int(line.split(".jpg")[0][-6:]) for line in lines]
        assert (min(numbers), len(lines)) == (first, 2 * (60 if side == "train" else 30))
    main(["show", str(tmp_path / "out"), "--side", "train", "--out", str(tmp_path / "s.png")])
    assert (tmp_path / "s.png").stat().st_size > 0
