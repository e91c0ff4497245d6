"""Photographs: results of each, one table for all."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.classes import PALETTE
from facemask.cli import main
from facemask.extraction import FaceMaskExtractor
from facemask.files import read_image
from facemask.models import Cascade
from facemask.tracking.detectors import CroppedFrames
from tests.extraction.faces import paint, paint_labels, random_cascade

SIZES = {"anna.jpg": (48, 64), "ben.png": (72, 56), "cleo.webp": (48, 48)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    random_cascade().save(tmp_path / "model.safetensors")
    Path("in").mkdir()
    for n, (name, (height, width)) in enumerate(SIZES.items()):
        cv2.imwrite(f"in/{name}", paint(paint_labels(height, width, 22 + n, 26, 40)))
    return "in"


def extract(*arguments: str, cropped: bool = True) -> None:
    given = ["--cropped"] if cropped else []
    main(["extract", *arguments, "--model", "model.safetensors", *given])


def rows(name: str) -> list[dict[str, str]]:
    with Path(f"masks/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def visible() -> list[str]:
    return sorted(path.name for path in Path("masks").iterdir() if path.name[0] != ".")


def test_a_folder(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    extract(folder, "--save", "overlay,labels,alpha,npz,side-by-side,csv", "--sheet")
    kinds = ("alpha.png", "labels.npz", "labels.png")
    painted = {"anna": "jpg", "ben": "png", "cleo": "png"}
    expected = [f"{name}.{kind}" for name in painted for kind in kinds]
    expected += [
        f"{n}.{kind}.{s}" for n, s in painted.items() for kind in ("overlay", "side-by-side")
    ]
    assert visible() == sorted([*expected, "in.csv", "in.sheet.jpg"])
    table = rows("in")
    assert [row["picture"] for row in table] == list(SIZES)
    assert "time" not in table[0]
    for row, (name, size) in zip(table, SIZES.items(), strict=True):
        stem = Path(name).stem
        image = Image.open(f"masks/{stem}.labels.png")
        assert image.mode == "P"
        assert image.getpalette()[:15] == PALETTE.ravel().tolist()  # type: ignore[index]
        labels = np.asarray(image)
        assert labels.shape == size
        np.testing.assert_array_equal(labels, np.load(f"masks/{stem}.labels.npz")[stem])
        assert (labels == 1).sum() == int(row["area_skin"])
        alpha = np.asarray(Image.open(f"masks/{stem}.alpha.png"))
        assert alpha.shape == (*size, 4)
        if not name.endswith("jpg"):
            picture = np.asarray(Image.open(f"in/{name}").convert("RGB"))
            np.testing.assert_array_equal(alpha[..., :3], picture)
    said = " ".join(capsys.readouterr().err.split())
    assert "3 photos, 3 with a face" in said
    assert "masks/in.csv and masks/in.sheet.jpg" in said
    assert "frames/s" not in said


def test_masks_are_those_of_each_photo_alone(folder: str) -> None:
    images = [read_image(Path("in") / name) for name in SIZES]
    cascade = Cascade.load(Path("model.safetensors"))
    extractor = FaceMaskExtractor(cascade, CroppedFrames(), precision="float32")
    together = extractor.images(images)
    for place, (frame, image) in enumerate(zip(together, images, strict=True)):
        assert frame.index == place
        alone = extractor.image(image)
        assert frame.faces[0].frame_size == image.shape[:2]
        np.testing.assert_array_equal(frame.labels, alone.labels)
        assert frame.faces[0].confidence == pytest.approx(alone.faces[0].confidence, abs=1e-4)


def test_one_photo(folder: str) -> None:
    extract("in/ben.png", "--save", "csv,png")
    assert visible() == ["ben.csv", "ben.labels.png"]
    assert [row["picture"] for row in rows("ben")] == ["ben.png"]


def test_exif_orientation_and_rotate(folder: str) -> None:
    upright = read_image(Path("in/ben.png"))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise by 90° for viewing
    Image.fromarray(np.rot90(upright).copy()).save("in/lying.png", exif=exif)
    Image.fromarray(np.rot90(upright).copy()).save("in/unsaid.png")
    extract("in/lying.png", "in/ben.png", "--save", "labels")
    extract("in/unsaid.png", "--rotate", "90", "--save", "labels")
    labels = [np.asarray(Image.open(f"masks/{n}.labels.png")) for n in ("ben", "lying", "unsaid")]
    assert labels[0].shape == SIZES["ben.png"]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])


def test_resume_does_what_is_missing_and_the_table_has_all(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(folder)
    before = rows("in")
    Path("masks/ben.overlay.png").unlink()
    Path("masks/in.csv").unlink()
    cv2.imwrite("in/dora.png", paint(paint_labels(50, 50, 22, 26, 40)))
    capsys.readouterr()
    extract(folder, "--resume")
    said = capsys.readouterr().err
    assert "2 of 4 photos are to be done; the others are done already." in said
    assert "2 photos, 2 with a face" in said
    again = rows("in")
    assert again[:3] == before
    assert again[3]["picture"] == "dora.png"
    assert visible() == ["anna.overlay.jpg", "ben.overlay.png", "cleo.overlay.png",
                         "dora.overlay.png", "in.csv"]  # fmt: skip


def test_broken_ones_and_those_without_a_face(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/broken.jpg").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as end:
        extract(folder)
    assert end.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "3 photos, 3 with a face" in said
    assert "1 of 4 photos failed, the first: in/broken.jpg: cannot read the image" in said
    assert [row["picture"] for row in rows("in")] == list(SIZES)
    cv2.imwrite("wall.png", np.full((200, 300, 3), 90, np.uint8))
    extract("wall.png", cropped=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "1 photo, 0 with a face" in said
    assert said.endswith("--cropped for pictures that are face crops.")
    [row] = rows("wall")
    assert (row["picture"], row["face"]) == ("wall.png", "")


def test_a_format_that_is_not_read_is_named_and_the_others_are_done(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    named = "a.HEIC: a picture of a format that is not read (.heic): convert it to JPEG or PNG."
    with pytest.raises(SystemExit) as stop:
        extract("a.HEIC")
    assert stop.value.code == 2
    assert f"facemask: error: {named}" in " ".join(capsys.readouterr().err.split())
    assert not Path("masks").exists()
    with pytest.raises(SystemExit) as stop:
        extract("in/anna.jpg", "a.HEIC", "in/ben.png", "--save", "labels")
    assert stop.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith(f"1 of 3 photos failed, the first: {named}")
    assert visible() == ["anna.labels.png", "ben.labels.png"]


@pytest.mark.usefixtures("quick_processes")
def test_photos_and_a_video_in_processes(folder: str) -> None:
    Path("clip").mkdir()
    for number in (1, 2):
        cv2.imwrite(f"clip/{number}.png", paint(paint_labels(48, 48, 24, 24, 40)))
    extract("clip", folder, "--jobs", "2", "--save", "csv")
    assert visible() == ["clip.csv", "clip.facemask.json", "in.csv"]
    assert [row["picture"] for row in rows("in")] == list(SIZES)
    assert [row["frame"] for row in rows("clip")] == ["0", "1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in", "--plot"], "--plot draws signals over time, which photos have not: leave it out."),
        (["in/anna.jpg", "--as", "film"], "--as"),
        (["in", "--colors", "nose=red"], "colors has 'nose=red'"),
        (["none.jpg"], "none.jpg: no such file or folder."),
    ],
)
def test_wrong_input(
    folder: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        extract(*arguments)
    assert said in " ".join(capsys.readouterr().err.split())
    assert not Path("masks").exists()


def test_a_video_without_a_face_has_no_plot(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clip").mkdir()
    for number in (1, 2):
        cv2.imwrite(f"clip/{number}.png", np.full((96, 128, 3), 90, np.uint8))
    for again in ([], ["--resume"]):
        extract("clip", "--plot", "--sheet", *again, cropped=False)
        assert visible() == ["clip.csv", "clip.facemask.json", "clip.overlay.mp4", "clip.sheet.jpg"]
    said = " ".join(capsys.readouterr().err.split())
    assert "No face was found in any of them. Try --smallest_face 0.02" in said
    assert "The video is done already." in said
    assert json.loads(Path("masks/clip.facemask.json").read_text())["left_out"] == ["plot"]
