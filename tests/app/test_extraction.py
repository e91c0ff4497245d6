import csv
from pathlib import Path

import numpy as np
import pytest

from facemask.app.extraction import Choices, Extractions
from facemask.errors import InputError
from facemask.video import open_source

CROPPED = Choices("small", "window", "auto", cropped=True)


def ignore(done: int, total: int | None) -> None:
    pass


def test_all_files_of_one_video(model: Path, clip: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    extractions = Extractions({"small": model}, tmp_path, "cpu")
    result = extractions.run(clip, CROPPED, lambda *values: told.append(values))
    assert told == [(n, 15) for n in range(1, 16)]
    assert (result.frames, result.with_face, result.roll, result.problem) == (15, 15, 0.0, None)
    assert result.seconds > 0
    assert {kind: path.name for kind, path in result.files.items()} == {
        "overlay": "clip.overlay.mp4", "csv": "clip.csv", "labels": "clip.labels.mkv",
        "npz": "clip.labels.npz", "plot": "clip.signals.png",
    }  # fmt: skip
    with result.files["csv"].open(newline="") as file:
        assert [row["face"] for row in csv.DictReader(file)] == ["0"] * 15
    assert np.load(result.files["npz"])["000015"].shape == (64, 64)
    with open_source(str(result.files["overlay"])) as overlay:
        assert sum(1 for _ in overlay) == 15
    assert result.files["plot"].read_bytes().startswith(b"\x89PNG")

    again = extractions.run(clip, CROPPED, ignore)  # into a folder of its own
    assert again.files["csv"].parent != result.files["csv"].parent
    assert again.files["csv"].read_bytes() == result.files["csv"].read_bytes()


def test_only_the_model_used_last_stays_in_memory(model: Path, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(model.read_bytes())
    extractions = Extractions({"small": model, "other": other}, tmp_path, "cpu")
    extractions.run(clip, CROPPED, ignore)
    other.write_text("no model")
    with pytest.raises(InputError, match=r"other\.safetensors: "):
        extractions.run(clip, Choices("other", "off", "auto", cropped=True), ignore)
    extractions.run(clip, CROPPED, ignore)


def test_what_ends_early_leaves_no_file(model: Path, clip: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 7:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        Extractions({"small": model}, tmp_path, "cpu").run(clip, CROPPED, stop)
    assert list(tmp_path.iterdir()) == []


def test_wrong_input(model: Path, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    extractions = Extractions({"small": model}, tmp_path, "cpu")
    cases = {
        r"broken\.mp4: ": (broken, CROPPED),
        "the model is 'large': choose": (clip, Choices("large", "off", "auto", cropped=True)),
        "temporal is 'past'": (clip, Choices("small", "past", "auto", cropped=True)),
        "the detector is 'eyes'": (clip, Choices("small", "off", "eyes", cropped=False)),
    }
    for said, (video, choices) in cases.items():
        with pytest.raises(InputError, match=said):
            extractions.run(video, choices, ignore)
    assert list(tmp_path.iterdir()) == [broken]
    with pytest.raises(InputError, match=r"broken\.mp4: "):  # the only model: told at once
        Extractions({"broken": broken}, tmp_path, "cpu")
    with pytest.raises(InputError, match="device 'tpu'"):
        Extractions({"small": model}, tmp_path, "tpu")
