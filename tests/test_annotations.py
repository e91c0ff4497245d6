"""Masks to and from COCO, CVAT and Label Studio."""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.annotations import from_brush, from_coco, from_runs, to_brush, to_coco, to_runs
from facemask.annotations.formats import Format, read, write
from facemask.cli import main
from facemask.errors import InputError
from facemask.video.results import label_png

FORMATS: tuple[Format, ...] = ("coco", "cvat", "labelstudio")
# a ring open to one side, and a pixel on its own
MASK = np.array([[0, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]], bool)
BRUSH = [0, 0, 0, 60, 57, 27, 252, 96, 17, 255, 223, 0, 143, 254, 48, 8, 255, 240, 152, 4, 127, 224]


def test_run_lengths_are_those_of_the_tools_own_code() -> None:
    assert to_coco(MASK) == "325ON0"  # pycocotools 2.0.11
    assert to_brush(MASK) == BRUSH  # label_studio_converter 0.0.59
    assert to_runs(MASK.ravel()) == [1, 1, 4, 1, 1, 1, 5, 1]
    assert np.array_equal(from_coco("325ON0", 3, 5), MASK)
    assert np.array_equal(from_coco([3, 2, 5, 1, 3, 1], 3, 5), MASK)
    assert np.array_equal(from_brush(BRUSH, 3, 5), MASK)


def pictures() -> dict[str, npt.NDArray[np.uint8]]:
    hole = np.zeros((37, 301), np.uint8)
    hole[3:30, 5:290] = 1
    hole[10:20, 50:60] = 0
    hole[15, 55] = 2
    hole[-1, -1] = 255
    hole[0, 0] = 131
    noise = np.random.default_rng(0).integers(0, 5, (23, 17), np.uint8)
    full = np.full((199, 211), 3, np.uint8)  # more values than a brush's run can hold
    return {
        "a/hole.png": hole, "noise.jpg": noise, "empty.png": np.zeros((1, 7), np.uint8),
        "full.png": full, "pixel.png": np.full((1, 1), 4, np.uint8),
    }  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_what_goes_out_comes_back_to_the_pixel(kind: Format) -> None:
    labels = pictures()
    back = read(write(labels, kind), kind)
    assert back.keys() == labels.keys()
    for name, label in labels.items():
        assert np.array_equal(back[name], label), name
        assert back[name].dtype == np.uint8


@pytest.mark.parametrize("kind", FORMATS)
def test_label_pngs_make_the_round_trip(kind: Format, tmp_path: Path) -> None:
    for part in ("labels_orig", "images_orig"):
        (tmp_path / "data" / part).mkdir(parents=True)
    label = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / "data/labels_orig/001_000001.png"), label)
    (tmp_path / "data/images_orig/001_000001.jpg").touch()
    file, out = str(tmp_path / "file"), str(tmp_path / "out")
    main(["annotations", "export", kind, str(tmp_path / "data"), "--out", file])
    assert "001_000001.jpg" in Path(file).read_text(encoding="utf-8")
    main(["annotations", "import", kind, file, "--out", out])
    back = cv2.imread(f"{out}/001_000001.png", cv2.IMREAD_UNCHANGED)
    assert back is not None
    assert np.array_equal(back, label)


def test_labels_of_photos_go_by_their_photos(tmp_path: Path) -> None:
    label = np.array([[0, 1, 2], [3, 4, 0]], np.uint8)
    for name in ("a", "b"):
        (tmp_path / f"{name}.labels.png").write_bytes(label_png(label))
    for name in ("a.jpg", "a.overlay.png"):
        (tmp_path / name).touch()
    file = tmp_path / "x.json"
    main(["annotations", "export", "coco", str(tmp_path), "--out", str(file)])
    back = read(file.read_bytes(), "coco")
    assert list(back) == ["a.jpg", "b.png"]
    assert np.array_equal(back["a.jpg"], label)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_something_else_is_refused(kind: Format) -> None:
    for data in (b"", b"{}", b"<a", b"[1]", b"\xff\xfe"):
        with pytest.raises(InputError, match="cannot be read as"):
            read(data, kind)


def test_polygons_other_names_and_sizes_are_refused() -> None:
    file = json.loads(write(pictures(), "coco"))
    file["annotations"][0]["segmentation"] = [[0, 0, 3, 0, 3, 3]]
    with pytest.raises(InputError, match="is a polygon"):
        read(json.dumps(file).encode(), "coco")
    xml = write({"a": np.ones((2, 3), np.uint8)}, "cvat").decode()
    with pytest.raises(InputError, match="called 'face'"):
        read(xml.replace('"skin"', '"face"').encode(), "cvat")
    with pytest.raises(InputError, match="leaves the picture"):
        read(xml.replace('left="0"', 'left="1"').encode(), "cvat")
    with pytest.raises(InputError, match="add up to 5"):
        from_runs([2, 3], 6)
    with pytest.raises(InputError, match="end too early"):
        from_brush(BRUSH[:9], 3, 5)
    with pytest.raises(InputError, match="expected 4 x 5 x 5"):
        from_brush(BRUSH, 5, 5)
    with pytest.raises(InputError, match="no letter"):
        from_coco("!", 3, 5)
