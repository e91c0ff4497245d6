"""Configurations of trainings, found by what the trainings left."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from facemask.errors import InputError

CONFIG: Final = "config.yaml"
"""File in which Lightning keeps the configuration of a training."""
_CHECKPOINTS: Final = ("best.ckpt", "last.ckpt")


def with_own_config(words: Sequence[str]) -> list[str]:
    """Return a command's words with the configuration of the training that they are about.

    A folder in the first place, or the one of the checkpoint where no `-c` is given, is that of a
    training: its config.yaml comes first, so that all options after it change it, and best.ckpt,
    or last.ckpt, is its checkpoint unless one is given.

    Args:
        words: Those after `test`, `validate` or `predict`.

    Raises:
        InputError: The folder in the first place is none, or not that of a training.
    """
    options = list(words)
    checkpoint = _value(options, "--ckpt_path")
    if options and not options[0].startswith("-"):
        run = Path(options.pop(0))
        if not (run / CONFIG).is_file():
            what = f"holds no {CONFIG}" if run.is_dir() else "no such folder"
            raise InputError(
                f"{run}: {what}; give the folder of a `facemask fit`, or a file with -c FILE."
            )
        found = [str(run / name) for name in _CHECKPOINTS if (run / name).is_file()]
        weights = ["--ckpt_path", found[0]] if found and checkpoint is None else []
        return ["-c", str(run / CONFIG), *weights, *options]
    if checkpoint is None or any(_is_config(word) for word in options):
        return options
    own = Path(checkpoint).parent / CONFIG
    return ["-c", str(own), *options] if own.is_file() else options


def _is_config(word: str) -> bool:
    return word.startswith("-c") or word.partition("=")[0] == "--config"


def _value(words: Sequence[str], option: str) -> str | None:
    found = None  # the last one counts, as for the parser
    for word, following in zip_longest(words, words[1:]):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
    return found
