import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.data.masks import mask_to_color
from facemask.data.vw300_mask import (
    SPLIT_NAMES,
    Frame,
    cut_clips,
    list_crops,
    read_label,
    read_split,
)
from facemask.errors import InputError


def frames(*numbers: int, video: str = "a") -> list[Frame]:
    return [Frame(video, n, Path(), None) for n in numbers]


def numbers(clips: list[tuple[Frame, ...]]) -> list[list[int]]:
    return [[frame.number for frame in clip] for clip in clips]


def test_clips_never_span_a_gap_a_sequence_or_a_video() -> None:
    listed = [*frames(*range(1, 33)), *frames(34, 35, 36), *frames(37, 38, video="b")]
    clips = cut_clips(listed, 5)
    assert numbers(clips) == [
        *[list(range(n, n + 5)) for n in (1, 6, 11, 16, 21, 26)],
        [31, 32],  # a new sequence, though consecutive
        [34, 35, 36],
        [37, 38],
    ]
    assert [frame for clip in clips for frame in clip] == listed
    assert numbers(cut_clips(frames(4, 5, 6, 7), 3)) == [[4, 5, 6], [7]]


def test_reads_a_split(mask_root: Path) -> None:
    read = [f for side in ("train", "val", "test") for f in read_split(mask_root, "split_1", side)]
    assert len(read) == 140
    first = next(f for f in read if f.video == "003")
    assert first == Frame(
        "003",
        1,
        mask_root / "images_orig/003_000001.jpg",
        mask_root / "labels_orig/003_000001.png",
    )


def test_lines_in_any_order_are_sorted(mask_root: Path, tmp_path: Path) -> None:
    shutil.copytree(mask_root, tmp_path / "root")
    path = tmp_path / "root/data_splits/split_1/val_per10.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[::-1]) + "\n\n")
    assert read_split(tmp_path / "root", "split_1", "val") == [
        Frame(f.video, f.number, tmp_path / "root/images_orig" / f.image.name,
              tmp_path / "root/labels_orig" / f"{f.image.stem}.png")
        for f in read_split(mask_root, "split_1", "val")
    ]  # fmt: skip


GOOD = "/images_orig/001_000001.jpg /labels_orig/001_000001.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{GOOD}\n/images_orig/009_000001.jpg /labels_orig/009_000001.png", "line 2: .*009_0"),
        ("/../secret/001_000001.jpg /labels_orig/001_000001.png", r"'/\.\./secret.* leaves the d"),
        ("/images_orig/../../x_1.jpg /labels_orig/x_1.png", "leaves the data root"),
        ("/images_orig/001_000001.jpg", "line 1: '/images_orig/001_000001.jpg' is not"),
        ("/images_orig/001_000001.jpg /labels_orig/001_000002.png", "does not pair two files"),
        (f"{GOOD}\n{GOOD}\n", "001_000001.jpg is listed twice"),
        ("", "holds no frame, so there is nothing on the side .*--fraction 1"),
        ("\n\n", "holds no frame"),
    ],
)
def test_bad_split_lines(mask_root: Path, tmp_path: Path, text: str, message: str) -> None:
    shutil.copytree(mask_root, tmp_path / "root")
    (tmp_path / "root/data_splits/split_1/val_per10.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_split(tmp_path / "root", "split_1", "val")


def test_missing_root_and_split(mask_root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; expected a data set"):
        read_split(tmp_path / "none", "split_1", "train")
    with pytest.raises(InputError, match="missing; run `facemask prepare"):
        read_split(tmp_path, "split_1", "train")
    with pytest.raises(InputError, match="split_7"):
        read_split(mask_root, "split_7", "train")


def test_the_second_protocol_is_named_by_its_lists(mask_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(mask_root, root)
    lists = root / "data_splits" / "split_2"
    lists.mkdir()
    for name, side in (("A", "val"), ("B", "train"), ("C", "test")):
        shutil.copy(root / "data_splits" / "split_1" / f"{side}_per10.txt", lists / f"{name}.txt")
    for side in SPLIT_NAMES:
        assert read_split(root, "split_2:B,A,C", side) == read_split(root, "split_1", side)
    assert read_split(root, "split_2:C,A,B", "test") == read_split(root, "split_1", "train")
    with pytest.raises(InputError, match=r"lists A, B, C, .* split split_2:A,B,C"):
        read_split(root, "split_2", "train")
    with pytest.raises(InputError, match="'split_2:A,B', expected three lists"):
        read_split(root, "split_2:A,B", "train")
    with pytest.raises(InputError, match=r"D.txt: no such list; there are A, B, C"):
        read_split(root, "split_2:A,B,D", "test")


def test_labels_as_ids_colours_and_palette(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2, 3], [4, 255, 0, 1]], dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "ids.png"), mask)
    cv2.imwrite(str(tmp_path / "color.png"), mask_to_color(mask)[..., ::-1])
    for name in ("ids", "color"):
        np.testing.assert_array_equal(read_label(tmp_path / f"{name}.png"), mask)


def test_bad_labels_name_file_and_values(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), np.array([[0, 5, 128]], dtype=np.uint8))
    with pytest.raises(InputError, match=r"x\.png: label values \[5, 128\] are not class ids"):
        read_label(path)
    cv2.imwrite(str(path), np.array([[[10, 20, 30]]], dtype=np.uint8))
    with pytest.raises(InputError, match=r"x\.png: colours \[\[30, 20, 10\]\]"):
        read_label(path)
    cv2.imwrite(str(path), np.array([[1]], dtype=np.uint16))
    with pytest.raises(InputError, match="uint16"):
        read_label(path)
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match="not a readable label"):
        read_label(path)


def test_a_folder_of_crops(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    for name in ("b_000002.png", "b_000001.jpg", "portrait.png", "a_b_000009.png"):
        cv2.imwrite(str(tmp_path / name), image)
    (tmp_path / "notes.txt").write_text("")
    listed = list_crops(tmp_path)
    assert [(f.video, f.number) for f in listed] == [
        ("a_b", 9),
        ("b", 1),
        ("b", 2),
        ("portrait", 1),
    ]
    cv2.imwrite(str(tmp_path / "portrait.jpg"), image)
    with pytest.raises(InputError, match="two images are named 'portrait'"):
        list_crops(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_crops(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        list_crops(tmp_path / "empty")
