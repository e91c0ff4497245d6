"""Many writers of one file in a shared folder: none touches what another is writing."""

import os
import re
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from facemask import files
from facemask.errors import InputError
from facemask.files import remove_left_over, temporary_name, write_atomic
from facemask.video.writing import TableWriter
from tests.files import everything_in, number_of_nobody


def test_hosts_and_containers_of_one_pid_write_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # every writer has the number 7 on a machine of the same name, as containers of one image do
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(socket, "gethostname", lambda: "worker")
    path = tmp_path / "a.txt"
    writing = threading.Barrier(8)
    write_bytes = Path.write_bytes

    def slowly(self: Path, data: bytes) -> int:
        write_bytes(self, data[:10])
        writing.wait(timeout=30)
        with self.open("ab") as file:
            return file.write(data[10:])

    monkeypatch.setattr(Path, "write_bytes", slowly)
    texts = [bytes([65 + number]) * (100 + number) for number in range(8)]
    errors: list[InputError] = []

    def write(text: bytes) -> None:
        try:
            write_atomic(path, text)
        except InputError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert path.read_bytes() in texts
    assert everything_in(tmp_path) == ["a.txt"]


def test_two_tables_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    first, second = TableWriter(path, ["first"]), TableWriter(path, ["second"])
    second.finish()
    first.finish()
    assert path.read_text() == "first\n"
    assert everything_in(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_permissions_are_those_of_a_plain_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "plain").write_bytes(b"")
        write_atomic(tmp_path / "atomic", b"")
        TableWriter(tmp_path / "table.csv", ["frame"]).finish()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_atomic(tmp_path / "a.txt", b"old")

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises((InputError, KeyboardInterrupt)):
        write_atomic(tmp_path / "a.txt", b"new")
    assert everything_in(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a\.txt: cannot write: Not a directory"):
        write_atomic(tmp_path / "file" / "a.txt", b"")


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".txt", "ü" * 125 + ".csv", "面" * 83 + ".txt"):
        write_atomic(tmp_path / name, b"x")
        TableWriter(tmp_path / name, ["frame"]).finish()
        assert everything_in(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_left_overs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    here = temporary_name(path)
    dead = here.with_name(here.name.replace(f"-{os.getpid()}.", f"-{number_of_nobody()}."))
    alive = here.with_name(here.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
    place = re.search(r"\.([0-9a-f]{8})-", dead.name)
    assert place is not None
    elsewhere = dead.with_name(dead.name.replace(place[1], "0123abcd"))
    abandoned = dead.with_name(elsewhere.name.replace(".tmp", "0.tmp"))
    others = [tmp_path / ".a.csv.1234.tmp", temporary_name(tmp_path / "a.csv.csv")]
    for left in (here, dead, alive, elsewhere, abandoned, *others):
        left.touch()
    week = time.time() - 8 * 24 * 3600
    os.utime(abandoned, (week, week))
    remove_left_over(path)
    kept = sorted(left.name for left in (here, alive, elsewhere, *others))
    assert everything_in(tmp_path) == kept
    write_atomic(path, b"frame\n")  # they are in nobody's way
    TableWriter(path, ["frame"]).finish()
    assert everything_in(tmp_path) == sorted([*kept, "a.csv"])


def test_a_place_is_a_start_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    places = set()
    for host, boot, space in [("a", "1", "x"), ("b", "1", "x"), ("a", "2", "x"), ("a", "1", "y")]:
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        monkeypatch.setattr(Path, "read_text", lambda _, boot=boot: boot)
        monkeypatch.setattr(Path, "readlink", lambda _, space=space: space)
        places.add(files._place.__wrapped__())
    assert len(places) == 4
