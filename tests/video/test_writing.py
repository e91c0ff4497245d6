"""Results written and read back."""

import csv
import resource
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as PillowImage

from facemask.classes import PALETTE
from facemask.errors import InputError
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.reading import open_source
from facemask.video.writing import (
    ArrayWriter,
    GreyVideoWriter,
    LabelFolderWriter,
    LabelVideoWriter,
    TableWriter,
    VideoWriter,
)
from tests.files import everything_in
from tests.video.videos import Image, carphone, frame_index, make_video, picture


class Frames(FrameSource):
    """A source that is not read, for writers that only need to know about it."""

    def __init__(self, fps: Fraction | int = 25, aspect: Fraction | int = 1) -> None:
        self.name, self.path, self.fps = "frames", None, Fraction(fps)
        self.height, self.width, self.frame_count = 48, 64, None
        self.pixel_aspect = Fraction(aspect)

    def _frames(self) -> Iterator[VideoFrame]:
        return iter(())

    def close(self) -> None:
        pass


def frame_at(index: int, time: float | None = None) -> VideoFrame:
    return VideoFrame(index, index / 25 if time is None else time, picture(index, 8, 8))


def copy(source: Path, target: Path, *, audio: bool = True) -> None:
    with open_source(source) as frames, VideoWriter(target, frames, audio=audio) as writer:
        for frame in frames:
            writer.write(frame, frame.image)


def read(path: Path) -> list[VideoFrame]:
    with open_source(path) as source:
        return list(source)


class TestVideo:
    def test_a_real_video_written_and_read(self, tmp_path: Path) -> None:
        copy(carphone(), tmp_path / "new" / "a.mp4")
        with open_source(tmp_path / "new" / "a.mp4") as source:
            assert source.fps == Fraction(30000, 1001)
            assert source.frame_count == 120
            written = list(source)
            assert source.problem is None
        originals = read(carphone())
        assert [f.time for f in written] == pytest.approx([f.time for f in originals], abs=1e-6)
        likeness = [cv2.PSNR(a.image, b.image) for a, b in zip(written, originals, strict=True)]
        assert np.mean(likeness) > 34.5  # what 4:2:0 and crf 18 leave: 35.1
        assert min(likeness) > 32
        with av.open(str(tmp_path / "new" / "a.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert container.duration == pytest.approx(120 * 1001 / 30000 * 1e6, abs=40)
        data = (tmp_path / "new" / "a.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads
        assert everything_in(tmp_path / "new") == ["a.mp4"]

    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
    @pytest.mark.parametrize("codec", ["h264", "mpeg4"])
    def test_variable_frame_rate_is_kept(self, tmp_path: Path, name: str, codec: str) -> None:
        times = [0.0, 0.0333, 0.1, 0.1107, 0.5, 0.5211, 1.9]
        with VideoWriter(tmp_path / name, Frames(), codec=codec) as writer:  # type: ignore[arg-type]
            for index, time in enumerate(times):
                writer.write(frame_at(index, time), picture(index, 48, 64))
        frames = read(tmp_path / name)
        assert [frame_index(frame.image) for frame in frames] == list(range(7))
        np.testing.assert_allclose([frame.time for frame in frames], times, atol=6e-4)

    @pytest.mark.parametrize("size", [(47, 63), (1, 1), (48, 33)])
    def test_odd_sizes_repeat_the_edge(self, tmp_path: Path, size: tuple[int, int]) -> None:
        image = np.zeros((*size, 3), dtype=np.uint8)
        image[:, -1] = 200
        with VideoWriter(tmp_path / "a.mp4", Frames(), crf=1) as writer:
            writer.write(frame_at(0), image)
        written = read(tmp_path / "a.mp4")[0].image
        assert written.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
        np.testing.assert_allclose(written[: size[0], size[1] - 1 :].astype(int), 200, atol=12)

    @pytest.mark.parametrize(("height", "code"), [(64, 6), (720, 1)])
    def test_colors_are_tagged_and_come_back(self, tmp_path: Path, height: int, code: int) -> None:
        image = np.empty((height, 64, 3), dtype=np.uint8)
        image[:] = (180, 90, 60)
        with VideoWriter(tmp_path / "a.mp4", Frames(), crf=1) as writer:
            writer.write(frame_at(0), image)
        np.testing.assert_allclose(read(tmp_path / "a.mp4")[0].image.astype(int), image, atol=3)
        with av.open(str(tmp_path / "a.mp4")) as container:
            context = container.streams.video[0].codec_context
            assert (context.colorspace, context.color_range) == (code, 1)
            assert (context.color_primaries, context.color_trc) == (code, code)

    def test_pixel_aspect_is_kept(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "a.mp4", Frames(aspect=Fraction(16, 15))) as writer:
            writer.write(frame_at(0), picture(0, 48, 64))
        with open_source(tmp_path / "a.mp4") as source:
            assert source.pixel_aspect == Fraction(16, 15)

    def test_without_libx264(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        without = av.codecs_available - {"libx264"}
        monkeypatch.setattr(av, "codecs_available", without)
        with pytest.warns(UserWarning, match="no libx264"):
            copy(carphone(), tmp_path / "a.mp4")
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert container.streams.video[0].codec_context.name == "mpeg4"
        images = [frame.image for frame in read(tmp_path / "a.mp4")]
        assert len(images) == 120
        assert cv2.PSNR(images[60], read(carphone())[60].image) > 34


class TestLabels:
    @pytest.fixture
    def labels(self) -> list[Image]:
        rng = np.random.default_rng(0)
        labels = [rng.integers(0, 5, (47, 63), dtype=np.uint8) for _ in range(6)]
        labels[3][0, :3] = (255, 16, 254)
        return labels

    def test_video_is_bit_exact(self, tmp_path: Path, labels: list[Image]) -> None:
        times = [0.0, 0.04, 0.1, 0.5, 0.501, 2.0]
        with LabelVideoWriter(tmp_path / "a.mkv", Frames()) as writer:
            for index, (time, label) in enumerate(zip(times, labels, strict=True)):
                writer.write(frame_at(index, time), label)
        with av.open(str(tmp_path / "a.mkv")) as container:
            assert container.streams.video[0].codec_context.name == "ffv1"
            planes = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
        frames = read(tmp_path / "a.mkv")
        for label, plane, frame in zip(labels, planes, frames, strict=True):
            np.testing.assert_array_equal(plane, label)
            np.testing.assert_array_equal(frame.image, np.dstack([label] * 3))
        np.testing.assert_allclose([frame.time for frame in frames], times, atol=6e-4)
        with pytest.raises(InputError, match=r"the name must end in \.mkv"):
            LabelVideoWriter(tmp_path / "a.mp4", Frames())

    def test_folder_is_bit_exact(self, tmp_path: Path, labels: list[Image]) -> None:
        with LabelFolderWriter(tmp_path / "a") as writer:
            for index, label in enumerate(labels):
                writer.write(frame_at(index), label)
            assert not (tmp_path / "a").exists()
        assert everything_in(tmp_path / "a") == [f"{n:06d}.png" for n in range(1, 7)]
        for number, label in enumerate(labels, start=1):
            with PillowImage.open(tmp_path / "a" / f"{number:06d}.png") as image:
                assert image.mode == "P"
                np.testing.assert_array_equal(np.asarray(image), label)
                palette = image.getpalette()
                assert palette is not None
                assert palette[:15] == PALETTE.ravel().tolist()
        # a shorter result takes the place of the longer one whole
        with LabelFolderWriter(tmp_path / "a") as writer:
            writer.write(frame_at(0), labels[0])
        assert everything_in(tmp_path / "a") == ["000001.png"]
        assert everything_in(tmp_path) == ["a"]

    def test_folder_of_others_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(InputError, match=r"holds other files, such as notes\.txt"):
            LabelFolderWriter(tmp_path)
        with pytest.raises(InputError, match="cannot write: it is a file"):
            LabelFolderWriter(tmp_path / "notes.txt")
        with pytest.raises(InputError, match=r"labels are int64 \(2, 2\), expected uint8"):
            LabelFolderWriter(tmp_path / "a").write(
                frame_at(0),
                np.zeros((2, 2), dtype=np.int64),
            )

    def test_grey_video(self, tmp_path: Path) -> None:
        alpha = np.tile(np.arange(0, 255, 2, dtype=np.uint8)[:63], (47, 1))
        with GreyVideoWriter(tmp_path / "a.mp4", Frames(), crf=1) as writer:
            writer.write(frame_at(0), alpha)
            writer.write(frame_at(1), 255 - alpha)
        frames = read(tmp_path / "a.mp4")
        assert frames[0].image.shape == (48, 64, 3)
        np.testing.assert_allclose(frames[0].image[:47, :63, 1].astype(int), alpha, atol=4)
        np.testing.assert_allclose(frames[1].image[:47, :63, 2].astype(int), 255 - alpha, atol=4)
        with av.open(str(tmp_path / "a.mp4")) as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


class TestTables:
    def test_arrays(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        arrays: list[npt.NDArray[Any]] = [
            rng.integers(0, 5, (20, 30), dtype=np.uint8),
            rng.normal(size=(5, 4, 3)).astype(np.float16),
            np.asfortranarray(rng.normal(size=(3, 4))),
        ]
        with ArrayWriter(tmp_path / "a.npz") as writer:
            for index, array in enumerate(arrays):
                writer.write(frame_at(index), array)
        with np.load(tmp_path / "a.npz") as loaded:
            assert list(loaded) == ["000001", "000002", "000003"]
            for name, array in zip(loaded, arrays, strict=True):
                np.testing.assert_array_equal(loaded[name], array)
                assert loaded[name].dtype == array.dtype
        assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None
        with pytest.raises(InputError, match=r"the name must end in \.npz"):
            ArrayWriter(tmp_path / "a.npy")
        with pytest.raises(InputError, match="holds Python objects"):
            ArrayWriter(tmp_path / "b.npz").write(frame_at(0), np.array([None]))

    def test_rows(self, tmp_path: Path) -> None:
        with TableWriter(tmp_path / "a.csv", ["frame", "area"]) as writer:
            writer.write(frame_at(0), [{"frame": 0, "area": 1.5}, {"frame": 0}])
            hidden = next(tmp_path.glob(".a.csv.*.tmp"))
            assert hidden.read_text().splitlines() == ["frame,area", "0,1.5", "0,"]
            writer.write(frame_at(1), [])
            writer.write(frame_at(2), [{"frame": 2, "area": "a,b"}])
        with (tmp_path / "a.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows == [["frame", "area"], ["0", "1.5"], ["0", ""], ["2", "a,b"]]
        with TableWriter(tmp_path / "empty.csv", ["frame"]):
            pass
        assert (tmp_path / "empty.csv").read_text() == "frame\n"


def test_wrong_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the name must end in \.mp4 or \.m4v"):
        VideoWriter(tmp_path / "a.avi", Frames())
    with pytest.raises(InputError, match="not written, because there was no frame"):
        VideoWriter(tmp_path / "a.mp4", Frames()).finish()
    with VideoWriter(tmp_path / "a.mp4", Frames()) as writer:
        with pytest.raises(InputError, match=r"uint8 \(48, 64\), expected uint8 \(H, W, 3\)"):
            writer.write(frame_at(0), picture(0, 48, 64)[..., 0])
        with pytest.raises(InputError, match="a picture is float64"):
            writer.write(frame_at(0), picture(0, 48, 64) / 255)  # type: ignore[arg-type]
        writer.write(frame_at(0), picture(0, 48, 64))
        with pytest.raises(InputError, match=r"\(48, 66, 3\), expected uint8 \(48, 64, 3\)"):
            writer.write(frame_at(1), picture(0, 48, 66))
    assert len(read(tmp_path / "a.mp4")) == 1


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    pictures = [picture(index, 32, 32) for index in range(20)]
    page = resource.getpagesize()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    with VideoWriter(path, Frames()) as writer, ArrayWriter(tmp_path / "a.npz") as arrays:
        for index in range(2000):
            writer.write(frame_at(index), pictures[index % 20])
            arrays.write(frame_at(index), pictures[index % 20][..., 0])
            if index == 300:
                before = resident()
        assert resident() - before < 8e6
    with open_source(path) as source:
        count = 0
        for frame in source:
            count += 1
            if frame.index == 300:
                before = resident()
        assert count == 2000
        assert resident() - before < 8e6


def test_names_that_look_like_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "plain.mp4", 3, sound="aac").rename("a:%03d é.mp4")
    copy(Path("a:%03d é.mp4"), Path("b:%03d é.mp4"))
    assert len(read(Path("b:%03d é.mp4"))) == 3
    assert everything_in(tmp_path) == ["a:%03d é.mp4", "b:%03d é.mp4"]


def test_high_frame_rates_keep_their_order(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", Frames(90_000)) as writer:
        for index in range(5):
            writer.write(frame_at(index, index * 1e-6), picture(index, 48, 64))
    assert [frame_index(frame.image) for frame in read(tmp_path / "a.mp4")] == list(range(5))
