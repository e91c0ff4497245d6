"""`extract --smallest_face` on a real face that is small in its picture."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.cli import main
from facemask.video import open_source
from tests.extraction.faces import random_cascade
from tests.video.videos import carphone


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    pytest.importorskip("dlib")
    with open_source(carphone()) as source:
        face = next(iter(source)).image  # a face of about 80 pixels
    scene = np.full((720, 1280, 3), 90, dtype=np.uint8)
    scene[300:444, 700:876] = face
    Image.fromarray(scene).save(tmp_path / "scene.png")
    monkeypatch.chdir(tmp_path)
    random_cascade().save(tmp_path / "model.safetensors")
    return ["extract", "scene.png", "--model", "model.safetensors", "--detector", "dlib",
            "--save", "csv"]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "found"),
    [([], False), (["--smallest_face", "0.05"], True), (["--smallest_face", "0.3"], False)],
)
def test_a_small_face(option: list[str], found: bool, arguments: list[str]) -> None:
    main([*arguments, *option])
    with Path("masks/scene.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    if not found:
        assert row["face"] in ("", None)
        return
    assert 700 <= int(row["left"]) < int(row["right"]) <= 876
    assert 300 <= int(row["top"]) < int(row["bottom"]) <= 444
    assert 60 < int(row["right"]) - int(row["left"]) < 130


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--smallest_face", "0"], "smallest is 0.0: give the smallest face's share"),
        (["--smallest_face", "20"], "smallest is 20.0: give the smallest face's share"),
        (["--cropped", "--detector", "auto", "--smallest_face", "0.1"],
         "--smallest_face is for a detector, not for --boxes or --cropped."),
    ],
)  # fmt: skip
def test_wrong_sizes(
    options: list[str], message: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, *options])
    assert message in capsys.readouterr().err
