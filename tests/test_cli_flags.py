"""Flags without a value, anywhere on the command line."""

import inspect
import logging
from pathlib import Path

import pytest

from facemask import cli
from facemask.cli import VERBS, main, parse_verb, verb_function


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--cropped a.mp4", {"inputs": ["a.mp4"], "cropped": True}),
        ("a.mp4 --cropped", {"inputs": ["a.mp4"], "cropped": True}),
        ("--resume --plot a.mp4 b.mp4", {"inputs": ["a.mp4", "b.mp4"], "resume": True,
                                         "plot": True}),
        ("a.mp4 --cropped b.mp4 --plot c.mp4", {"inputs": ["a.mp4", "b.mp4", "c.mp4"],
                                                "cropped": True, "plot": True}),
        ("--cropped -o out --opacity 0.25 a.mp4", {"inputs": ["a.mp4"], "cropped": True,
                                                   "out": "out", "opacity": 0.25}),
        ("--cropped false --plot=False --resume on a", {"inputs": ["a"], "resume": True}),
        ("--cropped True a.mp4 --cropped no", {"inputs": ["a.mp4"]}),
        ("--cropped ./true", {"inputs": ["./true"], "cropped": True}),
        ("true --cropped", {"inputs": ["true"], "cropped": True}),
        ("--cropped true true", {"inputs": ["true"], "cropped": True}),
        ("--cropped -- true --plot", {"inputs": ["true", "--plot"], "cropped": True}),
        ("a.mp4 -c own.yaml --cropped", {"inputs": ["a.mp4"], "cropped": True, "every": 9}),
    ],
)  # fmt: skip
def test_flags_stand_anywhere(
    words: str, given: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verb(
        inputs: list[str], *, out: str = "masks", cropped: bool = False, plot: bool = False,
        resume: bool = False, opacity: float = 0.5, every: int = 5,
    ) -> None:  # fmt: skip
        """Take what `extract` takes."""
        found.update(inputs=inputs, out=out, cropped=cropped, plot=plot, resume=resume,
                     opacity=opacity, every=every)  # fmt: skip

    found: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("cropped: false\nevery: 9\n")
    monkeypatch.setattr(cli, "verb_function", lambda _: verb)
    main(["extract", *words.split()])
    defaults = {"out": "masks", "cropped": False, "plot": False, "resume": False,
                "opacity": 0.5, "every": 5}  # fmt: skip
    assert found == defaults | given


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_flag_of_every_verb_goes_before_its_inputs(verb: str) -> None:
    flags, needed = {}, []
    for parameter in inspect.signature(verb_function(verb)).parameters.values():
        if parameter.annotation is bool:
            flags[parameter.name] = parameter.default
        elif parameter.default is parameter.empty:
            named = parameter.kind is parameter.KEYWORD_ONLY
            needed += [f"--{parameter.name}", "word"] if named else ["word"]
    for flag, is_on_anyway in flags.items():
        words = [f"--{flag}", *(["on"] if is_on_anyway else []), *needed]
        assert parse_verb(verb, words)[flag] is True
        assert parse_verb(verb, [f"--{flag}", "false", *needed])[flag] is False


def test_an_option_without_its_value_takes_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["extract", "--out", "--cropped", "a"])
    assert "--out: expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("a.mp4 --resume=maybe", "resume is 'maybe', expected on or off;"),
        ("a.mp4 --upright maybe", "upright is 'maybe', expected on or off;"),
        ("--upright a.mp4 b.mp4", "upright is 'a.mp4', expected on or off;"),  # it is on anyway
    ],
)
def test_a_flag_of_another_value(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["extract", *words.split()])
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "upright"),
    [("a.mp4 --upright off", False), ("--upright OFF a.mp4", False), ("a.mp4 --upright", True),
     ("a.mp4 --upright --plot", True), ("a.mp4 --upright=no", False), ("a.mp4", True)],
)  # fmt: skip
def test_a_flag_that_is_on_anyway(words: str, upright: bool) -> None:
    options = parse_verb("extract", words.split())
    assert (options["inputs"], options["upright"]) == (["a.mp4"], upright)


@pytest.mark.parametrize(
    ("words", "told"),
    [("--verbose a.mp4", True), ("a.mp4 --verbose", True), ("a.mp4 --verbose off", False),
     ("a.mp4", False), ("a.mp4 --verbose --cropped", True)],
)  # fmt: skip
def test_choices_are_told_on_request(
    words: str, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb(inputs: list[str], *, cropped: bool = False) -> None:
        """Choose something, as `extract` does."""
        assert inputs == ["a.mp4"]
        logging.getLogger("facemask.threads").info("2 threads (2 of 2 cores)")

    monkeypatch.setattr(cli, "verb_function", lambda _: verb)
    for _ in range(2):
        main(["extract", *words.split()])
    assert capsys.readouterr().err == "2 threads (2 of 2 cores)\n" * (2 * told)
