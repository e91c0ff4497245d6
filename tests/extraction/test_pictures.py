"""Results of pictures carry their names."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.cli import main
from facemask.errors import InputError
from facemask.extraction import outputs
from facemask.video import LabelFolderWriter, VideoFrame, open_source
from tests.extraction.faces import paint, paint_labels, random_cascade

SAVE = "csv,png,npz"
PICTURES = {  # in natural order, with the name of what is made from each
    "img_2.jpg": "img_2.jpg",
    "img_2.png": "img_2.png",
    "img_10.png": "img_10",
    "Smith, J. #1.png": "Smith, J. #1",
    "x.y.png": "x.y",
    "x.png": "x",
    "x.npy.png": "x.npy.png",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    random_cascade().save(tmp_path / "model.safetensors")
    Path("shots").mkdir()
    for number, name in enumerate(PICTURES):
        cv2.imwrite(f"shots/{name}", paint(paint_labels(48, 48, 20 + number, 24, 40)))
    return "shots"


def extract(*arguments: str) -> None:
    main(["extract", *arguments, "--model", "model.safetensors", "--cropped", "--save", SAVE])


def check(name: str, expected: dict[str, str]) -> None:
    with Path(f"masks/{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == list(expected)
    arrays = np.load(f"masks/{name}.labels.npz")
    assert list(arrays) == list(expected.values())
    files = Path(f"masks/{name}.labels")
    assert {path.name for path in files.iterdir()} == {f"{label}.png" for label in arrays}
    for row, (label, array) in zip(rows, arrays.items(), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(files / f"{label}.png")), array)
        assert (array == 1).sum() == int(row["area_skin"])


def test_a_folder(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [str(frame.picture) for frame in open_source(folder)]
    assert sorted(order) == sorted(PICTURES)
    expected = {name: PICTURES[name] for name in order}
    extract(folder, "--as", "video")
    check("shots", expected)
    extract(folder, "--as", "video")  # its own folder is replaced
    check("shots", expected)
    monkeypatch.setattr(outputs, "PART_FRAMES", 2)
    extract(folder, "--as", "video")
    check("shots", expected)


def test_one_picture(folder: str) -> None:
    extract(f"{folder}/img_2.jpg", "--as=video")
    check("img_2", {"img_2.jpg": "img_2"})


def test_names_that_would_meet_again(folder: str) -> None:
    image = paint(paint_labels(48, 48, 24, 24, 40))
    for name in ("a.jpg", "a.png", "a.jpg.png", "B.png", "b.png"):
        cv2.imwrite(f"{folder}/{name}", image)
    labels = {str(frame.picture): str(frame.label) for frame in open_source(folder)}
    assert len({label.casefold() for label in labels.values()}) == len(PICTURES) + 5
    assert (labels["a.png"], labels["a.jpg.png"]) == ("a.png", "a.jpg")


def test_a_folder_of_other_pictures_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "own"
    target.mkdir()
    Image.new("P", (4, 4)).save(target / "mine.png")
    with pytest.raises(InputError, match=r"holds other files, such as mine\.png"):
        LabelFolderWriter(target)
    (target / "mine.png").unlink()
    frame = VideoFrame(0, 0.0, np.zeros((2, 2, 3), np.uint8), "ours.jpg", "ours")
    for _ in range(2):
        with LabelFolderWriter(target) as writer:
            writer.write(frame, np.zeros((2, 2), np.uint8))
    assert [path.name for path in target.iterdir()] == ["ours.png"]
