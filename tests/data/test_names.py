"""Any name that a file system allows goes through every command."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.cli import main
from facemask.data.landmarks import write_pts
from facemask.data.lists import read_exclusions, read_subjects
from facemask.data.sources import find_annotated
from facemask.data.vw300_mask import read_split, split_line
from facemask.errors import InputError
from facemask.report import read_run
from tests.conftest import draw_frame
from tests.faces import face_points

NAMES = [
    "plain", "my photo 2", " leading", "trailing ", "a,b", 'say "hi"', "it's", "#1", "-dash",
    "--out", "no.1", "a.b c_7", "größe \u4eba", "x /y", "tab\there", "line\u2028sep", "50%",
    "semi;colon", "$HOME", "[x]*?", "back\\slash", "form\x0cfeed", "a  b",
]  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "my stills"
    for number, name in enumerate(NAMES):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        points = face_points(np.random.default_rng(number), 60, (60, 45))
        path.write_bytes(cv2.imencode(".png", draw_frame(points, 10))[1].tobytes())
        write_pts(path.with_name(f"{path.name.removesuffix('.png')}.pts"), points)
    return root


def name_of(name: str) -> str:
    return name.replace("/", "-")


def test_names_through_all_commands(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (source / "subjects.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["video", "subject"], *([name_of(n), f"Smith, {n}"] for n in NAMES)]
        )
    main(["prepare", str(source), "my data", "--workers", "0"])
    frames = {s: read_split(Path("my data"), "split_1", s) for s in ("train", "val", "test")}
    assert sorted(f.video for side in frames.values() for f in side) == sorted(map(name_of, NAMES))
    subjects = read_subjects(Path("my data/subjects.csv"), [name_of(n) for n in NAMES])
    assert subjects == {name_of(name): f"Smith, {name}" for name in NAMES}
    main(["show", "my data", "--out", "a sheet.png", "--side", "test"])
    # every name is scored: all of them on the test side
    split = Path("my data/data_splits/split_1")
    lines = [p.read_bytes() for p in sorted(split.iterdir())]
    (split / "test_per10.txt").write_bytes(b"".join(lines))
    small = ["--data.size=32", "--data.num_workers=0", "--trainer.accelerator=cpu"]
    configs = Path(__file__).parents[2] / "configs" / "demo" / "fcn.yaml"
    arguments = ["-c", str(configs), "--data.root=my data", *small, "--trainer.logger=false"]
    main(["fit", *arguments, "--trainer.max_steps=1", "--trainer.limit_val_batches=1",
          "--trainer.default_root_dir=a run", "--trainer.enable_progress_bar=false"])  # fmt: skip
    checkpoint = next(iter(Path().rglob("*.ckpt")))
    main(["test", *arguments, f"--ckpt_path={checkpoint}", "--record.folder=a record"])
    run = read_run("a record")
    assert sorted(run.table.video.tolist()) == sorted(map(name_of, NAMES))
    assert set(run.table.subject.tolist()) == set(subjects.values())
    main(["report", "a record", "--baseline", "a record", "--out", "a report"])
    with Path("a report/subjects.csv").open(newline="", encoding="utf-8") as file:
        assert {row["subject"] for row in csv.DictReader(file)} == set(subjects.values())
    main(["predict", *arguments, f"--ckpt_path={checkpoint}", "--predictions.folder=labels out",
          "--data.predict_dir=my data/images_orig"])  # fmt: skip
    assert len(list(Path("labels out").iterdir())) == len(NAMES)


def test_the_authors_lines_are_read_as_ever() -> None:
    line = "/images_orig/001_000001.jpg /labels_orig/001_000001.png"
    assert split_line(line, "x") == tuple(line.split())
    assert split_line(f" {line.replace(' ', chr(9) + ' ')} ", "x") == tuple(line.split())
    for wrong in ("/a.jpg", "a b", "/a.jpg /b.png /c.png", ""):
        with pytest.raises(InputError, match=r"x: .* is not '/images_orig/"):
            split_line(wrong, "x")


@pytest.mark.parametrize("name", ["two\nlines", "carriage\rreturn", "latin\udce4"])
def test_names_that_no_list_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    for suffix in (".png", ".pts"):
        (tmp_path / f"{name}{suffix}").touch()
    with pytest.raises(InputError, match=r"rename it"):
        find_annotated(tmp_path)


def test_exclusion_lists_with_such_names(tmp_path: Path) -> None:
    names = ["my photo 2", "my photo", "a,b", "#1", 'say "hi"', "clip", "clip 5", "001", " x"]
    path = tmp_path / "bad.txt"
    path.write_text(
        'my photo 7 # blurred\na,b, 3-4\n"#1" 2\n"say ""hi"""\n"clip" 5\n001 2\n" x" 1\n'
        "# my photo 1\n"
    )
    assert read_exclusions(path, names) == {
        "my photo": {7}, "a,b": {3, 4}, "#1": {2}, 'say "hi"': None, "clip": {5}, "001": {2},
        " x": {1},
    }  # fmt: skip
    for line in ("my photo 2", "clip 5"):
        path.write_text(line)
        with pytest.raises(InputError, match="can be read in two ways; put the video's name in"):
            read_exclusions(path, names)
    path.write_text("my photo 2")
    assert read_exclusions(path, ["my photo 2"]) == {"my photo 2": None}


def test_subjects_that_cannot_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "subjects.csv"
    path.write_text("\ufeffvideo,subject\na,Smith, John\n")
    with pytest.raises(InputError, match="video 'a' holds more values than columns: put a name"):
        read_subjects(path, ["a"])
    path.write_text("video,subject\na,ann\na,bob\n")
    with pytest.raises(InputError, match="video 'a' has two subjects"):
        read_subjects(path, ["a"])
    path.write_text('\ufeffvideo,subject\na,"Smith, John"\nb,"Smith, Mary"\n')
    assert read_subjects(path, ["a", "b"]) == {"a": "Smith, John", "b": "Smith, Mary"}
