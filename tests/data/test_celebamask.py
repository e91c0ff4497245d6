"""`facemask prepare` on CelebAMask-HQ: both layouts, orders of ids, and what is wrong with them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.cli import main
from facemask.data.face_parts import PARTS, face_box_of_parts, mask_of_parts
from facemask.data.landmarks import write_pts
from facemask.data.part_files import ORDERS
from facemask.data.prepare import prepare
from facemask.data.sources import find_annotated
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.files import read_image
from tests.data.parts import (
    SIZE,
    Pixels,
    face_parts,
    photograph,
    write_id_image,
    write_parts,
    write_png,
)
from tests.faces import face_points

FACES = {"0": face_parts(), "1": face_parts("mouth"), "2": face_parts("l_eye", "r_ear")}


def check(out: Path, faces: dict[str, Pixels]) -> None:
    """Check crops and masks of the photographs."""
    for name, parts in faces.items():
        box = face_box_of_parts(parts)
        assert box is not None
        pixels = box.clipped(*SIZE).pixels
        label = read_label(out / f"labels_orig/{name}_000001.png")
        np.testing.assert_array_equal(label, mask_of_parts(parts)[pixels])
        crop = read_image(out / f"images_orig/{name}_000001.jpg").astype(int)
        assert np.abs(crop - photograph()[pixels]).mean() < 4  # JPEG


def test_files_of_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, parts in FACES.items():
        write_parts(tmp_path / "src", int(name), parts)
    write_png(tmp_path / "src/CelebA-HQ-img/7.jpg", photograph(2))
    main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--workers=0"])
    check(tmp_path / "out", FACES)
    said = " ".join(capsys.readouterr().out.split())
    assert "CelebAMask-HQ (a file a part): eyes, lips and inner mouth are labelled" in said
    assert "Not used: photographs without labels: 1 (7)." in said
    record = json.loads((tmp_path / "out/.prepare/0.json").read_text())
    assert record["kind"] == "CelebAMask-HQ, parts"
    assert record["labelled"] == ["eyes", "lips", "inner_mouth"]


@pytest.mark.parametrize("order", ORDERS)
def test_images_of_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str) -> None:
    for name, parts in FACES.items():
        write_id_image(tmp_path / "src", name, parts, ORDERS[order])
    main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--workers=0"])
    check(tmp_path / "out", FACES)
    assert f"ids in the order of {order}" in " ".join(capsys.readouterr().out.split())


def test_palette_images_are_read_as_ids(tmp_path: Path) -> None:
    for name, parts in FACES.items():
        write_id_image(tmp_path / "src", name, parts)
        image = Image.fromarray(parts, mode="P")
        image.putpalette([int(v) for v in np.random.default_rng(0).integers(0, 255, 57)])
        image.save(tmp_path / f"src/labels/{name}.png")
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    check(tmp_path / "out", FACES)


def test_a_second_run_does_what_is_new(tmp_path: Path) -> None:
    source, out = tmp_path / "src", tmp_path / "out"
    for name, parts in FACES.items():
        write_parts(source, int(name), parts)
    prepare(source, out, workers=1)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*_orig/*")}
    changed = face_parts("u_lip")
    (source / "CelebAMask-HQ-mask-anno/0/00001_mouth.png").unlink(missing_ok=True)
    write_parts(source, 1, changed)
    (source / "CelebAMask-HQ-mask-anno/0/00001_u_lip.png").unlink()
    prepare(source, out, workers=1)
    check(out, FACES | {"1": changed})
    again = {path: path.stat().st_mtime_ns for path in out.glob("*_orig/*")}
    assert {path.stem for path in times if times[path] != again[path]} == {"1_000001"}


def test_faces_without_a_place_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bandaged = face_parts("l_brow", "r_brow", "l_eye", "r_eye")
    for name, parts in (FACES | {"3": bandaged}).items():
        write_parts(tmp_path / "src", int(name), parts)
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    assert "too few parts are labelled to know where the face is" in capsys.readouterr().out
    assert not list(tmp_path.glob("out/*/3_*"))
    prepare(tmp_path / "src", tmp_path / "out", workers=1)  # and so it is kept
    assert "3: Not used: " in capsys.readouterr().out


def test_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "src"
    for number in range(4):
        write_parts(source, number, face_parts())
    mapping = "idx orig_idx orig_file\n0 10 000011.jpg\n1 7 000008.jpg\n2 3 000004.jpg\n"
    (source / "CelebA-HQ-to-CelebA-mapping.txt").write_text(mapping)
    prepare(source, tmp_path / "out", workers=1)
    assert "a subject of its own: no identity_CelebA.txt" in capsys.readouterr().out
    (source / "identity_CelebA.txt").write_text("000011.jpg 5\n000008.jpg 6\n000004.jpg 5\n")
    with pytest.raises(InputError, match=r"'celeba-5' is on two sides .* anew with --resplit"):
        prepare(source, tmp_path / "out", workers=1)  # who is who was not known before
    prepare(source, tmp_path / "out", workers=1, resplit=True)
    assert "Subjects of their own: 1 (3)." in capsys.readouterr().out
    rows = (tmp_path / "out/subjects.csv").read_text().splitlines()
    assert rows == ["video,subject", "0,celeba-5", "1,celeba-6", "2,celeba-5", "3,3"]
    (source / "identity_CelebA.txt").write_text("000011.jpg 5 5\n")
    with pytest.raises(InputError, match="line 1: 3 words, expected 2"):
        prepare(source, tmp_path / "out", workers=1)


def test_stills_with_landmarks_stay_stills(tmp_path: Path) -> None:
    write_id_image(tmp_path, "a", face_parts())
    write_pts(tmp_path / "images/a.pts", face_points(np.random.default_rng(0), 60, (50, 60)))
    assert [video.kind for video in find_annotated(tmp_path).videos] == [".pts"]


def spoil_size(source: Path) -> None:
    write_png(source / "labels/1.png", np.repeat(FACES["1"], 2, axis=0).repeat(2, axis=1))


def spoil_shape(source: Path) -> None:
    write_png(source / "labels/1.png", FACES["1"][:90])


def spoil_id(source: Path) -> None:
    write_png(source / "labels/1.png", np.where(FACES["1"] == 17, 19, FACES["1"]).astype(np.uint8))


def spoil_colours(source: Path) -> None:
    write_png(source / "labels/1.png", photograph())


def spoil_file(source: Path) -> None:
    (source / "labels/1.png").write_bytes(b"no image")


def spoil_all(source: Path) -> None:
    for name, parts in FACES.items():
        write_png(source / f"labels/{name}.png", parts[::-1])


def spoil_face(source: Path) -> None:
    tiny = np.zeros(SIZE, np.uint8)
    tiny[50, 50] = PARTS.index("l_brow")
    write_png(source / "labels/1.png", tiny)


def another_order(source: Path) -> None:
    for number in range(30):
        write_id_image(source, f"more{number}", FACES["0"])
    write_id_image(source, "1", FACES["1"], ORDERS["BiSeNet"])


def no_photographs(source: Path) -> None:
    for file in (source / "images").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_size, "labels of 200×240 pixels for a photograph of 100×120; expected its size"),
        (spoil_shape, "labels of 100×90 pixels for a photograph of 100×120"),
        (spoil_id, "holds the id 19, expected 0 to 18"),
        (spoil_colours, r"a label image in RGB, expected ids \(8-bit grey or palette\)"),
        (spoil_file, "1.png: not a readable label image"),
        (spoil_face, r"1\.png: the box .* leaves no face inside the frame of 100×120"),
        (spoil_all, "the ids fit neither of the orders that are known"),
        (another_order, "1.png: its ids are in another order than those of the other files"),
        (no_photographs, "no photograph with labels. Not used: labels without a photograph: 3"),
    ],
)
def test_bad_id_images(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    for name, parts in FACES.items():
        write_id_image(tmp_path / "src", name, parts)
    spoil(tmp_path / "src")
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "src", tmp_path / "out", workers=1)


def test_bad_files_of_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "src"
    folder = source / "CelebAMask-HQ-mask-anno/0"
    for name, parts in FACES.items():
        write_parts(source, int(name), parts)
    write_png(folder / "00001_beard.png", FACES["1"])
    with pytest.raises(SystemExit):
        main(["prepare", str(source), str(tmp_path / "out")])
    assert "00001_beard.png: not a part of CelebAMask-HQ; expected" in capsys.readouterr().err
    (folder / "00001_beard.png").unlink()
    write_png(folder / "00001_hat.png", FACES["1"][:60])
    with pytest.raises(InputError, match=r"00001_.*×.* pixels, but other parts of this face have"):
        prepare(source, tmp_path / "out", workers=1)
    (folder / "00001_hat.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"00001_hat\.png: not a readable image"):
        prepare(source, tmp_path / "out", workers=1)
    (folder / "00001_hat.png").unlink()
    write_png(source / "CelebAMask-HQ-mask-anno/1/00001_skin.png", FACES["1"])
    with pytest.raises(InputError, match="is the same part as"):
        prepare(source, tmp_path / "out", workers=1)


def test_photographs_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "CelebAMask-HQ-mask-anno").mkdir()
    with pytest.raises(InputError, match="CelebA-HQ-img: no such folder"):
        find_annotated(tmp_path)
    (tmp_path / "CelebA-HQ-img").mkdir()
    with pytest.raises(InputError, match="no photograph with labels"):
        find_annotated(tmp_path)
    write_png(tmp_path / "CelebA-HQ-img/0.jpg", photograph())
    write_png(tmp_path / "CelebA-HQ-img/0.png", photograph())
    with pytest.raises(InputError, match=r"0\.png: has the name of 0\.jpg; remove one"):
        find_annotated(tmp_path)


def test_the_parts_are_those_of_the_authors_script() -> None:
    assert len(PARTS) == len(set(PARTS)) == 19
    assert PARTS[2:8] == ("nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow")
    assert sorted(PARTS) == sorted(ORDERS["BiSeNet"])
