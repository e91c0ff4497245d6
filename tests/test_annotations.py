"""Masks to and from COCO, CVAT and Label Studio."""

import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facemask.annotations import from_brush, from_coco, from_runs, to_brush, to_coco, to_runs
from facemask.annotations.formats import Format, Shape, read, write
from facemask.annotations.polygons import from_polygons, to_polygons
from facemask.classes import COLORS
from facemask.cli import main
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.video.results import label_png

FORMATS: tuple[Format, ...] = ("coco", "cvat", "labelstudio")
SHAPES: tuple[Shape, ...] = ("rle", "polygon")
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


@pytest.mark.parametrize(
    ("polygons", "counts", "area"),
    [
        ([[2.3, 1.1, 9.7, 2.6, 6.2, 8.9, 0.4, 5.5]], "5152N3O010O0000O1N`0", 42),
        ([[-3, 2, 14, 2, 14, 9.5, 7, 4]], "217000000001O00001O1O1M", 23),
        ([[1, 1, 9, 1, 1, 7, 9, 7]], "a0140N10004000L000O20e0", 24),
        ([[1, 1, 4, 1, 4, 4, 1, 4], [3.5, 2, 8.1, 2.2, 5, 7]], "93500010O1OO1Nh0", 20),
    ],
    ids=["floats", "leaves the picture", "crosses itself", "two that overlap"],
)
def test_polygons_have_the_pixels_of_pycocotools(
    polygons: list[list[float]], counts: str, area: int
) -> None:
    """`merge(frPyObjects(polygons, 8, 11))` of pycocotools 2.0.11."""
    mask = from_polygons([np.reshape(p, (-1, 2)) for p in polygons], 8, 11)
    assert to_coco(mask) == counts
    assert mask.sum() == area


def test_outlines_run_along_the_borders_of_pixels() -> None:
    square, corner, ring = np.zeros((3, 4, 5), bool)
    square[1:3, 2:5] = True
    assert [p.tolist() for p in to_polygons(square)] == [[[2, 1], [2, 3], [5, 3], [5, 1]]]
    corner[0, 0] = corner[1, 1] = corner[3, 4] = True  # the first two touch
    assert sorted(len(p) for p in to_polygons(corner)) == [4, 8]
    ring[:3, :3] = True
    ring[1, 1] = False
    (cut,) = to_polygons(ring)
    assert len(cut) == 4 + 4 + 2  # there and back
    x, y = cut.T
    assert abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 == 8  # the hole turns back
    assert to_polygons(np.zeros((2, 2), bool)) == []


def test_outlines_of_any_mask_give_it_back() -> None:
    rng = np.random.default_rng(0)
    for share in np.linspace(0.05, 0.95, 40):
        height, width = rng.integers(1, 30, 2)
        mask = rng.random((height, width)) < share
        assert np.array_equal(from_polygons(to_polygons(mask), height, width), mask)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", FORMATS)
def test_what_goes_out_comes_back_to_the_pixel(kind: Format, shape: Shape) -> None:
    labels = pictures()
    back = read(write(labels, kind, shape), kind)
    assert back.keys() == labels.keys()
    for name, label in labels.items():
        assert np.array_equal(back[name], label), name
        assert back[name].dtype == np.uint8


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", FORMATS)
def test_label_pngs_make_the_round_trip(
    kind: Format, shape: Shape, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("labels_orig", "images_orig"):
        (tmp_path / "data" / part).mkdir(parents=True)
    label = np.array([[0, 1, 2], [3, 4, 255], [131, 159, 0]], np.uint8)
    cv2.imwrite(str(tmp_path / "data/labels_orig/001_000001.png"), label)
    (tmp_path / "data/images_orig/001_000001.jpg").touch()
    file, out = str(tmp_path / "file"), str(tmp_path / "out")
    data = str(tmp_path / "data")
    main(["annotations", "export", kind, data, "--out", file, "--shape", shape])
    assert "001_000001.jpg" in Path(file).read_text(encoding="utf-8")
    main(["annotations", "import", kind, file, "--out", out])
    back = tmp_path / "out/001_000001.png"
    assert np.array_equal(read_label(back), label)
    with Image.open(back) as image:  # viewers show colours
        assert np.array_equal(np.asarray(image), label)
        assert np.array_equal(np.asarray(image.convert("RGB")), COLORS[label])
    first = f"masks of 1 picture are in {file}", f"1 label PNGs are in {out}"
    assert [line for line in capsys.readouterr().out.splitlines() if "are in" in line] == [*first]
    main(["annotations", "export", kind, data, "--out", file, "--shape", shape])
    main(["annotations", "import", kind, file, "--out", out])
    assert [line for line in capsys.readouterr().out.splitlines() if "are in" in line] == [
        f"{first[0]}, in place of the file that was there",
        f"{first[1]}, 1 of them in place of files that were there",
    ]


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


def coco(*shapes: tuple[int, object]) -> bytes:
    """A picture of 4 rows and 6 columns."""
    annotations = [
        {"image_id": 9, "category_id": label, "segmentation": shape} for label, shape in shapes
    ]
    return json.dumps({
        "images": [{"id": 9, "file_name": "a.png", "height": 4, "width": 6}],
        "categories": [{"id": 7, "name": "skin"}, {"id": 5, "name": "lips"}],
        "annotations": annotations,
    }).encode()  # fmt: skip


def test_coco_may_mix_polygons_of_several_parts_lists_and_strings() -> None:
    right = np.zeros((4, 6), bool)
    right[1, 3:] = True
    parts = [[0, 0, 2, 0, 2, 1, 0, 1], [0, 3, 1, 3, 1, 4, 0, 4]]
    runs = {"size": [4, 6], "counts": to_runs(right.ravel(order="F"))}
    text = {"size": [4, 6], "counts": to_coco(right[::-1])}
    label = read(coco((7, parts), (5, runs), (7, text)), "coco")["a.png"]
    assert label.tolist() == [
        [1, 1, 0, 0, 0, 0], [0, 0, 0, 3, 3, 3], [0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_of_shapes_that_overlap_the_later_one_is_on_top() -> None:
    big, small = [[0, 0, 4, 0, 4, 3, 0, 3]], [[1, 1, 2, 1, 2, 2, 1, 2]]
    assert read(coco((7, big), (5, small)), "coco")["a.png"][:2, :3].tolist() == [
        [1, 1, 1], [1, 3, 1],
    ]  # fmt: skip
    assert 3 not in read(coco((5, small), (7, big)), "coco")["a.png"]

    image = '<annotations><image name="a" width="6" height="4">{}</image></annotations>'
    polygon = '<polygon label="skin" points="0.00,0.00;4.00,0.00;4.00,3.00;0.00,3.00" {}/>'
    mask = '<mask label="lips" rle="0, 2" left="1" top="1" width="2" height="1" {}/>'
    for shapes, on_top in (
        (polygon.format("") + mask.format(""), 3),
        (mask.format("") + polygon.format(""), 1),
        (mask.format('z_order="2"') + polygon.format('z_order="-1"'), 3),
    ):
        label = read(image.format(shapes).encode(), "cvat")["a"]
        assert label[1, :4].tolist() == [1, on_top, on_top, 1]

    lips = np.zeros((4, 6), np.uint8)
    lips[1, 1:3] = 3
    task = json.loads(write({"a": lips}, "labelstudio"))[0]
    (brush,) = task["annotations"][0]["result"]
    points = (np.array([[0, 0], [4, 0], [4, 3], [0, 3]]) / [6, 4] * 100).tolist()
    outline = {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["skin"]}}
    for results, on_top in (([brush, outline], 1), ([outline, brush], 3)):
        task["annotations"] = [{"result": results}]
        label = read(json.dumps([task]).encode(), "labelstudio")["a"]
        assert label[1, :4].tolist() == [1, on_top, on_top, 1]
        assert np.count_nonzero(label) == 12


def test_cvat_files_name_their_labels_where_datumaro_looks() -> None:
    root = ElementTree.fromstring(write({"a": np.full((2, 2), 131, np.uint8)}, "cvat"))
    names = [name.text for name in root.findall("meta/task/labels/label/name")]
    assert names == ["skin", "eyes", "lips", "inner_mouth", "label_131"]


def test_pictures_are_found_behind_the_names_of_label_studio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = np.array([[0, 1, 2]], np.uint8)
    folder, file, out = tmp_path / "pictures", tmp_path / "x.json", tmp_path / "out"
    folder.mkdir()
    for name in ("frame.png", "my photo (2).jpg", "c.labels.png"):
        (folder / name).touch()

    def bring(*names: str) -> list[str]:
        file.write_bytes(write(dict.fromkeys(names, label), "labelstudio"))
        words = ["import", "labelstudio", str(file), "--out", str(out), "--pictures", str(folder)]
        main(["annotations", *words])
        return sorted(p.name for p in out.iterdir())

    def refused(*names: str) -> str:
        with pytest.raises(SystemExit):
            bring(*names)
        return capsys.readouterr().err

    prefix = "/data/upload/1/1a2b3c4d-"
    names = [f"{prefix}frame.png", f"{prefix}my_photo_2.jpg", "c.png"]
    assert bring(*names) == ["c.png", "frame.png", "my photo (2).png"]
    for wrong in ("1a2b3c4d-other.png", "1a2b3c4dframe.png", "xa2b3c4d-frame.png", "frame.jpg"):
        assert f"pictures has no picture {wrong}:" in refused(f"/data/{wrong}")
    assert "would get the same label PNG" in refused("frame.png", f"{prefix}frame.png")
    (folder / "1a2b3c4d-frame.png").touch()
    may_be = "1a2b3c4d-frame.png may be 1a2b3c4d-frame.png or frame.png of"
    assert may_be in refused(f"{prefix}frame.png")
    assert bring("frame.png", names[1]) == ["c.png", "frame.png", "my photo (2).png"]


def test_names_of_label_studio_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(write({"1a2b3c4d-a.png": np.ones((2, 2), np.uint8)}, "cvat"))
    main(["annotations", "import", "cvat", str(tmp_path / "x"), "--out", str(tmp_path / "out")])
    assert "--pictures FOLDER" in capsys.readouterr().out
    assert (tmp_path / "out/1a2b3c4d-a.png").is_file()


def test_boxes_other_names_and_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="a box alone"):
        read(coco((7, [])), "coco")
    with pytest.raises(InputError, match="three corners"):
        read(coco((7, [[0, 0, 3, 3]])), "coco")
    with pytest.raises(InputError, match="cannot be read as coco"):
        read(coco((7, [[0, 0, 3, 0, 3, 3, 1]])), "coco")
    for far in (61, -1e9, float("nan")):
        with pytest.raises(InputError, match="6 x 4 pixels"):
            read(coco((7, [[0, 0, 3, 0, 3, far]])), "coco")
    with pytest.raises(InputError, match=r"size \[6, 4\], expected \[4, 6\]"):
        read(coco((7, {"size": [6, 4], "counts": [24]})), "coco")
    box = b'<annotations><image name="a" width="6" height="4"><box/></image></annotations>'
    with pytest.raises(InputError, match="is a box, expected masks and polygons"):
        read(box, "cvat")
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
