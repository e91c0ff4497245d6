"""Photographs are told from frames of a video."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from facemask.errors import InputError
from facemask.video.photos import is_sequence, split_photos


def save(folder: Path, sizes: dict[str, tuple[int, int]], turned: tuple[str, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    for name, (width, height) in sizes.items():
        exif = Image.Exif()
        exif[0x0112] = 6 if name in turned else 1
        Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(folder / name, exif=exif)
    return folder


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"f1.jpg": (8, 6), "f2.jpg": (8, 6), "f10.jpg": (8, 6)}, True),
        ({"000001.jpg": (8, 6), "000005.jpg": (8, 6)}, True),
        ({"clip-1-left.jpg": (8, 6), "clip-2-left.jpg": (8, 6)}, True),
        ({"f1.jpg": (8, 6), "f2.jpg": (6, 8)}, False),
        ({"f1.jpg": (8, 6), "g2.jpg": (8, 6)}, False),
        ({"f1a.jpg": (8, 6), "f2b.jpg": (8, 6)}, False),
        ({"anna.jpg": (8, 6), "ben.jpg": (8, 6)}, False),
        ({"f1.jpg": (8, 6)}, False),
    ],
)
def test_sequences(tmp_path: Path, sizes: dict[str, tuple[int, int]], expected: bool) -> None:
    folder = save(tmp_path / "in", sizes)
    assert is_sequence(sorted(folder.iterdir())) is expected
    split = split_photos([str(folder)])
    assert (split.videos == [str(folder)]) is expected
    assert len(split.photos) == (0 if expected else len(sizes))
    assert bool(split.notes) is expected


def test_the_size_is_that_which_is_shown(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", {"f1.jpg": (8, 6), "f2.jpg": (6, 8)}, turned=("f2.jpg",))
    assert is_sequence(sorted(folder.iterdir()))
    (folder / "f3.jpg").write_bytes(b"")  # it is told when it is read
    assert is_sequence(sorted(folder.iterdir()))


def test_what_is_asked_for_wins(tmp_path: Path) -> None:
    named = str(save(tmp_path / "named", {"anna.jpg": (8, 6), "ben.png": (4, 4)}))
    numbered = str(save(tmp_path / "numbered", {"f1.png": (8, 6), "f2.png": (8, 6)}))
    one = f"{named}/anna.jpg"
    assert split_photos([named, one, 0], "video")[:2] == ([named, one, 0], [])
    split = split_photos([numbered, one], "photos")
    assert split[:2] == ([], [f"{numbered}/f1.png", f"{numbered}/f2.png", one])
    (tmp_path / "clip.mp4").write_bytes(b"")
    for other in (0, str(tmp_path / "clip.mp4")):
        with pytest.raises(InputError, match=r"is no photograph or folder of them: leave out --as"):
            split_photos([numbered, other], "photos")


def test_animations_are_videos_and_what_is_not_read_is_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    animated = tmp_path / "moves.webp"
    frames[0].save(animated, save_all=True, append_images=frames[1:], duration=80)
    assert split_photos([str(animated)]).videos == [str(animated)]
    folder = save(tmp_path / "in", {"anna.jpg": (8, 6)})
    (folder / "phone.heic").write_bytes(b"")
    [note] = split_photos([str(folder)]).notes
    assert note.endswith("pictures of a format that is not read, 1 (phone.heic): convert them.")


@pytest.mark.parametrize("kind", ["auto", "photos"])
def test_a_picture_of_a_format_that_is_not_read_is_a_photograph(
    tmp_path: Path, kind: Literal["auto", "photos"]
) -> None:
    phone = tmp_path / "phone.HEIC"
    phone.write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    assert split_photos([str(phone)], kind)[:2] == ([], [str(phone)])
    assert split_photos([str(phone)], "video").videos == [str(phone)]  # FFmpeg's to judge
