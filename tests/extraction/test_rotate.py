"""Video that lies on its side or upside down, and does not say so."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facemask.cli import main
from facemask.errors import InputError
from facemask.video.decoding import VideoFile
from facemask.video.reading import open_source
from tests.extraction.faces import paint, paint_labels, random_cascade
from tests.video.videos import make_video, turn

HEIGHT, WIDTH = 64, 90
# quarter turns counterclockwise that a picture got, by what makes it upright again
TURNS = {90: 1, 180: 2, 270: 3}


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of frames that are upright, and the model."""
    folder = tmp_path_factory.mktemp("upright")
    random_cascade().save(folder / "cascade.safetensors")
    (folder / "boxes.csv").write_text(
        "frame,left,top,right,bottom\n"
        + "".join(f"{t},{18 + t},11,{62 + t},55\n" for t in range(4))
    )
    write_folder(folder / "clip", 0)
    extract(folder, folder / "clip", folder / "out")
    return folder


def write_folder(folder: Path, turns: int) -> Path:
    folder.mkdir()
    for t in range(4):
        image = np.rot90(paint(paint_labels(HEIGHT, WIDTH, 40 + t, 33, 44)), turns)
        cv2.imwrite(str(folder / f"{t}.png"), image[..., ::-1])
    return folder


def extract(made: Path, source: Path, out: Path, *options: str) -> None:
    main(["extract", str(source), f"--out={out}", f"--model={made / 'cascade.safetensors'}",
          f"--boxes={made / 'boxes.csv'}", "--save=npz,csv,overlay,side-by-side",
          *options])  # fmt: skip


@pytest.mark.parametrize("degrees", TURNS)
def test_results_are_those_of_upright_frames(upright: Path, tmp_path: Path, degrees: int) -> None:
    lying = write_folder(tmp_path / "clip", TURNS[degrees])
    extract(upright, lying, tmp_path / "out", f"--rotate={degrees}")
    expected = np.load(upright / "out/clip.labels.npz")
    arrays = np.load(tmp_path / "out/clip.labels.npz")
    for name in expected:
        np.testing.assert_array_equal(arrays[name], expected[name])
    table = (tmp_path / "out/clip.csv").read_text()
    assert table == (upright / "out/clip.csv").read_text()
    for kind, width in (("overlay", WIDTH), ("side-by-side", 2 * WIDTH)):
        with open_source(tmp_path / f"out/clip.{kind}.mp4") as video:
            assert (video.height, video.width) == (HEIGHT, width)


def test_other_angles(upright: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        extract(upright, upright / "clip", tmp_path / "out", "--rotate=45")
    assert "rotate" in capsys.readouterr().err
    with pytest.raises(InputError, match="rotate is 45, expected 0, 90, 180 or 270"):
        open_source(upright / "clip", rotate=45)


def test_on_top_of_metadata_and_pixel_aspect(tmp_path: Path) -> None:
    with av.open(str(make_video(tmp_path / "plain.mp4", 2))) as container:
        images = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    by_metadata = turn(tmp_path / "a.mp4", (0, 1, -1, 0))  # clockwise
    with open_source(by_metadata) as source:
        once = [frame.image for frame in source]
        assert (source.height, source.width, source.pixel_aspect) == (64, 48, Fraction(2, 3))
    with open_source(by_metadata, rotate=90) as source:
        assert (source.height, source.width, source.pixel_aspect) == (48, 64, Fraction(3, 2))
        twice = [frame.image for frame in source]
    np.testing.assert_array_equal(twice[1], np.rot90(once[1], -1))
    video = VideoFile(by_metadata)
    video.turn(90)
    with video:
        (frame,) = video.select([1])
    assert frame.index == 1
    np.testing.assert_array_equal(frame.image, twice[1])
