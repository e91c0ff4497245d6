import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.boxes import face_crop_box
from facemask.data.landmarks import write_pts
from facemask.data.lists import read_exclusions
from facemask.data.masks import landmarks_to_mask
from facemask.data.prepare import prepare
from facemask.data.prepare_video import draw_sequences
from facemask.data.split import split_by_subject
from facemask.data.vw300 import find_videos, read_frames, scan_frames
from facemask.data.vw300_mask import read_label
from facemask.errors import InputError
from facemask.files import read_image
from tests.conftest import HEIGHT, VIDEOS, WIDTH, background, draw_frame, frame_points
from tests.faces import face_points


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Modification time and content of every file."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}


def contents(root: Path) -> dict[str, bytes]:
    return {name: content for name, (_, content) in snapshot(root).items()}


def copy_videos(root: Path, target: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(root / name, target / name)
    return target


def test_frame_k_meets_annotation_k(vw300_root: Path, mask_root: Path) -> None:
    seen = 0
    for video, (count, _) in VIDEOS.items():
        for number in range(1, count + 1):
            points = frame_points(video, number)
            box = face_crop_box(points, HEIGHT, WIDTH)
            name = f"{video}_{number:06d}"
            crop = read_image(mask_root / "images_orig" / f"{name}.jpg")[..., ::-1].astype(float)
            drawn = draw_frame(points, number)[box.top : box.bottom, box.left : box.right]
            assert np.abs(crop - drawn).mean() < 6  # JPEG twice, chroma halved
            corner = crop[:3, :3].mean()
            assert corner == pytest.approx(background(number), abs=4)
            label = cv2.imread(str(mask_root / "labels_orig" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
            full = landmarks_to_mask(points, HEIGHT, WIDTH)
            np.testing.assert_array_equal(label, full[box.top : box.bottom, box.left : box.right])
            seen += 1
    assert seen == 140


def test_splits_are_subject_independent_and_complete(mask_root: Path) -> None:
    videos_of: dict[str, set[str]] = {}
    lines: list[str] = []
    for side in ("train", "val", "test"):
        text = (mask_root / f"data_splits/split_1/{side}_per10.txt").read_text().splitlines()
        videos_of[side] = {line.split("/")[2].split("_")[0] for line in text}
        lines += text
    subjects = {s: {VIDEOS[v][1] for v in videos} for s, videos in videos_of.items()}
    assert all(subjects.values())
    assert sum(len(s) for s in subjects.values()) == 3  # no subject twice
    assert len(set(lines)) == 140
    assert "/images_orig/004_000031.jpg /labels_orig/004_000031.png" in lines
    assert "002,bob" in (mask_root / "subjects.csv").read_text().splitlines()


def test_processes_change_nothing_and_a_second_run_writes_nothing(
    vw300_root: Path, mask_root: Path, tmp_path: Path
) -> None:
    prepare(vw300_root, tmp_path, fraction=1.0, workers=2)
    assert contents(tmp_path) == contents(mask_root)
    before = snapshot(tmp_path)
    prepare(vw300_root, tmp_path, fraction=1.0, workers=1)
    after = snapshot(tmp_path)
    unchanged = [name for name in before if not name.startswith(("data_splits", "subjects"))]
    assert len(unchanged) == 284
    assert all(before[name] == after[name] for name in unchanged)


def test_a_killed_run_continues(vw300_root: Path, mask_root: Path, tmp_path: Path) -> None:
    prepare(vw300_root, tmp_path, fraction=1.0, workers=1)
    # as if killed in the middle of 002: some files there, one under its temporary name
    (tmp_path / ".prepare" / "002.json").unlink()
    for number in range(10, 34):
        (tmp_path / "images_orig" / f"002_{number:06d}.jpg").unlink()
    (tmp_path / "labels_orig" / "002_000010.png").write_bytes(b"cut off")
    (tmp_path / "data_splits/split_1/train_per10.txt").unlink()
    before = snapshot(tmp_path)
    prepare(vw300_root, tmp_path, fraction=1.0, workers=1)
    after = snapshot(tmp_path)
    assert contents(tmp_path) == contents(mask_root)
    assert before["images_orig/001_000001.jpg"] == after["images_orig/001_000001.jpg"]


def test_other_settings_leave_no_stale_files(vw300_root: Path, tmp_path: Path) -> None:
    prepare(vw300_root, tmp_path / "a", fraction=1.0, workers=1)
    prepare(vw300_root, tmp_path / "a", fraction=0.1, seed=3, workers=1)
    prepare(vw300_root, tmp_path / "b", fraction=0.1, seed=3, workers=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    names = {p.name for p in (tmp_path / "a" / "images_orig").iterdir()}
    # one whole second of 001, 002 and 004; 003 has no whole second and keeps its 12 frames
    assert len(names) == 30 + 30 + 12 + 30


def test_draw_sequences() -> None:
    frames = list(range(1, 301)) + list(range(331, 341))  # ten whole seconds and a part of one
    drawn = draw_sequences(frames, fraction=0.3, seed=1)
    assert len(drawn) == 90
    assert {sum((f - 1) // 30 == s for f in drawn) for s in range(10)} == {0, 30}
    assert drawn != draw_sequences(frames, fraction=0.3, seed=2)
    assert draw_sequences(frames, fraction=1.0, seed=1) == frames
    assert draw_sequences([61, 62], fraction=0.1, seed=1) == [61, 62]
    gap = [*range(1, 30), *range(31, 61)]  # frame 30 is missing: the whole second comes first
    assert all(draw_sequences(gap, 0.1, seed)[0] == 31 for seed in range(8))


def test_split_follows_the_paper_and_never_divides_a_subject() -> None:
    subjects = {f"{n:03d}": f"s{n % 40}" for n in range(114)}
    sides = split_by_subject(subjects, seed=5)
    counts = {s: sum(sides[x] == s for x in subjects.values()) for s in ("train", "val", "test")}
    assert counts["val"] == 9
    assert counts["test"] == 12
    assert sides != split_by_subject(subjects, seed=6)
    assert sides == split_by_subject(subjects, seed=5)
    assert sorted(split_by_subject({"1": "a", "2": "b", "3": "c"}).values()) == [
        "test",
        "train",
        "val",
    ]
    assert sorted(split_by_subject({"1": "a", "2": "b"}).values()) == ["test", "train"]
    assert split_by_subject({"1": "a", "2": "a"}) == {"a": "train"}


def test_exclusions_break_sequences(vw300_root: Path, tmp_path: Path) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "001", "003")
    exclude = tmp_path / "bad.txt"
    exclude.write_text("# seen by eye\n001 5\n001, 40-64\n\n003\n")
    assert read_exclusions(exclude) == {"001": {5, *range(40, 65)}, "003": None}
    prepare(source, tmp_path / "out", fraction=1.0, exclude=exclude, workers=1)
    names = sorted(p.stem for p in (tmp_path / "out" / "images_orig").iterdir())
    assert names == [f"001_{n:06d}" for n in range(1, 40) if n != 5]


@pytest.mark.parametrize("line", ["001 five", "001 5 6 7", "001 5-", "001 -5"])
def test_bad_exclusion_lines(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(f"001 3\n{line}\n")
    with pytest.raises(InputError, match="line 2: "):
        read_exclusions(path)


def test_a_frame_without_annotation(vw300_root: Path, tmp_path: Path) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "001", "003")
    (source / "003" / "annot" / "000007.pts").unlink()
    with pytest.raises(InputError, match=r"frame 7 has no annotation \(1 such") as error:
        prepare(source, tmp_path / "out", fraction=1.0, workers=1)
    assert "1 of 2 videos failed; the others are done" in str(error.value)
    assert len(list((tmp_path / "out" / "images_orig").glob("001_*"))) == 64  # kept
    prepare(source, tmp_path / "out", fraction=1.0, workers=1, skip_unannotated=True)
    assert not (tmp_path / "out" / "images_orig" / "003_000007.jpg").exists()
    assert len(list((tmp_path / "out" / "images_orig").glob("003_*"))) == 11


def test_counts_that_disagree_are_said(
    vw300_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "001", "003")
    for number in range(60, 65):
        (source / "001" / "annot" / f"{number:06d}.pts").unlink()
    write_pts(source / "003" / "annot" / "000013.pts", frame_points("003", 13))
    prepare(source, tmp_path / "out", fraction=1.0, workers=1)
    printed = " ".join(capsys.readouterr().out.split())
    assert "001: 5 frames after the last annotation (59) left out." in printed
    assert "003: 1 annotation beyond the last of 12 frames left out." in printed


def test_stills_become_videos_of_one_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("afw/a.jpg", "helen/train/b.png", "c_1.jpg"):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        points = face_points(rng, 60, (60, 45))
        cv2.imwrite(str(path), draw_frame(points, 10))
        write_pts(path.with_suffix(".pts"), points)
    (tmp_path / "src" / "alone.pts").write_text("no image beside it")
    videos = find_videos(tmp_path / "src")[0]
    assert [v.name for v in videos] == ["afw-a", "c_1", "helen-train-b"]
    assert all(v.is_still for v in videos)
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    names = sorted(p.name for p in (tmp_path / "out" / "labels_orig").iterdir())
    assert names == ["afw-a_000001.png", "c_1_000001.png", "helen-train-b_000001.png"]


def test_frames_are_decoded_exactly(vw300_root: Path) -> None:
    path = vw300_root / "001" / "vid.avi"
    assert scan_frames(path).frames == 64
    frames = dict(read_frames(path, [2, 3, 50, 64, 65]))
    assert list(frames) == [2, 3, 50, 64]  # the video ends early: so does the iteration
    for number, frame in frames.items():
        assert frame[0, 0].mean() == pytest.approx(background(number), abs=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a video", "not a video, or damaged"), (b"", "the file is empty")],
)
def test_unreadable_video(vw300_root: Path, tmp_path: Path, content: bytes, message: str) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "003")
    (source / "003" / "vid.avi").write_bytes(content)
    with pytest.raises(InputError, match=message):
        prepare(source, tmp_path / "out", workers=1)
    with pytest.raises(InputError, match=message):
        next(read_frames(source / "003" / "vid.avi", [1]))


def test_zero_frame_video(vw300_root: Path, tmp_path: Path) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "003")
    size = (WIDTH, HEIGHT)
    cv2.VideoWriter(
        str(source / "003" / "vid.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, size
    ).release()
    with pytest.raises(InputError, match=r"vid\.avi: no frame|vid\.avi: not a video"):
        prepare(source, tmp_path / "out", workers=1)


def test_bad_annotation_names_its_file(vw300_root: Path, tmp_path: Path) -> None:
    source = copy_videos(vw300_root, tmp_path / "src", "003")
    bad = source / "003" / "annot" / "000002.pts"
    bad.write_text(bad.read_text().replace("n_points: 68", "n_points: 67"))
    with pytest.raises(InputError, match=r"000002\.pts: the header says n_points: 67"):
        prepare(source, tmp_path / "out", workers=1)
    write_pts(bad, frame_points("003", 2) + 1000)
    with pytest.raises(InputError, match=r"000002\.pts: the landmarks .* no face inside the frame"):
        prepare(source, tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "data_splits").exists()
    assert not (tmp_path / "out" / ".prepare" / "003.json").exists()


def test_bad_sources(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        prepare(tmp_path / "none", tmp_path / "out")
    with pytest.raises(InputError, match="no data found; expected folders NNN"):
        prepare(tmp_path, tmp_path / "out")
    (tmp_path / "src" / "001" / "annot").mkdir(parents=True)
    with pytest.raises(InputError, match="annotations but no video"):
        prepare(tmp_path / "src", tmp_path / "out")
    (tmp_path / "src" / "001" / "vid.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="no annotations; expected"):
        prepare(tmp_path / "src", tmp_path / "out")
    (tmp_path / "src" / "001" / "annot" / "frame1.pts").write_text("")
    with pytest.raises(InputError, match=r"frame1\.pts: not a frame number"):
        prepare(tmp_path / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_options(vw300_root: Path, tmp_path: Path) -> None:
    for fraction in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match="--fraction is"):
            prepare(vw300_root, tmp_path / "out", fraction=fraction)
    with pytest.raises(InputError, match="--seed is -1"):
        prepare(vw300_root, tmp_path / "out", seed=-1)
    with pytest.raises(InputError, match="--workers is -2"):
        prepare(vw300_root, tmp_path / "out", workers=-2)
    before = snapshot(vw300_root)
    with pytest.raises(InputError, match="is the source itself"):
        prepare(vw300_root, vw300_root / "001" / "..")
    assert snapshot(vw300_root) == before
    with pytest.raises(InputError, match="--jpeg_quality is 0"):
        prepare(vw300_root, tmp_path / "out", jpeg_quality=0)
    (tmp_path / "ex.txt").write_text("017 3\n")
    with pytest.raises(InputError, match="video '017' is not in"):
        prepare(vw300_root, tmp_path / "out", exclude=tmp_path / "ex.txt")
    (tmp_path / "ex.txt").write_text("001\n002\n003\n004\n")
    with pytest.raises(InputError, match="leaves out every video"):
        prepare(vw300_root, tmp_path / "out", exclude=tmp_path / "ex.txt")
    (tmp_path / "s.csv").write_text("video,subject\n001,a\n")
    with pytest.raises(InputError, match=r"no subject for video '002' \(3 in all\)"):
        prepare(vw300_root, tmp_path / "out", subjects=tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text("001,a\n")
    with pytest.raises(InputError, match="columns 'video' and 'subject'"):
        prepare(vw300_root, tmp_path / "out", subjects=tmp_path / "s.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        prepare(vw300_root, tmp_path / "file")


def test_record_of_a_finished_video(mask_root: Path) -> None:
    record = json.loads((mask_root / ".prepare" / "003.json").read_text())
    assert record["frames"] == list(range(1, 13))
    assert record["fingerprint"]["fraction"] == 1.0


def test_crop_box() -> None:
    points = np.zeros((68, 2))
    points[:, 0] = np.linspace(40, 60, 68)  # width 20, height 40: side 1.3 × 30 = 39
    points[:, 1] = np.linspace(30, 70, 68)
    assert face_crop_box(points, 200, 200) == (31, 31, 70, 70)  # centre 50.5 in edge coordinates
    assert face_crop_box(points, 60, 55) == (31, 31, 55, 60)  # clipped
    with pytest.raises(InputError, match="no face inside the frame of 30×200"):
        face_crop_box(points, 200, 30)


def label_of(out: Path, name: str) -> npt.NDArray[np.uint8]:
    return read_label(out / "labels_orig" / f"{name}.png")


def test_a_corrected_annotation_makes_a_new_mask(vw300_root: Path, tmp_path: Path) -> None:
    source, out = copy_videos(vw300_root, tmp_path / "src", "001", "003"), tmp_path / "out"
    prepare(source, out, fraction=1.0, workers=1)
    before, other = snapshot(out), label_of(out, "003_000005")
    annotation = source / "003" / "annot" / "000005.pts"
    status = annotation.stat()
    points = frame_points("003", 5)
    write_pts(annotation, points.mean(axis=0) + 0.6 * (points - points.mean(axis=0)))
    os.utime(annotation, ns=(status.st_atime_ns, status.st_mtime_ns))  # the content tells
    prepare(source, out, fraction=1.0, workers=1)
    after = snapshot(out)
    assert label_of(out, "003_000005").shape[0] == pytest.approx(0.6 * other.shape[0], abs=1)
    assert after["images_orig/001_000001.jpg"] == before["images_orig/001_000001.jpg"]  # kept
    prepare(source, tmp_path / "anew", fraction=1.0, workers=1)
    assert contents(out) == contents(tmp_path / "anew")


def test_a_changed_still_makes_a_new_crop(tmp_path: Path) -> None:
    points = face_points(np.random.default_rng(0), 60, (60, 45))
    (tmp_path / "src").mkdir()
    still = tmp_path / "src" / "a.bmp"  # always of one size
    cv2.imwrite(str(still), draw_frame(points, 3))
    write_pts(still.with_suffix(".pts"), points)
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    first, status = read_image(tmp_path / "out" / "images_orig" / "a_000001.jpg"), still.stat()
    cv2.imwrite(str(still), draw_frame(points, 12))
    os.utime(still, ns=(status.st_atime_ns, status.st_mtime_ns))
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    second = read_image(tmp_path / "out" / "images_orig" / "a_000001.jpg")
    assert second[0, 0].mean() - first[0, 0].mean() == pytest.approx(90, abs=8)


def test_missing_files_and_damaged_records_are_made_anew(vw300_root: Path, tmp_path: Path) -> None:
    source, out = copy_videos(vw300_root, tmp_path / "src", "001", "003"), tmp_path / "out"
    prepare(source, out, fraction=1.0, workers=1)
    whole = contents(out)
    for folder, suffix in (("labels_orig", "png"), ("images_orig", "jpg")):
        (out / folder / f"003_000004.{suffix}").unlink()
    (out / ".prepare" / "001.json").write_text('{"fingerprint": ')
    prepare(source, out, fraction=1.0, workers=1)
    assert contents(out) == whole


def test_many_subjects_and_many_stills() -> None:
    """Cubic time would take hours, and quadratic space 3 GB."""
    for videos_each in (1, 2, 3):
        subject_of = {f"{s}-{v}": f"s{s}" for s in range(20_000) for v in range(videos_each)}
        sides = split_by_subject(subject_of, seed=1)
        counts = Counter(sides[subject] for subject in subject_of.values())
        total = 20_000 * videos_each
        for side, share in (("val", 9 / 114), ("test", 12 / 114)):
            assert abs(counts[side] - round(total * share)) < videos_each
    assert Counter(split_by_subject({str(n): str(n) for n in range(60_000)}).values()) == {
        "train": 48_947, "val": 4_737, "test": 6_316
    }  # fmt: skip


def test_the_output_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = face_points(np.random.default_rng(0), 60, (60, 45))
    (tmp_path / "src").mkdir()
    for number in range(8):
        cv2.imwrite(str(tmp_path / "src" / f"{number}.png"), draw_frame(points, 3))
        write_pts(tmp_path / "src" / f"{number}.pts", points)
    listed: list[Path] = []
    iterdir = Path.iterdir

    def counted(self: Path) -> Iterator[Path]:
        listed.append(self)
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", counted)
    prepare(tmp_path / "src", tmp_path / "out", workers=1)
    assert sorted(path.name for path in listed if path.parent.name == "out") == [
        "images_orig",
        "labels_orig",
    ]
