"""Animated pictures as videos, and how long a last picture is shown."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from facemask.data.vw300 import scan_frames
from facemask.errors import InputError
from facemask.extraction.choices import output_paths
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import ExtractedFrame
from facemask.video import FrameSource, LabelVideoWriter, VideoWriter, open_source
from facemask.video.look import Look
from facemask.video.muxing import join_videos
from tests.video.videos import Image as Pixels

COLORS = [(200, 30, 40), (20, 180, 60), (30, 60, 220)]
LASTING = [80, 240, 1000]  # milliseconds


def save(path: Path, pictures: list[Image.Image], **options: object) -> Path:
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=LASTING, **options)  # type: ignore[arg-type]
    return path


def plain(count: int = 3) -> list[Image.Image]:
    return [Image.new("RGB", (48, 32), color) for color in COLORS[:count]]


def frames_of(source: FrameSource) -> tuple[list[float], list[Pixels]]:
    frames = list(source)
    return [frame.time for frame in frames], [frame.image for frame in frames]


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.apng", "a.WEBP"])
def test_every_frame_with_its_time(name: str, tmp_path: Path) -> None:
    kind = "PNG" if "png" in name else "WEBP"
    options = {} if kind == "PNG" else {"lossless": True}
    with open_source(save(tmp_path / name, plain(), format=kind, **options)) as source:
        assert (source.width, source.height, source.frame_count) == (48, 32, 3)
        assert source.name == "a"
        times, images = frames_of(source)
        assert times == pytest.approx([0, 0.08, 0.32])
        assert [tuple(image[5, 40]) for image in images] == COLORS
        assert source.last_duration == pytest.approx(1)
        assert source.problem is None
        assert float(source.fps) == pytest.approx(3 / 1.32, rel=1e-3)


def test_parts_that_change_lie_over_what_was_there_and_nothing_is_white(tmp_path: Path) -> None:
    first = Image.new("RGBA", (48, 32), (0, 0, 0, 0))
    first.paste((200, 30, 40, 255), (0, 0, 10, 32))
    second = first.copy()
    second.paste((0, 0, 255, 255), (30, 0, 40, 32))
    with open_source(save(tmp_path / "a.png", [first, second, first])) as source:
        _, images = frames_of(source)
    for image in images:
        assert tuple(image[3, 3]) == (200, 30, 40)
        assert tuple(image[3, 20]) == (255, 255, 255)
    assert [tuple(image[3, 35]) for image in images] == [
        (255, 255, 255), (0, 0, 255), (255, 255, 255),
    ]  # fmt: skip


def test_a_still_stays_a_picture(tmp_path: Path) -> None:
    plain(1)[0].save(tmp_path / "a.webp", lossless=True)
    with open_source(tmp_path / "a.webp") as source:
        times, images = frames_of(source)
    assert times == [0]
    assert tuple(images[0][0, 0]) == COLORS[0]


def test_a_cut_animation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (32, 48, 3), np.uint8)) for _ in range(3)]
    data = save(tmp_path / "a.png", noise).read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) * 3 // 5])
    with open_source(tmp_path / "a.png") as source:
        times, images = frames_of(source)
        assert len(times) == 1
        np.testing.assert_array_equal(images[0], np.asarray(noise[0]))
        assert source.problem == "a.png is damaged after frame 1: it should hold 3."
    (tmp_path / "a.png").write_bytes(data[:200])
    with pytest.raises(InputError, match=r"a\.png: cannot read the"):
        frames_of(open_source(tmp_path / "a.png"))


def test_among_stills_the_first_is_used_and_told(tmp_path: Path) -> None:
    plain(1)[0].save(tmp_path / "1.png")
    save(tmp_path / "2.webp", plain(), lossless=True)
    pages = plain()
    pages[0].save(tmp_path / "3.tif", save_all=True, append_images=pages[1:])
    with open_source(tmp_path) as source:
        assert len(frames_of(source)[0]) == 3
        assert source.problem == (
            "2.webp holds 3 pictures, of which the first is used. "
            "3.tif holds 3 pictures, of which the first is used."
        )
    assert scan_frames(tmp_path / "2.webp").problem == (
        "2.webp holds 3 pictures, of which the first is used."
    )
    assert scan_frames(tmp_path / "1.png").problem is None


def ends(path: Path) -> float:
    """Seconds at which a written video's pictures end, by its header."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.duration is None or stream.time_base is None:
            assert container.duration is not None
            return float(container.duration / 1e6)
        return float(stream.duration * stream.time_base)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_results_show_the_last_frame_as_long(name: str, tmp_path: Path) -> None:
    """FFmpeg's GIFs of 0.32 s and a last frame of 1 s; with B-frames the last packet is another."""
    path = save(tmp_path / name, plain())
    outputs = output_paths(tmp_path, "out", ["overlay", "side-by-side", "labels", "alpha"])
    with open_source(path) as source, Outputs(outputs, source, Look()) as written:
        for frame in source:
            written.write(ExtractedFrame(frame.index, frame.time, frame.image, []))
    for path in outputs.values():
        assert ends(path) == pytest.approx(1.32, abs=0.002), path
        with open_source(path) as again:
            assert frames_of(again)[0] == pytest.approx([0, 0.08, 0.32], abs=0.002)
            assert again.problem is None
            assert again.last_duration == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_joined_parts_too(suffix: str, tmp_path: Path) -> None:
    writer = VideoWriter if suffix == ".mp4" else LabelVideoWriter
    parts = [tmp_path / f"{part}{suffix}" for part in (0, 1)]
    with open_source(save(tmp_path / "a.gif", plain())) as source:
        frames = iter(source)
        for part, most in zip(parts, (2, None), strict=True):
            with writer(part, source) as out:
                for frame in itertools.islice(frames, most):
                    out.write(frame, frame.image if suffix == ".mp4" else frame.image[..., 0])
        join_videos(parts, tmp_path / f"whole{suffix}", source, audio=False)
    assert ends(tmp_path / f"whole{suffix}") == pytest.approx(1.32, abs=0.002)
