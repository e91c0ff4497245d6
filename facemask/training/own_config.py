"""Configurations of trainings, found by what the trainings left."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from facemask.errors import InputError

CONFIG: Final = "config.yaml"
"""File in which Lightning keeps the configuration of a training."""
_TEST: Final = "test.yaml"
"""File in which `facemask experiment` keeps the configuration of a test, beside it."""
_CHECKPOINTS: Final = ("best.ckpt", "last.ckpt")


def with_own_config(words: Sequence[str]) -> list[str]:
    """Return a command's words with the configuration of the training that they are about.

    A folder in the first place, or the one of the checkpoint where no `-c` is given, is that of a
    training: its config.yaml comes first, so that all options after it change it, and best.ckpt,
    or last.ckpt, is its checkpoint unless one is given. A step of an experiment that trains
    nothing, such as a cascade, has a test.yaml instead.

    Args:
        words: Those after `test`, `validate` or `predict`.

    Raises:
        InputError: The folder in the first place is none, or not that of a training.
    """
    options = list(words)
    checkpoint = _value(options, "--ckpt_path")
    if options and not options[0].startswith("-"):
        run = Path(options.pop(0))
        config = _config_of(run)
        found = [str(run / name) for name in _CHECKPOINTS if (run / name).is_file()]
        weights = ["--ckpt_path", found[0]] if found and checkpoint is None else []
        return ["-c", str(config), *weights, *options]
    if checkpoint is None or any(_is_config(word) for word in options):
        return options
    own = Path(checkpoint).parent / CONFIG
    return ["-c", str(own), *options] if own.is_file() else options


def _config_of(run: Path) -> Path:
    """Return the configuration that a folder holds."""
    for name in (CONFIG, _TEST):
        if (run / name).is_file():
            return run / name
    what = f"holds no {CONFIG}" if run.is_dir() else "no such folder"
    files = [path for name in (CONFIG, _TEST) for path in sorted(run.glob(f"runs/*/{name}"))]
    if files:  # of an experiment
        steps = ", ".join(str(path) for path in dict.fromkeys(file.parent for file in files))
        raise InputError(f"{run}: {what}, but its steps do: give one of them, {steps}.")
    raise InputError(f"{run}: {what}; give the folder of a `facemask fit`, or a file with -c FILE.")


def _is_config(word: str) -> bool:
    return word.startswith("-c") or word.partition("=")[0] == "--config"


def _value(words: Sequence[str], option: str) -> str | None:
    found = None  # the last one counts, as for the parser
    for word, following in zip_longest(words, words[1:]):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
    return found
