"""`facemask app` in this process, up to the point where it would wait."""

import os
import socket
import tempfile
import webbrowser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from facemask.app import command
from facemask.cli import main

GRADIO = find_spec("gradio") is not None


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY"):
        monkeypatch.setenv(name, "")  # what the command sets goes away with the test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["app", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_wrong_input(
    model: Path, tmp_path: Path, taken: int, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "text.ckpt").write_text("x")
    given = ["--models", str(model)]
    cases = {
        "expected at least one argument": ["--models"],
        "none: no such file;": ["--models", str(model), "none"],
        "port is 0, expected": [*given, "--port", "0"],
        f"cannot answer at 127.0.0.1, port {taken} (": [*given, "--port", str(taken)],
        "cannot answer at 192.0.2.1, port": [*given, "--host", "192.0.2.1"],  # nobody's address
        "text.ckpt: ": ["--models", str(tmp_path / "text.ckpt"), "--port", str(taken + 1)],
    }
    monkeypatch.setattr(command, "find_spec", lambda _: object())
    for said, arguments in cases.items():
        assert said in error_of(arguments, capsys), arguments
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert 'pip install "facemask-video[app]"' in error_of(given, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["text.ckpt"]


@pytest.mark.skipif(not GRADIO, reason="needs facemask-video[app]")
def test_a_page_by_a_yaml_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from facemask.app import page

    calls: list[Any] = []

    def launch(self: page.Page, host: str, port: int) -> str:
        calls.append((host, port, Path(os.environ["GRADIO_TEMP_DIR"])))
        assert calls[0][2].is_dir()
        return "http://here"

    def open_browser(url: str) -> bool:
        calls.append(url)
        raise KeyboardInterrupt

    monkeypatch.setattr(page.Page, "launch", launch)
    monkeypatch.setattr(webbrowser, "open", open_browser)
    monkeypatch.setattr(command, "_check_address", lambda *_: None)
    config = tmp_path / "app.yaml"
    config.write_text(f"models: [{model}]\nhost: 0.0.0.0\nport: 1234\nbrowser: true\n")
    main(["app", "-c", str(config), "--device", "cpu"])
    (host, port, folder), url = calls
    assert (host, port, url) == ("0.0.0.0", 1234, "http://here")
    assert not folder.exists()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    said = " ".join(capsys.readouterr().err.split())
    assert "The page is at http://here" in said
    assert "Everyone who can reach this machine" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_a_page_of_ones_own_has_no_warning(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    command._tell("http://here", host)
    assert "Everyone" not in capsys.readouterr().err
