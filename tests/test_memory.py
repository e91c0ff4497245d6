"""Memory that the threads of a process share."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from facemask.memory import share_memory

THREADS = """
import threading
from facemask.memory import share_memory

def hold():
    kept.append([bytes(1000) for _ in range(2000)])
    ready.wait(), done.wait()

{before}
kept, ready, done = [], threading.Barrier(9), threading.Barrier(9)
threads = [threading.Thread(target=hold) for _ in range(8)]
[thread.start() for thread in threads]
ready.wait()
import ctypes
ctypes.CDLL(None).malloc_stats()
done.wait()
"""


def with_and_without(code: str) -> Iterator[tuple[subprocess.CompletedProcess[str], bool]]:
    """A program that has called `share_memory`, and one that has not."""
    for before in ("print(share_memory())", ""):
        program = [sys.executable, "-c", code.format(before=before)]
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        yield done, bool(before)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_take_memory_from_one_place() -> None:
    for done, alone in with_and_without(THREADS):
        assert ("Arena 1:" not in done.stderr) == alone
        assert "Arena 0:" in done.stderr


KEPT = """
from pathlib import Path
from facemask.memory import share_memory

{before}
blocks = [bytearray(1_000_000) for _ in range(100)]
del blocks
pages = int(Path("/proc/self/statm").read_text().split()[1])
print("megabytes", pages * 4096 // 1_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_is_given_back_is_there_for_the_next_who_asks() -> None:
    """Without it the system takes each page back, and clears it when it is asked for again."""
    for done, kept in with_and_without(KEPT):
        assert (int(done.stdout.split()[-1]) > 100) == kept


def test_what_users_set_stays() -> None:
    assert not share_memory({"MALLOC_ARENA_MAX": "4"})
    assert not share_memory({"MALLOC_TRIM_THRESHOLD_": "131072"})
    assert not share_memory({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"})


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not share_memory({})
