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
    assert error_of(["fit", "-c", "wrong.yaml"], capsys) == f"wrong.yaml: {said}"
    assert not Path("runs").exists()


def test_the_file_of_an_error_is_the_last_that_has_its_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("small.yaml").write_text("base: fcn.yaml\ndata: {init_args: {size: 64}}\n")
    Path("big.yaml").write_text("base: small.yaml\ndata: {init_args: {size: big}}\n")
    Path("other.yaml").write_text("data: {init_args: {batch_size: 2}}\n")
    said = "data.size is 'big', expected a whole number; --help lists the options."
    assert error_of(["fit", "-c", "big.yaml", "--config=other.yaml"], capsys) == f"big.yaml: {said}"
    words = ["fit", "-c", "small.yaml", "--data.size", "big"]  # not the file's fault
    assert error_of(words, capsys) == said
    Path("options.yaml").write_text("temporal: windw\n")
    assert error_of(["extract", "clip.mp4", "-c", "options.yaml"], capsys).startswith(
        "options.yaml: temporal is 'windw', expected one of"
    )


@pytest.mark.parametrize(("text", "said"), COMMANDS)
def test_commands(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert error_of(text.split()[1:], capsys) == said
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "fcn.yaml"]
