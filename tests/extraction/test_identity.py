"""Results count only for the input and the options that they were made from."""

import csv
import inspect
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from facemask.cli import main
from facemask.extraction import command, outputs
from facemask.extraction.record import Record
from facemask.locking import claimed
from tests.extraction.faces import paint, paint_labels, random_cascade, write_video


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    random_cascade().save(tmp_path / "model.safetensors")
    (tmp_path / "made").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"id{name.upper()}").mkdir()
        sizes = range(3 if name == "a" else 5)  # how the tables are told apart
        video = write_video(
            tmp_path / "made" / f"{name}.mp4",
            [paint(paint_labels(48, 48, 24 + t, 24, 40)) for t in sizes],
        )
        shutil.copyfile(video, tmp_path / f"id{name.upper()}" / "00001.mp4")


A, B = "idA/00001.mp4", "idB/00001.mp4"


def run(capsys: pytest.CaptureFixture[str], *arguments: str, save: str = "csv") -> str:
    capsys.readouterr()
    given = [*arguments, "--cropped", "--save", save]
    if "--model" not in arguments:
        given += ["--model", "model.safetensors"]
    main(["extract", *given])
    return " ".join(capsys.readouterr().err.split())


def frames(name: str) -> int:
    with Path(f"masks/{name}.csv").open(newline="") as file:
        return len(list(csv.DictReader(file)))


def record(name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(Path(f"masks/{name}.facemask.json").read_text())
    return content


def test_a_list_that_grows_at_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.txt").write_text(f"{A}\n")
    run(capsys, "list.txt", "--resume")
    assert frames("00001") == 3
    Path("list.txt").write_text(f"{B}\n{A}\n")
    said = run(capsys, "list.txt", "--resume")
    assert (frames("idA-00001"), frames("idB-00001")) == (3, 5)
    assert "idB-00001.csv in masks, from idB/00001.mp4" in said
    assert record("idB-00001")["source"]["path"] == B  # type: ignore[index]
    Path("list.txt").write_text(f"{A}\n{B}\n")
    assert "All 2 videos are done already." in run(capsys, "list.txt", "--resume")


def test_it_counts_what_computed_the_masks_and_not_what_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(capsys, A, "--backend", "auto", "--precision", "auto")
    content = record("00001")
    options = content["options"]
    assert isinstance(options, dict)
    assert options["backend"] == "torch"
    assert options["precision"] in ("float32", "bf16")
    same = ["--backend", "torch", "--precision", options["precision"], "--resume"]
    assert run(capsys, A, *same) == "The video is done already."
    for name, other in (("backend", "openvino"), ("precision", "int8")):  # of another machine
        changed = {**content, "options": {**options, name: other}}
        Path("masks/00001.facemask.json").write_text(json.dumps(changed))
        said = run(capsys, A, "--resume")
        assert f"00001: done anew, it was made with another --{name} ({other})." in said


def test_another_source_of_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, A)
    said = run(capsys, B, "--resume")
    assert "00001: done anew, it was made from idA/00001.mp4." in said
    assert frames("00001") == 5
    assert f"the results there, of {B}, are replaced by those of {A}" in run(capsys, A)
    assert frames("00001") == 3


def test_what_is_done_is_left_out_and_what_differs_is_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    random_cascade(seed=1).save(tmp_path / "other.safetensors")
    run(capsys, A)
    done = "The video is done already."
    assert run(capsys, A, "--resume") == done
    os.utime(A, (1, 1))
    assert run(capsys, A, "--resume") == done  # touched, but of the same content
    Path(A).rename("idA/0.mp4")
    shutil.copyfile("idA/0.mp4", A)
    assert run(capsys, A, "--resume") == done
    for reason, arguments in [
        ("it was made with another model", ["--model", "other.safetensors"]),
        ("it was made with another --temporal (window)", ["--temporal", "off"]),
        ("it was made with another --rotate (0)", ["--rotate", "90"]),
        ("it was made with another --opacity (0.3)", ["--opacity", "0.25"]),
        ("it was made with another --every (5)", ["--every", "7"]),
        ("it was made with another --upright (True)", ["--upright", "off"]),
        ("it was made with another --passes (2)", ["--passes", "1"]),
    ]:
        said = run(capsys, A, *arguments, "--resume")
        assert f"00001: done anew, {reason}." in said
        assert run(capsys, A, *arguments, "--resume") == done
        run(capsys, A)
    stat = Path(A).stat()
    content = bytearray(Path(A).read_bytes())
    content[content.index(b"Lavf")] = ord("X")  # the name of its writer
    Path(A).write_bytes(content)
    os.utime(A, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and time as before
    assert "done anew, its source has changed." in run(capsys, A, "--resume")


def test_every_option_that_decides_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, A)
    undecided = {"inputs", "out", "save", "device", "plot", "resume", "model", "jobs", "cluster",
                 "sheet", "treat_as"}  # fmt: skip
    asked = set(inspect.signature(command.extract).parameters) - undecided
    assert asked <= set(record("00001")["options"])  # type: ignore[call-overload]


def test_another_content_of_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    def boxes(right: int) -> str:
        rows = "".join(f"{n},4,5,{right},45\n" for n in range(3))
        Path("boxes.csv").write_text(f"frame,left,top,right,bottom\n{rows}")
        capsys.readouterr()
        main(["extract", A, "--model", "model.safetensors", "--boxes", "boxes.csv",
              "--save", "csv", "--resume"])  # fmt: skip
        return capsys.readouterr().err

    boxes(44)
    assert "is done already" in boxes(44)
    assert "done anew, it was made with another --boxes." in " ".join(boxes(43).split())


def test_records_of_others_damaged_ones_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, A)
    path = Path("masks/00001.facemask.json")
    whole = json.loads(path.read_text())
    for reason, text in [
        ("its record cannot be read", "{"),
        ("its record cannot be read", "[]"),
        ("its record cannot be read", '{"source": 3}'),
        ("it was made by facemask 0.0.9", json.dumps(whole | {"facemask": "0.0.9"})),
    ]:
        path.write_text(text)
        assert f"00001: done anew, {reason}." in run(capsys, A, "--resume")
        path.write_text(text)
        run(capsys, A)
    path.write_text(json.dumps(whole | {"outputs": {"npz": "../idA/00001.mp4"}}))
    assert "its record cannot be read" in run(capsys, A, "--resume")
    path.unlink()
    said = run(capsys, A, "--resume")
    assert "00001: done anew, nothing says what it was made from." in said
    Path("masks/00001.csv").unlink()
    assert "00001: done anew, it has no csv." in run(capsys, A, "--resume")


def test_more_and_other_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, A)
    said = run(capsys, A, "--resume", save="csv,npz")
    assert "done anew, it has no npz." in said
    run(capsys, A, "--resume", save="labels")
    for save in ("csv", "npz,labels", "csv,labels"):  # all of one kind
        assert "is done already" in run(capsys, A, "--resume", save=save)
    said = run(capsys, A, "--temporal", "off", save="csv")
    assert "still of an earlier run, not of this one: 00001.labels.npz, 00001.labels.mkv." in said
    assert record("00001")["outputs"] == {"csv": "00001.csv"}
    assert "done anew, it has no csv" not in run(
        capsys, A, "--temporal", "off", "--resume", save="npz"
    )
    said = run(capsys, A, "--plot", "--temporal", "off", "--resume")
    assert "done anew, it has no plot." in said


def test_killed_before_the_record(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise OSError("killed")

    run(capsys, A)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "write", dies)
        with pytest.raises(OSError, match="killed"):
            run(capsys, A, "--temporal", "off")
    assert sorted(path.name for path in Path("masks").iterdir()) == ["00001.csv"]
    assert "done anew, nothing says what" in run(capsys, A, "--resume")


def test_parts_of_another_source_or_model_are_not_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    random_cascade(seed=1).save(tmp_path / "other.safetensors")
    monkeypatch.setattr(outputs, "PART_FRAMES", 2)

    def killed() -> None:
        def dies(*_: object) -> None:
            raise OSError("killed")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outputs.PartedOutputs, "_join", dies)
            with pytest.raises(SystemExit):
                run(capsys, B)

    killed()
    said = run(capsys, B, "--model", "other.safetensors", "--resume")
    assert "00001: begun anew, of what was left it was made with another model." in said
    killed()
    said = run(capsys, B, "--resume", save="csv,npz")
    assert "begun anew, of what was left it has no npz." in said
    assert len(np.load("masks/00001.labels.npz")) == frames("00001") == 5
    killed()
    os.utime(B, (1, 1))
    assert "4 frames before" in run(capsys, B, "--resume") or frames("00001") == 5


def test_shares_of_a_list_that_changed_in_between(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    shutil.copyfile("made/a.mp4", "c.mp4")
    monkeypatch.setenv("RANK", "1")
    run(capsys, A, B, "c.mp4", "--resume")
    assert sorted(path.name for path in Path("masks").glob("*.csv")) == ["idB-00001.csv"]
    monkeypatch.setenv("RANK", "0")
    run(capsys, B, "c.mp4", A, "--resume")
    monkeypatch.setenv("RANK", "1")
    run(capsys, B, "c.mp4", A, "--resume")
    assert [frames(name) for name in ("idA-00001", "idB-00001", "c")] == [3, 5, 3]
    monkeypatch.delenv("RANK")
    assert "All 3 videos are done already." in run(capsys, A, "c.mp4", B, "--resume")


def test_one_process_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    Path("masks").mkdir()
    with claimed(Path("masks/.00001.lock")) as is_mine:
        assert is_mine
        said = run(capsys, A, "--resume")
        assert "00001: left out, another process is writing its results in masks." in said
        with pytest.raises(SystemExit):
            run(capsys, A)
        assert "another process is writing its results" in capsys.readouterr().err
    assert not list(Path("masks").iterdir())
    run(capsys, A)
    assert not list(Path("masks").glob(".*"))


def test_names_that_look_like_styles(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x[").mkdir()
    shutil.copyfile("made/a.mp4", "x[/bold] [red] :smile:.mp4")
    said = run(capsys, "x[/bold] [red] :smile:.mp4")
    assert "bold] [red] :smile:.csv in masks, from x[/bold] [red] :smile:.mp4" in said


def test_no_result_takes_the_place_of_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile("made/a.mp4", "clip.mp4")
    shutil.copyfile("made/a.mp4", "clip.overlay.mp4")
    with pytest.raises(SystemExit):
        run(capsys, "clip.mp4", "clip.overlay.mp4", "-o", ".", save="overlay")
    assert "clip.overlay.mp4 is an input, and a result of clip.mp4 would" in " ".join(
        capsys.readouterr().err.split()
    )
    assert Path("clip.overlay.mp4").read_bytes() == Path("made/a.mp4").read_bytes()
