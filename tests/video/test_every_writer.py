"""What all writers have in common: files appear under their names when complete, or not at all."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facemask.errors import InputError
from facemask.video.writing import (
    ArrayWriter,
    FrameWriter,
    GreyVideoWriter,
    LabelFolderWriter,
    LabelVideoWriter,
    TableWriter,
    VideoWriter,
)
from tests.files import everything_in, number_of_nobody
from tests.video.test_writing import Frames, frame_at
from tests.video.videos import picture

Make = Callable[[str | Path], FrameWriter[Any]]
MAKERS: dict[str, tuple[Make, Any]] = {
    "a.mp4": (lambda path: VideoWriter(path, Frames()), picture(0, 48, 64)),
    "grey.mp4": (lambda path: GreyVideoWriter(path, Frames()), picture(0, 48, 64)[..., 0]),
    "a.mkv": (lambda path: LabelVideoWriter(path, Frames()), picture(0, 48, 64)[..., 0]),
    "folder": (LabelFolderWriter, picture(0, 48, 64)[..., 0]),
    "a.npz": (ArrayWriter, np.zeros(3)),
    "a.csv": (lambda path: TableWriter(path, ["a"]), [{"a": 1}]),
}


def write_all(
    make: Make, path: str | Path, items: list[Any], error: Exception | None = None
) -> None:
    with make(path) as writer:
        for index, item in enumerate(items):
            writer.write(frame_at(index), item)
        if error is not None:
            raise error


@pytest.mark.parametrize("name", MAKERS)
class TestEveryWriter:
    def test_an_exception_leaves_nothing(self, tmp_path: Path, name: str) -> None:
        make, item = MAKERS[name]
        for count in (0, 3):
            with pytest.raises(KeyError):
                write_all(make, tmp_path / name, [item] * count, KeyError())
            assert everything_in(tmp_path) == []

    def test_an_older_result_stays_until_the_new_one_is_complete(
        self, tmp_path: Path, name: str
    ) -> None:
        make, item = MAKERS[name]
        path = tmp_path / name

        def write() -> None:
            with make(path) as writer:
                writer.write(frame_at(0), item)

        write()
        inode = path.stat().st_ino
        writer = make(path)
        writer.write(frame_at(0), item)
        assert path.stat().st_ino == inode
        writer.abort()
        assert path.stat().st_ino == inode
        write()
        assert path.stat().st_ino != inode
        assert everything_in(tmp_path) == [name]

    def test_the_path_may_be_a_string(self, tmp_path: Path, name: str) -> None:
        make, item = MAKERS[name]
        write_all(make, str(tmp_path / name), [item])
        assert everything_in(tmp_path)[0] == name

    def test_finished_is_finished(self, tmp_path: Path, name: str) -> None:
        make, item = MAKERS[name]
        writer = make(tmp_path / name)
        writer.write(frame_at(0), item)
        writer.finish()
        writer.finish()
        writer.abort()
        assert (tmp_path / name).exists()
        with pytest.raises(RuntimeError, match="nothing more can be written"):
            writer.write(frame_at(1), item)

    def test_unwritable_place(self, tmp_path: Path, name: str) -> None:
        make, _ = MAKERS[name]
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="file: cannot write there: "):
            make(tmp_path / "file" / name)
        (tmp_path / name / "folder").mkdir(parents=True)
        with pytest.raises(InputError, match=r"cannot write: (it is a|the) folder"):
            make(tmp_path / name)

    def test_a_full_disk(self, tmp_path: Path, name: str) -> None:
        make, item = MAKERS[name]
        if isinstance(item, np.ndarray):
            noise = np.random.default_rng(0).integers(0, 256, (300, *item.shape), dtype=np.uint8)
            items: list[Any] = list(noise if item.ndim > 1 else noise.repeat(20, axis=1))
        else:
            items = [item * 300] * 300
        with file_size_limit(2500), pytest.raises(InputError, match=r"cannot write: "):
            write_all(make, tmp_path / name, items)
        assert everything_in(tmp_path) == []

    def test_what_a_killed_process_left_is_removed(self, tmp_path: Path, name: str) -> None:
        make, _ = MAKERS[name]
        writer = make(tmp_path / name)
        own = next(tmp_path.glob(f".{name}.*.tmp"))
        left = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{number_of_nobody()}."))
        other = own.with_name(own.name.replace(f"-{os.getpid()}.", "-1."))
        left.touch()
        other.touch()
        writer.abort()
        make(tmp_path / name).abort()
        assert everything_in(tmp_path) == [other.name]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """As if the disk were full once a file is larger."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
