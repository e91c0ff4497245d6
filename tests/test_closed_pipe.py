"""An output that nobody reads any more ends a verb without a word, and with status 141."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from facemask.cli import VERBS, main
from facemask.errors import InputError

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere it is no error of its own")


@pytest.fixture
def closed() -> Iterator[TextIO]:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stream:
        yield stream


def refuse() -> None:
    raise InputError("wrong.")


def ended(verb: str, say: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> object:
    """Let a verb say something, and return the status that it ends with."""
    monkeypatch.setattr("facemask.cli.verb_function", lambda _: lambda: say())
    monkeypatch.setattr("facemask.cli.parse_verb", lambda *_: {})
    with pytest.raises(SystemExit) as stop:
        main([verb])
    return stop.value.code


@pytest.mark.parametrize(
    ("name", "say"),
    [
        ("stdout", lambda: print("much")),
        ("stdout", lambda: Console().print("much")),
        ("stderr", lambda: Console(stderr=True).print("much")),
        ("stderr", lambda: sys.stderr.write("much\n")),
        ("stderr", refuse),
    ],
)
def test_one_output_is_closed(
    name: str, say: Callable[[], object], closed: TextIO, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = tmp_path / "other"
    with other.open("w") as stream:
        monkeypatch.setattr(sys, "stderr" if name == "stdout" else "stdout", stream)
        monkeypatch.setattr(sys, name, closed)
        assert ended("synth", say, monkeypatch) == 141
        closed.write("and the rest")
        closed.flush()  # as Python does when it ends
    assert other.read_text() == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb(verb: str, closed: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", closed)
    assert ended(verb, lambda: print("much"), monkeypatch) == 141


@pytest.mark.parametrize("words", [["--help"], ["weights", "--help"], ["weights", "list"]])
def test_the_program(words: list[str], closed: TextIO) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "facemask", *words], stdout=closed, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (141, b"")


def test_another_pipe_that_breaks_is_an_error_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> None:
        raise BrokenPipeError("a worker's")

    monkeypatch.setattr("facemask.cli.verb_function", lambda _: breaks)
    monkeypatch.setattr("facemask.cli.parse_verb", lambda *_: {})
    with pytest.raises(BrokenPipeError, match="a worker's"):
        main(["synth"])
