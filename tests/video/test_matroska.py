"""The pixels' shape in the header of MKV files."""

import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facemask.video.muxing import _elements, write_pixel_aspect
from facemask.video.writing import LabelVideoWriter
from tests.video.test_writing import Frames, frame_at

TRACKS = 0x1654AE6B


def tracks_of(path: Path) -> bytes:
    data = path.read_bytes()
    segment = next((s, e) for kind, _, s, e in _elements(data, 0, len(data)) if kind == 0x18538067)
    start, end = next((s, e) for kind, _, s, e in _elements(data, *segment) if kind == TRACKS)
    return data[start:end]


@pytest.mark.parametrize("aspect", [Fraction(3, 2), Fraction(2, 3), Fraction(64, 45)])
@pytest.mark.parametrize("width", [60, 720])
def test_header_and_frames_agree(tmp_path: Path, aspect: Fraction, width: int) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 5, (48, width), dtype=np.uint8) for _ in range(3)]
    path = tmp_path / "a.mkv"
    with LabelVideoWriter(path, Frames(aspect=aspect)) as writer:
        for index, image in enumerate(images):
            writer.write(frame_at(index), image)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio is not None
        assert float(stream.sample_aspect_ratio) == pytest.approx(float(aspect), abs=0.6 / width)
        decoded = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    np.testing.assert_array_equal(decoded, images)
    content = tracks_of(path)
    assert content[:2] == b"\xbf\x84"  # a checksum
    assert content[2:6] == zlib.crc32(content[6:]).to_bytes(4, "little")
    before = path.stat().st_size
    write_pixel_aspect(path, Fraction(2))  # once more
    assert path.stat().st_size == before
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 2
        assert len(list(container.decode(video=0))) == 3


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    for content in (b"", b"\x00" * 40, b"\x1a\x45\xdf\xa3\x80" + b"\xff" * 30, b"no Matroska"):
        (tmp_path / "a.mkv").write_bytes(content)
        write_pixel_aspect(tmp_path / "a.mkv", Fraction(3, 2))
        assert (tmp_path / "a.mkv").read_bytes() == content
