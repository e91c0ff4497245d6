"""A process that is killed while it writes a result, and how often results are written."""

import os
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def killed_while_at(result: Path) -> Iterator[list[int]]:
    """Kill, once, the process that begins to write this file; yield a list that gets its number."""
    form = re.compile(re.escape(f".{result.name}.") + r"[0-9a-f]{16}\.[0-9a-f]{8}-(\d+)\.tmp")
    killed: list[int] = []

    def look() -> None:
        names = [path.name for path in result.parent.glob(".*")] if not killed else []
        for found in filter(None, map(form.fullmatch, names)):
            process = int(found[1])
            assert process != os.getpid()
            os.kill(process, signal.SIGKILL)
            killed.append(process)

    with _again_and_again(look):
        yield killed
    assert len(killed) == 1


@contextmanager
def written(folder: Path) -> Iterator[dict[str, set[tuple[int, int]]]]:
    """Yield a mapping that gets the files (inode and time) that have had each name in a folder."""
    seen: dict[str, set[tuple[int, int]]] = defaultdict(set)

    def look() -> None:
        for file in folder.iterdir() if folder.is_dir() else []:
            with suppress(OSError):
                stat = file.stat()
                seen[file.name].add((stat.st_ino, stat.st_mtime_ns))

    with _again_and_again(look):
        yield seen
    look()


@contextmanager
def _again_and_again(look: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            look()
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
