"""Images that were cut short are refused by name, whole ones are not."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facemask.cli import main
from facemask.data.landmarks import write_pts
from facemask.errors import InputError
from facemask.files import read_image
from tests.faces import face_points

Image8 = npt.NDArray[np.uint8]
PICTURE: Image8 = np.asarray(
    cv2.resize(
        np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8),
        (120, 90),
        interpolation=cv2.INTER_CUBIC,
    ),
    dtype=np.uint8,
)
KINDS: dict[str, dict[str, Any]] = {
    "baseline.jpg": {"quality": 90},
    "progressive.jpg": {"progressive": True},
    "restarts.jpg": {"restart_marker_blocks": 3},
    "a.png": {},
    "lossless.webp": {"lossless": True},
    "lossy.webp": {},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tiff": {"compression": "tiff_lzw"},
}


def encoded(name: str, image: Image8 = PICTURE) -> bytes:
    stream = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    Image.fromarray(image).save(stream, kind, **KINDS[name])
    return stream.getvalue()


@pytest.mark.parametrize("name", KINDS)
def test_cut_anywhere(tmp_path: Path, name: str) -> None:
    data, path = encoded(name), tmp_path / name
    path.write_bytes(data)
    assert np.abs(read_image(path).astype(float) - PICTURE).mean() < 12
    lengths = [len(data) // 4, len(data) // 2, *(len(data) - n for n in (600, 90, 11, 3, 2, 1))]
    for length in lengths:
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=rf"{name}: cannot read the image: "):
            read_image(path)
    if name.endswith(".jpg"):  # as long as it was, but the rest was never written
        path.write_bytes(data[: len(data) // 3].ljust(len(data), b"\0"))
        with pytest.raises(InputError, match="it is cut short"):
            read_image(path)


def test_whole_jpegs_with_something_odd(tmp_path: Path) -> None:
    data, path = encoded("baseline.jpg"), tmp_path / "a.jpg"
    path.write_bytes(data)
    expected = np.asarray(cv2.imread(str(path)))[..., ::-1]
    thumbnail = encoded("baseline.jpg", PICTURE[:8, :8].copy())
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    odd = {
        "behind its end": data + b"\xff\xd8 more bytes",
        "another picture behind, as in MPO": data + thumbnail,
        "filling": data[:-2] + b"\xff\xff\xff\xd9",
        "a thumbnail": data[:2] + segment + data[2:],
    }
    for content in odd.values():
        path.write_bytes(content)
        np.testing.assert_array_equal(read_image(path), expected)
    # the end of the thumbnail is none
    path.write_bytes((data[:2] + segment + data[2:])[:-500])
    with pytest.raises(InputError, match=r"a\.jpg: cannot read the image: it is cut short"):
        read_image(path)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_orientation_of_exif(tmp_path: Path, orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=exif, quality=95)
    expected = np.rot90(PICTURE, turns)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == expected.shape
    assert np.abs(image.astype(float) - expected).mean() < 8


def test_no_image(tmp_path: Path) -> None:
    for name, content, reason in (
        ("empty.jpg", b"", "the file is empty"),
        ("text.png", b"no image", "not a readable image"),
        ("start.jpg", b"\xff\xd8", "it is cut short"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: cannot read the image: {reason}"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="cannot read the image: no such file"):
        read_image(tmp_path / "missing.jpg")


def test_commands_name_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for name, size in (("a", None), ("b", -300)):
        (folder / f"{name}.jpg").write_bytes(encoded("baseline.jpg")[:size])
        write_pts(folder / f"{name}.pts", face_points(np.random.default_rng(0), 60, (60, 45)))
    for command in (
        ["prepare", str(folder), str(tmp_path / "data"), "--workers=1"],
        ["extract", str(folder), f"--out={tmp_path / 'out'}", "--cropped", "--temporal=off"],
    ):
        with pytest.raises(SystemExit):
            main(command)
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"{folder / 'b.jpg'}: cannot read the image: it is cut short" in line
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [".a.facemask.json", "a.overlay.jpg", "stills.csv"]  # of the other photo
