"""What is read and written of colours: players show a result as they do its source."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from facemask.boxes import Crop
from facemask.classes import LIPS
from facemask.extraction.choices import output_paths
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.video.look import Look
from facemask.video.reading import VideoFrame, open_source
from tests.video.videos import Image

COLOR = (180, 90, 60)
# share of red and blue in luma, by ITU-T H.273's code of the matrix
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
UNSPECIFIED = 2


def encode(matrix: int, color: tuple[int, int, int], full: bool) -> tuple[int, int, int]:
    """Y, Cb, Cr of a colour."""
    kr, kb = WEIGHTS[matrix]
    red, green, blue = (value / 255 for value in color)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    scale, offset, chroma = (255, 0, 255) if full else (219, 16, 224)
    return (
        round(offset + scale * luma),
        round(128 + chroma * (blue - luma) / (2 * (1 - kb))),
        round(128 + chroma * (red - luma) / (2 * (1 - kr))),
    )


def decode(matrix: int, planes: tuple[float, float, float]) -> list[float]:
    """The colour of Y, Cb, Cr in limited range."""
    kr, kb = WEIGHTS[matrix]
    luma, cb, cr = (planes[0] - 16) / 219, (planes[1] - 128) / 224, (planes[2] - 128) / 224
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    return [255 * red, 255 * (luma - kr * red - kb * blue) / (1 - kr - kb), 255 * blue]


def write(
    path: Path,
    size: tuple[int, int],
    matrix: int,
    tags: tuple[int, int, int],
    *,
    full: bool = False,
) -> Path:
    """One colour by a matrix; tags are matrix, primaries and transfer."""
    height, width = size
    planes = np.empty((height * 3 // 2, width), dtype=np.uint8)
    y, cb, cr = encode(matrix, COLOR, full)
    planes[:height], planes[height : height * 5 // 4], planes[height * 5 // 4 :] = y, cb, cr
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags
        context.color_range = 2 if full else 0
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def copy(path: Path, folder: Path) -> Path:
    """The overlay of frames without a face."""
    paths = output_paths(folder, "copy", ["overlay", "side-by-side", "alpha"])
    with open_source(path) as source, Outputs(paths, source, Look(opacity=0)) as outputs:
        for frame in source:
            outputs.write(ExtractedFrame(frame.index, frame.time, frame.image, []))
    return paths["overlay"]


def tags_of(path: Path) -> tuple[int, int, int]:
    with av.open(str(path)) as container:
        next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        assert context.color_range == 1
        return int(context.colorspace), int(context.color_primaries), int(context.color_trc)


def middle(path: Path) -> tuple[float, float, float]:
    """Y, Cb, Cr in the middle of the first frame, as they are stored."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        planes = frame.to_ndarray(format="yuv420p")
        height, width = frame.height, frame.width
    return (
        float(planes[height // 2, width // 2]),
        float(planes[height * 9 // 8].mean()),
        float(planes[height * 11 // 8].mean()),
    )


def first(path: Path) -> Image:
    with open_source(path) as source:
        frame: VideoFrame = next(iter(source))
        return frame.image


@pytest.mark.parametrize(
    ("size", "assumed"),
    [((64, 64), 6), ((576, 32), 6), ((720, 32), 1), ((64, 1280), 1), ((64, 1264), 6)],
)
def test_untagged_is_read_as_players_do(
    tmp_path: Path, size: tuple[int, int], assumed: int
) -> None:
    path = write(tmp_path / "a.mkv", size, assumed, (UNSPECIFIED,) * 3)
    np.testing.assert_allclose(first(path)[16, 16], COLOR, atol=3)
    written = copy(path, tmp_path / "out")
    assert tags_of(written) == (assumed,) * 3
    np.testing.assert_allclose(decode(assumed, middle(written)), COLOR, atol=4)
    # twice as wide, but of the source's colours
    beside = tmp_path / "out/copy.side-by-side.mp4"
    assert tags_of(beside) == (assumed,) * 3
    np.testing.assert_allclose(decode(assumed, middle(beside)), COLOR, atol=4)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((1, 1, 1), (1, 1, 1)),
        ((6, 6, 6), (6, 6, 6)),
        ((5, 5, 6), (5, 5, 6)),  # PAL
        ((5, 2, 2), (5, 5, 6)),
        ((1, 12, 13), (1, 12, 13)),  # Display P3, as telephones record
        ((6, 1, 1), (6, 1, 1)),
        ((9, 9, 14), (9, 9, 14)),
        ((9, 9, 18), (9, 9, 18)),  # HLG
        ((9, 9, 16), (9, 9, 16)),  # PQ
        ((9, 2, 2), (9, 9, 14)),
    ],
)
@pytest.mark.parametrize("height", [64, 720])
@pytest.mark.parametrize("full", [False, True])
def test_what_was_read_is_written(
    tmp_path: Path,
    tags: tuple[int, int, int],
    expected: tuple[int, int, int],
    height: int,
    full: bool,
) -> None:
    path = write(tmp_path / "a.mkv", (height, 32), tags[0], tags, full=full)
    np.testing.assert_allclose(first(path)[16, 16], COLOR, atol=3)
    written = copy(path, tmp_path / "out")
    if expected[0] == 9 and "BT2020" not in Colorspace.__members__:
        expected = (1, *expected[1:])  # PyAV below 18 converts to BT.601 if told of BT.2020
    assert tags_of(written) == expected
    np.testing.assert_allclose(decode(expected[0], middle(written)), COLOR, atol=4)
    # opacity is no light
    assert tags_of(tmp_path / "out/copy.alpha.mp4") == ((1,) * 3 if height == 720 else (6,) * 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: ("ffv1", "bgra", path / "a.mkv"),
        lambda path: ("gif", "rgb8", path / "a.gif"),
        lambda path: ("ffv1", "gray", path / "a.mkv"),
    ],
)
def test_pictures_without_a_matrix(
    tmp_path: Path, make: Callable[[Path], tuple[str, str, Path]]
) -> None:
    codec, pixels, path = make(tmp_path)
    image = np.full((720, 16, 3), COLOR if pixels != "gray" else 100, dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 25)
        stream.height, stream.width, stream.pix_fmt = 720, 16, pixels
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    limit = 30 if pixels == "rgb8" else 1
    assert np.median(abs(first(path).astype(int) - image)) <= limit
    assert tags_of(copy(path, tmp_path / "out")) == (1, 1, 1)


@pytest.mark.parametrize(("transfer", "white"), [(1, 255), (18, 191), (16, 148)])
def test_classes_are_no_brighter_than_white_paper(
    tmp_path: Path, transfer: int, white: int
) -> None:
    path = write(tmp_path / "a.mkv", (64, 64), 9, (9, 9, transfer))
    paths = output_paths(tmp_path, "copy", ["overlay"])
    box = Crop(16, 16, 48, 48)
    labels = np.full((32, 32), LIPS, dtype=np.uint8)
    face = ExtractedFace(0, box, 1.0, True, (64, 64), labels, np.full((5, 32, 32), 0.2, np.float32))
    with open_source(path) as source, Outputs(paths, source, Look(opacity=1)) as outputs:
        assert source.colors is not None
        assert source.colors.white == white
        for frame in source:
            outputs.write(ExtractedFrame(frame.index, frame.time, frame.image, [face]))
    image = first(paths["overlay"])
    np.testing.assert_allclose(image[32, 32], (0, white, white), atol=4)
    np.testing.assert_allclose(image[8, 8], COLOR, atol=4)
