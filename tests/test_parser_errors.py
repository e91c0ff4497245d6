"""Wrong words and wrong YAML, and the sentence that each gets: the table of docs/errors.md."""

import re
from pathlib import Path

import pytest

from facemask.cli import main

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)` \| (.+?) \|$", DOCS, re.M)
YAML = [(text, said) for text, said in ROWS if not text.startswith("facemask")]
COMMANDS = [(text, said) for text, said in ROWS if text.startswith("facemask")]


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1].removeprefix("facemask: error: ")


def test_the_table_is_there() -> None:
    assert len(YAML) >= 14
    assert len(COMMANDS) >= 10


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fcn.yaml").write_text(f"base: {ROOT / 'configs' / 'fcn.yaml'}")
    (tmp_path / "clip.mp4").touch()


@pytest.mark.parametrize(("text", "said"), YAML)
def test_yaml(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.yaml").write_text(f"base: fcn.yaml\n{text}\n")
    assert error_of(["fit", "-c", "wrong.yaml"], capsys) == said
    assert not Path("runs").exists()


@pytest.mark.parametrize(("text", "said"), COMMANDS)
def test_commands(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(text.split()[1:], capsys) == said
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "fcn.yaml"]
