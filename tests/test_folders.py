"""Folders that a command has made go again if nothing comes to lie in them."""

from pathlib import Path

import pytest

from facemask.cli import VERBS, main
from facemask.errors import InputError
from facemask.files import make_folder


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_fails_leaves_none(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        make_folder(Path("new/inner"))
        make_folder(Path("there/inner"))
        make_folder(Path("there"))
        make_folder(Path("full/inner"))
        Path("full/result").touch()
        raise InputError("wrong.")

    Path(tmp_path, "there").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("facemask.cli.verb_function", lambda _: fails)
    monkeypatch.setattr("facemask.cli.parse_verb", lambda *_: {})
    with pytest.raises(SystemExit):
        main([verb])
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["full", "full/result", "there"]


def test_one_that_succeeds_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facemask.cli.verb_function", lambda _: lambda: make_folder(tmp_path / "a"))
    monkeypatch.setattr("facemask.cli.parse_verb", lambda *_: {})
    main(["synth"])
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
