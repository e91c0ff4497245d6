"""The example that makes clips of photographs, and the plan that trains on them."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.data.clips import read_frame
from facemask.data.vw300_mask import read_split
from facemask.experiment.plan import read_plan

ROOT = Path(__file__).parents[2]


def make(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    script = str(ROOT / "examples" / "stills_as_clips.py")
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(script, run_name="__main__")


def write_stills(root: Path, test: tuple[str, ...]) -> None:
    random = np.random.default_rng(0)
    for folder in ("images_orig", "labels_orig", "data_splits/split_1"):
        (root / folder).mkdir(parents=True)
    for side, names in (("train", ("a_000001",)), ("val", ("b_000001",)), ("test", test)):
        lines = ""
        for name in names:
            image = random.integers(0, 256, (48, 40, 3)).astype(np.uint8)
            mask = np.zeros((48, 40), np.uint8)
            mask[10:40, 5:30] = 1
            cv2.imwrite(str(root / f"images_orig/{name}.jpg"), image)
            cv2.imwrite(str(root / f"labels_orig/{name}.png"), mask)
            lines += f"/images_orig/{name}.jpg /labels_orig/{name}.png\n"
        (root / f"data_splits/split_1/{side}_per10.txt").write_text(lines)


def test_photographs_become_clips_far_ones_with_the_same_motion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    write_stills(tmp_path / "data", ("c_000001", "d_000001"))
    make(monkeypatch, tmp_path / "data", near)
    make(monkeypatch, tmp_path / "data", far, "--reduce", "12")
    assert [frame.video for frame in read_split(near, "split_1", "train")] == ["a"]
    clips = [read_split(root, "split_1", "test") for root in (near, far)]
    found = [(frame.video, frame.number) for frame in clips[0]]
    assert found == [(video, number) for video in "cd" for number in range(1, 6)]
    for one, other in zip(*clips, strict=True):
        (image, mask), (small, same) = read_frame(one), read_frame(other)
        np.testing.assert_array_equal(mask, same)
        edges = [float(np.abs(cv2.Laplacian(i, cv2.CV_32F)).mean()) for i in (image, small)]
        assert edges[1] < edges[0] / 2


def test_videos_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stills(tmp_path / "data", ("c_000001", "c_000002"))
    with pytest.raises(SystemExit, match="c has several frames: give stills"):
        make(monkeypatch, tmp_path / "data", tmp_path / "clips")


def test_all_steps_of_the_plan_are_shown() -> None:
    plan = read_plan(ROOT / "configs" / "experiments" / "stills.yaml")
    assert {row.step for table in plan.tables for row in table.rows} == set(plan.steps)
