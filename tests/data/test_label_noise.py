"""The example that tells which scores the landmarks' own noise allows."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from facemask.data.landmarks import write_pts
from facemask.files import write_image
from tests.faces import face_points

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def annotations(tmp_path: Path) -> list[Path]:
    files = []
    for number, (size, shut) in enumerate(((600, True), (200, False), (250, False))):
        points = face_points(np.random.default_rng(number), size, (size, size), jitter=0)
        if shut:
            points[[67, 66, 65]] = points[61:64]
        files.append(tmp_path / f"{number}.pts")
        write_pts(files[-1], points)
        write_image(files[-1].with_suffix(".jpg"), np.zeros((2 * size, 2 * size, 3), np.uint8))
    return files


def test_scores_fall_with_noise_and_most_for_the_line_of_a_shut_mouth(
    annotations: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    score_noise = runpy.run_path(str(EXAMPLES / "label_noise.py"))["score_noise"]
    scores, images = score_noise(annotations, 0.0, 300)
    assert images == {"all": 3, "eyes: open": 3, "mouth: shut": 1, "mouth: open": 2}
    none = scores["all"].compute()
    assert none["miou"] == none["iou_eyes"] == 1
    little, much = (score_noise(annotations, noise, 300)[0] for noise in (0.25, 1.0))
    assert 1 > little["all"].compute()["iou_eyes"] > much["all"].compute()["iou_eyes"] > 0.3
    found = much["all"].compute()
    assert found["iou_skin"] > found["iou_lips"]
    assert much["mouth: shut"].compute()["iou_inner_mouth"] < 0.1
    assert much["mouth: open"].compute()["iou_inner_mouth"] > 0.3
