"""`benchmarks/` and `examples/`: mypy sees what they call, and here they are imported."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for name in ("benchmarks", "examples") for path in (ROOT / name).glob("*.py"))


@pytest.fixture
def siblings(script: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scripts find those beside them, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(script.parent)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == script.parent:
            del sys.modules[name]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.usefixtures("siblings")
def test_help(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    if "ArgumentParser" not in script.read_text("utf-8"):
        runpy.run_path(str(script))  # imports, functions, and no `main`
        return
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(script), run_name="__main__")
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {script.name} [-h]")


def test_all_scripts_are_seen() -> None:
    assert len(SCRIPTS) > 40
