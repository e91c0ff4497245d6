"""Synthetic videos of a cheap camera that is far away."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facemask.boxes import face_crop_box
from facemask.data.synthetic import render_video, synthesize
from facemask.errors import InputError

SMALL: dict[str, Any] = {"seconds": 0.1, "width": 128, "height": 96, "workers": 1}


def test_every_frame_is_spoilt_and_the_points_stay() -> None:
    for index in range(3):
        options: dict[str, Any] = {"category": index + 1, "frames": 3, "width": 400, "height": 320}
        near, far, again = (
            list(render_video(2, index, **options, hard=hard)) for hard in (False, True, True)
        )
        for (frame, points), (spoilt, same), (bits, _) in zip(near, far, again, strict=True):
            np.testing.assert_array_equal(points, same)
            np.testing.assert_array_equal(spoilt, bits)
            rows, columns = face_crop_box(points, *frame.shape[:2]).pixels
            face = spoilt[rows, columns].astype(np.float32)
            assert 5 < face.mean() < 0.7 * 160  # dark
            # reduced to 60 pixels and enlarged again it has lost next to nothing
            small = cv2.resize(face, (60, 60), interpolation=cv2.INTER_AREA)
            restored = cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            assert np.abs(face - restored).mean() < 2.5
            assert np.abs(face - frame[rows, columns]).mean() > 10


def test_each_video_has_faults_of_its_own() -> None:
    means = []
    for index in range(4):
        frame, _ = next(render_video(2, index, category=1, width=160, height=128, hard=True))
        clean, _ = next(render_video(2, index, category=1, width=160, height=128))
        means.append(frame.mean() / clean.mean())
    assert 0.3 < min(means) < max(means) - 0.05 < 0.7


def test_a_folder_is_of_one_camera(tmp_path: Path) -> None:
    synthesize(tmp_path, videos=1, **SMALL)
    file = tmp_path / "synth.json"
    settings = json.loads(file.read_text())
    del settings["hard"]  # a folder of before there was a choice
    file.write_text(json.dumps(settings))
    synthesize(tmp_path, videos=2, **SMALL)
    with pytest.raises(InputError, match="hard False, not True"):
        synthesize(tmp_path, videos=3, **SMALL, hard=True)
