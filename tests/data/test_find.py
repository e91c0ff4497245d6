"""What `facemask prepare` finds below a folder, and what it says of the rest."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.cli import main
from facemask.data.landmarks import write_pts
from facemask.data.vw300 import find_videos
from facemask.errors import InputError
from facemask.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from tests.conftest import draw_frame, frame_points
from tests.faces import face_points


def still(path: Path, landmarks: str = ".pts") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    points = face_points(np.random.default_rng(0), 60, (60, 45))
    _, encoded = cv2.imencode(".png", draw_frame(points, 10))
    path.write_bytes(encoded.tobytes())  # the content, not the suffix, says how it is read
    write_pts(path.with_suffix(landmarks), points)


def one_frame_video(folder: Path, video: str, annotation: str) -> None:
    (folder / annotation).parent.mkdir(parents=True)
    points = frame_points("001", 1)
    write_pts(folder / annotation, points)
    writer = cv2.VideoWriter(str(folder / "x.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (128, 96))
    writer.write(draw_frame(points, 1))
    writer.release()
    (folder / "x.avi").rename(folder / video)


def test_stills_of_every_suffix_in_any_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in IMAGE_SUFFIXES:
        still(tmp_path / "src" / f"small{suffix[1:]}{suffix}")
        still(tmp_path / "src" / f"big{suffix[1:]}{suffix.upper()}", ".PTS")
    main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--workers", "0"])
    wanted = {f"{kind}{s[1:]}_000001" for s in IMAGE_SUFFIXES for kind in ("small", "big")}
    assert {p.stem for p in (tmp_path / "out" / "labels_orig").iterdir()} == wanted
    assert "Not used" not in capsys.readouterr().out


def test_what_is_left_out_of_stills_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "src"
    still(source / "a" / "good.jpg")
    shutil.copy(source / "a" / "good.jpg", source / "a" / "good.PNG")  # a second picture
    for name in ("1.jpg", "b/2.TIF", "3.webp", "b/4.png"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"")
    (source / "alone.PTS").write_text("")
    (source / "phone.HEIC").write_bytes(b"")
    write_pts(source / "phone.pts", face_points(np.random.default_rng(0)))
    (source / "b" / "clip.MOV").write_bytes(b"")
    (source / "notes.txt").write_text("")
    for hidden in ("._good.jpg", "._good.pts", ".DS_Store"):  # macOS's, on other systems' disks
        (source / "a" / hidden).write_bytes(b"\0\5\26\7")
    main(["prepare", str(source), str(tmp_path / "out"), "--workers", "0"])
    assert [p.stem for p in (tmp_path / "out" / "labels_orig").iterdir()] == ["a-good_000001"]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Not used")]
    assert lines == [
        "Not used: pictures without a landmark file: 4 (1.jpg, 3.webp, b/2.TIF, …).",
        "Not used: landmark files without a picture: 2 (alone.PTS, phone.pts).",
        "Not used: second pictures of one landmark file: 1 (a/good.PNG).",
        "Not used: pictures of a format that is not read: 1 (phone.HEIC).",
        "Not used: videos without landmarks (`facemask landmarks` makes some): 1 (b/clip.MOV).",
    ]


def test_no_still_at_all_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.JPG").write_bytes(b"")
    (tmp_path / "b.pts").write_bytes(b"")
    with pytest.raises(InputError) as error:
        find_videos(tmp_path)
    assert "no data found" in str(error.value)
    assert "pictures without a landmark file: 1 (a.JPG)" in str(error.value)
    assert "landmark files without a picture: 1 (b.pts)" in str(error.value)


def test_two_annotations_of_one_picture(tmp_path: Path) -> None:
    still(tmp_path / "a.jpg")
    shutil.copy(tmp_path / "a.pts", tmp_path / "a.PTS")
    with pytest.raises(InputError, match=r"a\.pts: annotates the same picture as a\.PTS"):
        find_videos(tmp_path)


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    still(tmp_path / "far" / "a.jpg")
    source = tmp_path / "src"
    source.mkdir()
    (source / "linked").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "loop").symlink_to(source)
    assert [video.name for video in find_videos(source)[0]] == ["linked-a"]


@pytest.mark.parametrize("video", ["vid.MP4", "VID.AVI", "Vid.Mpg", "vid.flv", "vid.3gp"])
def test_capitals_in_the_300vw_layout(tmp_path: Path, video: str) -> None:
    one_frame_video(tmp_path / "src" / "001", video, "Annot/000001.PTS")
    main(["prepare", str(tmp_path / "src"), str(tmp_path / "out"), "--workers", "0"])
    assert [p.stem for p in (tmp_path / "out" / "labels_orig").iterdir()] == ["001_000001"]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_every_video_suffix(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "1" / "annot").mkdir(parents=True)
    (tmp_path / "1" / "annot" / "1.pts").touch()
    (tmp_path / "1" / f"vid{suffix.upper()}").touch()
    (video,) = find_videos(tmp_path)[0]
    assert video.path.name == f"vid{suffix.upper()}"
    assert not video.is_still


def test_what_is_left_out_of_videos_is_told(tmp_path: Path) -> None:
    one_frame_video(tmp_path / "001", "vid.avi", "annot/000001.pts")
    shutil.copy(tmp_path / "001" / "vid.avi", tmp_path / "001" / "vid.MP4")
    (tmp_path / "002").mkdir()
    for name in ("face.jpg", "face.pts", "readme.txt", "003.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "001" / "annot" / "._000001.pts").touch()
    videos, notes = find_videos(tmp_path)
    assert [(video.name, list(video.annotations)) for video in videos] == [("001", [1])]
    assert notes == [
        "Not used: beside the folders with a video and annotations: 4 (002, 003.mp4, face.jpg, …).",
        "Not used: a second video of one folder: 1 (001/vid.MP4).",
    ]


def test_two_annotations_of_one_frame(tmp_path: Path) -> None:
    one_frame_video(tmp_path / "001", "vid.avi", "annot/000001.pts")
    (tmp_path / "001" / "annot" / "1.pts").touch()
    with pytest.raises(InputError, match=r"1\.pts: annotates frame 1 as 000001\.pts does"):
        find_videos(tmp_path)


def test_a_video_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "001" / "annot").mkdir(parents=True)
    (tmp_path / "001" / "vid.xyz").touch()
    with pytest.raises(InputError, match=r"annotations but no video; .*, found vid\.xyz"):
        find_videos(tmp_path)
