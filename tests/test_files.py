import os
from pathlib import Path

import numpy as np
import pytest

from facemask.errors import InputError
from facemask.files import make_folder, read_image, write_atomic, write_image
from facemask.parallel import run_jobs


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_atomic(path, b"old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.txt: cannot write: No space left on device"):
        write_atomic(path, b"newer")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208  # hidden files too


@pytest.mark.parametrize("name", ["notes.txt", "notes.txt/deeper/still", "gone"])
def test_a_file_where_a_folder_is_to_be_made_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    in_the_way = tmp_path / name.partition("/")[0]
    with pytest.raises(InputError) as error:
        make_folder(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: cannot write there: {in_the_way} is a file."
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_images_round_trip_in_rgb(tmp_path: Path) -> None:
    image = np.zeros((5, 7, 3), dtype=np.uint8)
    image[:, :3] = (200, 10, 30)
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "b.png")
    with pytest.raises(InputError, match="cannot write"):
        write_image(tmp_path / "none" / "a.png", image)


# spawned workers import this module, so that it must stay light
def _root(value: int) -> float:
    if value < 0:
        raise InputError(f"{value} is negative.")
    return float(value**0.5)


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_keep_their_order_and_an_error_stops_nobody(workers: int) -> None:
    results = run_jobs(_root, [9, -1, 16], workers=workers, description="roots")
    assert results[0] == 3.0
    assert results[2] == 4.0
    assert isinstance(results[1], InputError)
    assert str(results[1]) == "-1 is negative."
    with pytest.raises(TypeError):
        run_jobs(_root, ["x", "y"], workers=workers, description="roots")  # type: ignore[arg-type]
