"""Folders of images, cameras, and what a command's inputs stand for."""

import errno
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.errors import InputError, Notice
from facemask.video import sources
from facemask.video.reading import expand_inputs, open_source
from tests.video.videos import frame_index, make_video, picture


def fill(folder: Path, names: list[str], size: tuple[int, int] = (24, 32)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        # cv2 writes by the suffix; all these formats but JPEG and WebP are exact
        cv2.imwrite(str(folder / name), picture(index, *size)[..., ::-1])
    return folder


class TestFolder:
    def test_frames_in_natural_order(self, tmp_path: Path) -> None:
        names = ["f1.png", "f2.jpg", "f3.bmp", "f9.webp", "f10.tiff", "f11.JPEG", "f100.png"]
        folder = fill(tmp_path / "face", names)
        (folder / "notes.md").write_text("")
        (folder / ".f0.png").write_text("")
        with open_source(folder) as source:
            assert (source.name, source.path, source.fps) == ("face", folder, Fraction(25))
            assert (source.height, source.width, source.frame_count) == (24, 32, 7)
            assert not source.has_audio
            frames = list(source)
            assert source.problem is None
        assert [frame_index(frame.image) for frame in frames] == list(range(7))
        assert frames[6].time == 6 / 25
        np.testing.assert_array_equal(frames[0].image, picture(0, 24, 32))

    def test_frame_rate(self, tmp_path: Path) -> None:
        folder = fill(tmp_path, ["1.png", "2.png"])
        with open_source(folder, fps=Fraction(30000, 1001)) as source:
            assert [frame.time for frame in source] == [0, 1001 / 30000]
        with pytest.raises(InputError, match="frame rate of a folder is 0"):
            open_source(folder, fps=0)

    def test_one_image(self, tmp_path: Path) -> None:
        fill(tmp_path, ["a.png", "b.png"])
        with open_source(tmp_path / "b.png") as source:
            assert source.name == "b"
            assert [frame_index(frame.image) for frame in source] == [1]

    def test_no_images(self, tmp_path: Path) -> None:
        with pytest.raises(
            InputError, match=r"a folder without images; expected frames as \.jpg, "
        ):
            open_source(tmp_path)
        (tmp_path / "a.mp4").touch()
        with pytest.raises(InputError, match=r"for its videos, 1 \(a\.mp4\), give '.*/\*\.mp4'"):
            open_source(tmp_path)

    def test_sizes_differ(self, tmp_path: Path) -> None:
        folder = fill(tmp_path, ["1.png", "2.png"])
        fill(folder, ["3.png"], (24, 34))
        with pytest.raises(InputError, match=r"3\.png: has 34x24 pixels, but 1\.png has 32x24"):
            list(open_source(folder))

    def test_unreadable_image(self, tmp_path: Path) -> None:
        folder = fill(tmp_path, ["1.png", "2.png"])
        (folder / "3.png").write_text("no image")
        with pytest.raises(InputError, match=r"3\.png: cannot read the image"):
            list(open_source(folder))

    def test_formats_that_opencv_reads(self, tmp_path: Path) -> None:
        names = ["1.png", "2.JFIF", *(["3.avif"] if cv2.haveImageWriter("a.avif") else [])]
        for index, name in enumerate(names):
            _, data = cv2.imencode(name.replace("JFIF", "jpg")[1:], picture(index, 24, 32))
            (tmp_path / name).write_bytes(data.tobytes())
        assert [frame_index(f.image) for f in open_source(tmp_path)] == list(range(len(names)))

    def test_what_else_is_in_it_is_told(self, tmp_path: Path) -> None:
        folder = fill(tmp_path / "mixed", ["1.png", "2.png"])
        for name in ("a.MP4", "b.mov", "c.heic", "notes.md", ".d.mp4"):
            (folder / name).touch()
        with open_source(folder) as source:
            assert len(list(source)) == 2
            assert source.problem == (
                f"{folder} holds more than these pictures: for its videos, 2 (a.MP4, b.mov), give "
                f"'{folder}/*.MP4'; pictures of a format that is not read, 1 (c.heic): convert "
                "them."
            )

    def test_only_unread_formats(self, tmp_path: Path) -> None:
        (tmp_path / "c.HEIC").touch()
        with pytest.raises(InputError, match=r"format that is not read, 1 \(c\.HEIC\): convert"):
            open_source(tmp_path)


class TestCamera:
    def test_missing(self, capfd: pytest.CaptureFixture[str]) -> None:
        for camera in (99, "99"):
            with pytest.raises(InputError, match="camera 99: no such camera"):
                open_source(camera)
        assert capfd.readouterr().err == ""  # none of OpenCV's own lines

    def test_frames_until_it_stops(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        video = make_video(tmp_path / "a.avi", 6, codec="mjpeg", pixels="yuvj420p")
        opened: Callable[[str], cv2.VideoCapture] = cv2.VideoCapture
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: opened(str(video)))
        with open_source(0) as camera:
            assert (camera.name, camera.path, camera.frame_count) == ("camera0", None, None)
            assert (camera.height, camera.width, camera.fps) == (48, 64, Fraction(25))
            frames = list(camera)
        # the first picture showed that the camera works
        assert [frame_index(frame.image) for frame in frames] == [1, 2, 3, 4, 5]
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        assert frames[0].time == 0
        assert (np.diff([frame.time for frame in frames]) > 0).all()
        np.testing.assert_allclose(frames[0].image[4, 4], (200, 40, 40), atol=8)

    def test_closing_ends_the_frames(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        video = make_video(tmp_path / "a.avi", 6, codec="mjpeg", pixels="yuvj420p")
        opened: Callable[[str], cv2.VideoCapture] = cv2.VideoCapture
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: opened(str(video)))
        camera = open_source(0)
        frames = iter(camera)
        next(frames)
        camera.close()
        assert list(frames) == []


class TestInputs:
    @pytest.fixture
    def root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in ("clip1.mp4", "clip2.mp4", "clip10.mp4", "x/vid.avi", "x/y/vid.mkv", "x/a.pts"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        fill(tmp_path / "frames", ["1.png"])
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_files_folders_and_cameras(self, root: Path) -> None:
        inputs = ["clip2.mp4", "frames", "1", "clip1.mp4", "0", "./clip2.mp4", str(root / "frames")]
        assert expand_inputs(inputs) == ["clip2.mp4", "frames", 1, "clip1.mp4", 0]

    def test_pictures_that_a_pattern_leaves_out_are_told(self, root: Path) -> None:
        fill(root / "x", ["1.png", "2.jpg"])
        with pytest.warns(Notice, match=r"x/\*: leaves out pictures, 2 \(1\.png, 2\.jpg\): give"):
            assert expand_inputs(["x/*"]) == ["x/vid.avi"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert expand_inputs(["x/*.png"]) == ["x/1.png"]
            assert "frames" in expand_inputs(["**"])  # its pictures are taken with it
        with pytest.raises(InputError, match=r"y/\*: no video .*; for its pictures, 1 \(1\.png\)"):
            expand_inputs([str(fill(root / "y", ["1.png"]) / "*")])

    def test_a_file_named_like_a_camera(self, root: Path) -> None:
        (root / "7").touch()
        assert expand_inputs(["7", "8"]) == ["7", 8]

    def test_patterns(self, root: Path) -> None:
        assert expand_inputs(["clip*.mp4"]) == ["clip1.mp4", "clip2.mp4", "clip10.mp4"]
        assert expand_inputs(["x/**/vid.*"]) == ["x/vid.avi", "x/y/vid.mkv"]
        assert expand_inputs(["**"]) == [
            "clip1.mp4", "clip2.mp4", "clip10.mp4", "frames", "x/vid.avi", "x/y/vid.mkv",
        ]  # fmt: skip
        assert expand_inputs([f"{root}/x/*.pts"]) == [f"{root}/x/a.pts"]
        with pytest.raises(InputError, match=r"\*\.mov: no video or folder with images matches"):
            expand_inputs(["*.mov"])

    def test_a_name_with_brackets_is_no_pattern(self, root: Path) -> None:
        (root / "a[1].mp4").touch()
        assert expand_inputs(["a[1].mp4"]) == ["a[1].mp4"]

    def test_list_file(self, root: Path) -> None:
        text = "# comment\n\nvid.avi\n  ../clip*.mp4  \n0\n" + str(root / "clip1.mp4") + "\n"
        (root / "x/list.txt").write_text(text)
        base = root / "x"
        assert expand_inputs([f"{base}/list.txt", "clip2.mp4"]) == [
            f"{base}/vid.avi",
            *(f"{base}/../clip{number}.mp4" for number in (1, 2, 10)),
            0,
        ]

    def test_list_file_errors(self, root: Path) -> None:
        (root / "a.txt").write_text("clip1.mp4\nnone.mp4\n")
        with pytest.raises(InputError, match=r"a\.txt, line 2: none\.mp4: no such file or folder"):
            expand_inputs(["a.txt"])
        (root / "b.txt").write_text("# nothing\n")
        with pytest.raises(InputError, match="the list names no input"):
            expand_inputs(["b.txt"])
        (root / "c.txt").write_text("a.txt\n")
        with pytest.raises(InputError, match="a list inside a list"):
            expand_inputs(["c.txt"])
        (root / "d.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(InputError, match="cannot read the list of inputs"):
            expand_inputs(["d.txt"])

    @pytest.mark.usefixtures("root")
    def test_missing(self) -> None:
        with pytest.raises(InputError, match=r"none\.mp4: no such file or folder"):
            expand_inputs(["clip1.mp4", "none.mp4"])


@pytest.mark.parametrize("reader", [sources.list_images, sources.others_in])
def test_a_folder_that_may_not_be_read(
    reader: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match="cannot read the folder: Permission denied"):
        reader(tmp_path)
