import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facemask.errors import InputError
from facemask.report import find_run, read_run
from facemask.report.frame_table import FrameTable, columns_of, read_table, table_to_csv
from facemask.report.record import fingerprint, read_record
from tests.report.runs import write_data, write_run


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on clips of 5. Read only: copy to change."""
    folder = tmp_path_factory.mktemp("run")
    return write_run(folder / "fcn" / "test", write_data(folder / "data"), clip_length=5)


def row(**changes: object) -> FrameTable:
    """One frame of 3 × 4 pixels, one of them ignored, and two classes."""
    values: dict[str, object] = {
        "name": np.array(["a_000031"]), "video": np.array(["a"]), "frame": np.array([31]),
        "subject": np.array(["eve"]), "sequence": np.array([1]), "clip": np.array(["a_000031"]),
        "position": np.array([0]), "height": np.array([3]), "width": np.array([4]),
        "region": np.array(["face"]),
        "intersection": np.array([[5, 2]]), "union": np.array([[9, 6]]),
        "truth": np.array([[6, 5]]), "prediction": np.array([[8, 3]]),
    }  # fmt: skip
    return FrameTable(("background", "skin"), **values | changes)  # type: ignore[arg-type]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = row()
    (tmp_path / "frames.csv").write_bytes(table_to_csv(table))
    text = (tmp_path / "frames.csv").read_text()
    assert text.splitlines()[1] == "a_000031,a,31,eve,1,a_000031,0,3,4,face,5,2,9,6,6,5,8,3"
    again = read_table(tmp_path / "frames.csv", ["background", "skin"])
    for column in FrameTable.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, column), getattr(table, column))
    assert again.intersection.dtype == np.int64


def test_scores_of_a_table() -> None:
    first = row()
    second = row(
        name=np.array(["a_000032"]), frame=np.array([32]), intersection=np.array([[10, 0]]),
        union=np.array([[10, 0]]), truth=np.array([[10, 0]]), prediction=np.array([[10, 0]]),
    )  # fmt: skip
    columns = [c for c in FrameTable.__dataclass_fields__ if c != "class_names"]
    both = row(**{c: np.concatenate([getattr(first, c), getattr(second, c)]) for c in columns})
    np.testing.assert_allclose(both.iou(), [15 / 19, 2 / 6])
    assert both.miou() == pytest.approx(2 / 6)
    np.testing.assert_allclose(both.frame_miou(), [2 / 6, np.nan])  # no foreground in the second
    assert np.isnan(second.miou())
    assert both.take(np.array([1])).name.tolist() == ["a_000032"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intersection": [[6, 3]], "union": [[8, 5]]}, None),
        ({"intersection": [[6, 4]]}, "an intersection is larger than truth or prediction"),
        ({"union": [[9, 5]]}, "a union is not truth + prediction - intersection"),
        ({"prediction": [[9, 3]], "union": [[10, 6]]}, "different numbers of pixels"),
        ({"height": [2]}, "more pixels than height × width"),
        ({"intersection": [[-1, 2]], "union": [[15, 6]]}, "a negative number"),
        ({"position": [-1]}, "a negative position"),
        ({"frame": [30]}, "not that of the video and frame its name says"),
        ({"video": ["b"]}, "not that of the video and frame its name says"),
        ({"sequence": [0]}, "another sequence"),
        ({"width": [4, 4]}, "column 'width' has not one value a frame"),
        ({"union": [[9, 6, 0]]}, "union_… are not one a class"),
    ],
)
def test_rows_add_up(changes: dict[str, list[object]], message: str | None) -> None:
    arrays = {name: np.array(value) for name, value in changes.items()}
    if message is None:
        row(**arrays)
        return
    with pytest.raises(InputError, match=re.escape(message)):
        row(**arrays)


def test_a_run_is_read_from_its_folder_or_the_one_above(run_folder: Path) -> None:
    run = read_run(run_folder.parent)
    assert run.folder == run_folder == find_run(run_folder)
    assert run.record.metrics["miou"] == pytest.approx(run.table.miou())
    assert run.record.metrics["iou_eyes"] is None  # NaN
    assert run.counts.position.tolist() == [0, 1, 2, 3, 4, 0, 0, 1, 0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert run.table.subject.tolist() == ["ann"] * 10 + ["bob"] * 6 + ["ann"] * 3
    assert run.label_file("001_000001").is_file()
    assert run.consistency is not None
    assert run.consistency.frames.tolist() == [8, 2, 3, 3, 3]
    assert run.consistency.values["pairs"].tolist() == [6, 1, 2, 2, 2]  # a gap after frame 6
    assert run.consistency.values["truth_pairs"].tolist() == [6, 1, 2, 2, 2]


def test_fingerprint_depends_on_names_and_bytes(tmp_path: Path) -> None:
    for name, content in (("a", b"12"), ("b", b"3"), ("c", b"1"), ("d", b"23")):
        (tmp_path / name).write_bytes(content)
    a, b, c, d = (tmp_path / name for name in "abcd")
    first = fingerprint({"x": a, "y": b})
    assert first == fingerprint({"y": b, "x": a})
    others = [{"x": a}, {"x": b, "y": a}, {"x": a, "z": b}, {"x": c, "y": d}]
    assert len({first, *map(fingerprint, others)}) == 5
    with pytest.raises(InputError, match="nowhere: cannot read it"):
        fingerprint({"x": tmp_path / "nowhere"})


def set_record(folder: Path, **changes: object) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_frames(folder: Path, old: str, new: str) -> None:
    path = folder / "frames.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def keep_lines(folder: Path, count: int, name: str = "frames.csv") -> None:
    path = folder / name
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: [(f / n).unlink() for n in ("record.json", "frames.csv")], "holds no record"),
        (lambda f: (f / "record.json").unlink(), "the record is incomplete"),
        (lambda f: (f / "record.json").write_text("{"), "record.json: is not JSON"),
        (lambda f: (f / "record.json").write_text("[]"), "not written by `facemask test`"),
        (lambda f: set_record(f, facemask_record=2), "a record of format 2"),
        (lambda f: set_record(f, class_names="ab"), "'class_names' is missing or of another type"),
        (lambda f: set_record(f, frames=20), "holds 19 frames, but record.json says 20"),
        (lambda f: set_record(f, region="eyes"), "holds region 'face'"),
        (lambda f: set_record(f, class_names=["a", "b"]), "'intersection_a' is missing"),
        (lambda f: (f / "frames.csv").unlink(), "frames.csv: cannot read it"),
        (lambda f: keep_lines(f, 0), "frames.csv: is empty"),
        (lambda f: keep_lines(f, 1), "holds no frame"),
        (lambda f: keep_lines(f, 9), "holds 8 frames, but record.json says 19"),
        (lambda f: edit_frames(f, ",0,45,41,", ",0,45,4x,"), "'width' holds a value that is no"),
        (lambda f: edit_frames(f, ",0,45,41,", ",0,45,"), "line 2: holds 29 values, expected 30"),
        (lambda f: edit_frames(f, "001_000002,001,2", "001_000001,001,1"), "more than once"),
        (lambda f: edit_frames(f, ",0,45,41,", ",0,5,41,"), "more pixels than height × width"),
        (lambda f: (f / "consistency.csv").unlink(), "consistency.csv: cannot read it"),
        (lambda f: (f / "consistency.csv").write_text("a,b\n"), "not the columns of a consistency"),
        (
            lambda f: (f / "consistency.csv").write_text(
                "video,sequence,subject,frames,pairs\n001,x,ann,3,2\n"
            ),
            "no number",
        ),
    ],
)
def test_damaged_records_are_refused(
    run_folder: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = shutil.copytree(run_folder, tmp_path / "run")
    damage(folder)
    with pytest.raises(InputError, match=re.escape(message)):
        read_run(folder)


def test_columns_are_named_after_the_classes() -> None:
    assert columns_of(["background", "skin"])[-4:] == [
        "truth_background", "truth_skin", "prediction_background", "prediction_skin",
    ]  # fmt: skip


def test_the_record_says_what_the_run_is(run_folder: Path) -> None:
    record = read_record(run_folder / "record.json")
    assert record.network["backbone"] == "made_up"
    assert record.class_names == ("background", "skin", "eyes", "lips", "inner_mouth")
