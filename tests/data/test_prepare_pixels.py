"""What `prepare` cuts out of a video is what `extract` sees, and frame k meets annotation k."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from facemask.annotate.command import _frames, _progress
from facemask.boxes import face_crop_box
from facemask.cli import main
from facemask.data.landmarks import write_pts
from facemask.data.prepare import prepare
from facemask.data.vw300 import read_frames, scan_frames
from facemask.files import read_image, write_image
from facemask.video.muxing import write_pixel_aspect
from facemask.video.reading import open_source
from tests.faces import Points, face_points
from tests.video.videos import Image, frame_index, make_video

SIZE = (160, 192)  # height, width
POINTS = face_points(np.random.default_rng(0), 80, (96, 80))
# matrix, primaries, transfer (ITU-T H.273), range (1 limited, 2 full), pixel format
COLORS = {
    "bt601": (6, 6, 6, 1, "yuv420p"),
    "bt709": (1, 1, 1, 1, "yuv420p"),
    "full range": (1, 1, 1, 2, "yuv420p"),
    "10 bit": (1, 1, 1, 1, "yuv420p10le"),
    "HLG": (9, 9, 18, 1, "yuv420p10le"),
    "PQ": (9, 9, 16, 1, "yuv420p10le"),
    "untagged": (2, 2, 2, 0, "yuv420p"),
}


def shades(index: int) -> Image:
    """Colours that change so slowly over the picture that JPEG's halved chroma shows it well."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    planes = [60 + 0.5 * rows, 90 + 0.4 * columns, 140 + 5 * index - 0.3 * rows]
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def write_shades(
    path: Path,
    colors: tuple[int, int, int, int, str],
    count: int = 3,
    size: tuple[int, int] = SIZE,
    aspect: Fraction = Fraction(1),
) -> Path:
    matrix, primaries, transfer, color_range, pixels = colors
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        context = stream.codec_context
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        context.colorspace, context.color_range = matrix, color_range
        context.color_primaries, context.color_trc = primaries, transfer
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(shades(index), format="rgb24")
            frame = frame.reformat(format=pixels, width=size[1], height=size[0])
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if aspect != 1:
        write_pixel_aspect(path, aspect)
    return path


def annotate(folder: Path, count: int, points: Points = POINTS) -> None:
    (folder / "annot").mkdir(parents=True)
    for number in range(1, count + 1):
        write_pts(folder / "annot" / f"{number:06d}.pts", points)


@pytest.mark.parametrize("colors", COLORS.values(), ids=COLORS)
def test_one_picture_for_all(tmp_path: Path, colors: tuple[int, int, int, int, str]) -> None:
    annotate(tmp_path / "in/001", 3)
    video = write_shades(tmp_path / "in/001/vid.mkv", colors)
    with open_source(video) as source:
        extracted = [frame.image for frame in source]
    with _progress(Console(quiet=True)) as progress:
        followed = [image for _, image, _ in _frames(video, progress)]
    prepared = dict(read_frames(video, [1, 3]))
    np.testing.assert_array_equal(prepared[1], extracted[0])
    np.testing.assert_array_equal(prepared[3], extracted[2])
    np.testing.assert_array_equal(followed, extracted)
    main(["prepare", str(tmp_path / "in"), str(tmp_path / "out"), "--fraction=1",
          "--jpeg_quality=100", "--workers=1"])  # fmt: skip
    box = face_crop_box(POINTS, *SIZE)
    for number, image in enumerate(extracted, start=1):
        crop = read_image(tmp_path / f"out/images_orig/001_{number:06d}.jpg")
        seen = image[box.top : box.bottom, box.left : box.right]
        assert cv2.absdiff(crop, seen).mean() < 0.7  # a JPEG of quality 100
        write_image(tmp_path / "seen.jpg", seen, jpeg_quality=100)
        np.testing.assert_array_equal(crop, read_image(tmp_path / "seen.jpg"))


def test_what_an_edit_list_hides_has_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_video(tmp_path / "vid.mp4", 20, SIZE, gop=20)
    data = bytearray(path.read_bytes())
    offset = data.index(b"elst") + 12  # one entry: duration, then the first time that is shown
    duration, start = struct.unpack(">Ii", data[offset : offset + 8])  # ms, the track's ticks
    with av.open(str(path)) as container:
        ticks = round(0.2 / container.streams.video[0].time_base)
    data[offset : offset + 8] = struct.pack(">Ii", duration - 200, start + ticks)
    annotate(tmp_path / "in/001", 20)
    shown = tmp_path / "in/001/vid.mp4"
    shown.write_bytes(data)
    scan = scan_frames(shown)
    assert (scan.frames, scan.hidden, scan.problem) == (15, 5, None)
    with open_source(shown) as source:
        assert [frame_index(frame.image) for frame in source] == list(range(5, 20))
    numbered = dict(read_frames(shown, range(1, 30)))
    assert [frame_index(image) for image in numbered.values()] == list(range(5, 20))
    prepare(tmp_path / "in", tmp_path / "out", fraction=1, workers=1)
    said = " ".join(capsys.readouterr().out.split())
    assert "001: Its edit list hides just as many frames (5) as there are annotations" in said
    (tmp_path / "in/001/annot/000020.pts").unlink()  # no longer by just as many
    prepare(tmp_path / "in", tmp_path / "out", fraction=1, workers=1)
    assert "edit list" not in capsys.readouterr().out


def test_after_missing_frames_none_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # every frame is a key frame; one in the middle is damaged and gives no picture
    path = make_video(tmp_path / "vid.avi", 100, SIZE, codec="png", pixels="rgb24")
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][60]
    data = bytearray(path.read_bytes())
    assert packet.pos is not None
    place = data.index(bytes(packet), packet.pos)
    data[place + 16 : place + 20] = bytes(4)  # its header: a picture 0 pixels wide
    annotate(tmp_path / "in/001", 100)
    (tmp_path / "in/001/vid.avi").write_bytes(data)
    scan = scan_frames(tmp_path / "in/001/vid.avi")
    assert (scan.frames, scan.hidden) == (99, 0)
    assert scan.numbered is not None
    assert 20 < scan.numbered <= 60  # threads decode ahead of what is out
    prepare(tmp_path / "in", tmp_path / "out", fraction=1, workers=1)
    numbers = sorted(int(p.stem[4:]) for p in (tmp_path / "out/images_orig").iterdir())
    assert numbers == list(range(1, scan.numbered + 1))
    said = " ".join(capsys.readouterr().out.split())
    assert "vid.avi is damaged near frame" in said
    assert f"001: Frames after {scan.numbered} are not used" in said
    # annotations that were made of what decodes, as `landmarks` does
    (tmp_path / "in/001/annot/000100.pts").unlink()
    prepare(tmp_path / "in", tmp_path / "out", fraction=1, workers=1)
    assert len(list((tmp_path / "out/images_orig").iterdir())) == 99
    said = " ".join(capsys.readouterr().out.split())
    assert "vid.avi is damaged near frame" in said
    assert "are not used" not in said
    with _progress(Console(width=200)) as progress:
        assert len(list(_frames(tmp_path / "in/001/vid.avi", progress))) == 99
    assert "vid.avi is damaged near frame" in capsys.readouterr().out


@pytest.mark.parametrize("aspect", [Fraction(3, 2), Fraction(2, 3)])
def test_pixels_that_are_not_square(tmp_path: Path, aspect: Fraction) -> None:
    # annotations count stored pixels; the data set has square ones, as `extract` looks at
    stored = POINTS.copy()
    axis, size = (0, (160, 128)) if aspect > 1 else (1, (106, 192))
    stored[:, axis] = (POINTS[:, axis] + 0.5) * size[1 - axis] / SIZE[1 - axis] - 0.5
    annotate(tmp_path / "in/001", 1, stored)
    write_shades(tmp_path / "in/001/vid.mkv", COLORS["bt601"], 1, size, aspect)
    annotate(tmp_path / "in/002", 1)
    write_shades(tmp_path / "in/002/vid.mkv", COLORS["bt601"], 1)
    prepare(tmp_path / "in", tmp_path / "out", fraction=1, workers=1, jpeg_quality=100)
    masks = [
        cv2.imread(str(tmp_path / f"out/labels_orig/{name}_000001.png"), cv2.IMREAD_UNCHANGED)
        for name in ("001", "002")
    ]
    crops = [read_image(tmp_path / f"out/images_orig/{name}_000001.jpg") for name in ("001", "002")]
    assert masks[0] is not None
    assert masks[1] is not None
    assert crops[0].shape[:2] == masks[0].shape
    assert np.abs(np.subtract(masks[0].shape, masks[1].shape)).max() <= 1
    height, width = np.minimum(masks[0].shape, masks[1].shape)
    assert (masks[0][:height, :width] == masks[1][:height, :width]).mean() > 0.97
    assert cv2.absdiff(crops[0][:height, :width], crops[1][:height, :width]).mean() < 4
