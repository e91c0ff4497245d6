"""Photos of the page: the files are those of `facemask extract`."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.app.extraction import Choices, Extractions
from facemask.app.photos import PhotoResult, label_photos, redraw, zipped
from facemask.classes import FACE_CLASSES
from facemask.cli import main
from facemask.errors import InputError
from facemask.files import read_image
from facemask.video.look import Look
from tests.extraction.faces import paint, paint_labels

CROPPED = Choices("small", "off", "auto", cropped=True)


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A PNG, and a JPEG of another size."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, side in (("anna.png", 64), ("ben.jpg", 80)):
        picture = paint(paint_labels(side, side, side / 2, side / 2, side - 4))
        cv2.imwrite(str(folder / name), picture[..., ::-1])
    return [folder / "anna.png", folder / "ben.jpg"]


def label(model: Path, photos: list[Path], tmp_path: Path) -> PhotoResult:
    results = tmp_path / "results"
    results.mkdir(exist_ok=True)
    return label_photos(Extractions({"small": model}, results, "cpu"), photos, CROPPED, ignore)


def test_files_are_those_of_the_command(model: Path, photos: list[Path], tmp_path: Path) -> None:
    result = label(model, photos, tmp_path)
    assert [file.name for file in result.files(FACE_CLASSES)] == [
        "photos.csv", "anna.overlay.png", "anna.labels.png", "anna.alpha.png",
        "ben.overlay.jpg", "ben.labels.png", "ben.alpha.png",
    ]  # fmt: skip
    main(
        ["extract", *map(str, photos), "--model", str(model), "-o", str(tmp_path / "out"),
         "--save", "overlay,labels,alpha,csv", "--cropped", "true", "--device", "cpu"]
    )  # fmt: skip
    for file in result.files(FACE_CLASSES):
        assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes(), file.name
    with result.table.open(newline="") as table:
        assert [row["picture"] for row in csv.DictReader(table)] == ["anna.png", "ben.jpg"]
    assert (result.with_face, result.problems) == (2, [])
    with Image.open(result.jobs[0].paths["labels"]) as image:
        assert image.mode == "P"


def test_overlays_are_drawn_anew_from_the_saved_labels(
    model: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = label(model, photos, tmp_path)
    monkeypatch.setattr(Extractions, "extractor", None)  # no network is asked again
    anna, ben = redraw(result, ("lips",))
    assert (anna.name, ben.name) == ("anna.overlay.png", "ben.overlay.jpg")
    image = read_image(photos[0])
    with Image.open(result.jobs[0].paths["labels"]) as file:
        labels = np.asarray(file)
    lips = np.where(labels == 3, labels, 0).astype(np.uint8)
    expected = Look().paint(image, lips, result.numbers[0])
    np.testing.assert_array_equal(read_image(anna), expected)
    assert result.files(("lips",))[1] == anna
    before = anna.stat().st_mtime_ns
    assert redraw(result, ("lips",))[0].stat().st_mtime_ns == before
    assert zipped(result, ("lips",)).stat().st_size > anna.stat().st_size + ben.stat().st_size
    assert zipped(result, ("lips",)) != zipped(result, FACE_CLASSES)


def test_one_that_is_broken_does_not_hold_up_the_others(
    model: Path, photos: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.webp"
    broken.write_bytes(b"no picture")
    result = label(model, [broken, *photos], tmp_path)
    assert [job.name for job in result.jobs] == ["anna", "ben"]
    (problem,) = result.problems
    assert problem.startswith(f"{broken}: ")
    with pytest.raises(InputError, match=r"broken\.webp: "):
        label(model, [broken], tmp_path)


def test_wrong_input_leaves_no_file(
    model: Path, photos: list[Path], clip: Path, tmp_path: Path
) -> None:
    heic = tmp_path / "phone.HEIC"
    heic.write_bytes(b"ftypheic")
    with pytest.raises(InputError, match=r"phone\.HEIC: a picture of a format that is not read"):
        label(model, [heic], tmp_path)
    with pytest.raises(InputError, match=r"clip\.mp4: is no photo: give a video under Video"):
        label(model, [*photos, clip], tmp_path)

    def stop(done: int, total: int | None) -> None:
        raise RuntimeError("enough")

    extractions = Extractions({"small": model}, tmp_path / "results", "cpu")
    with pytest.raises(RuntimeError, match="enough"):
        label_photos(extractions, photos, CROPPED, stop)
    assert list((tmp_path / "results").iterdir()) == []
