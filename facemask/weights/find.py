"""A model's file from what a user gives: a shipped name, a file, or a repository."""

import warnings
from pathlib import Path
from typing import Final

from facemask.errors import InputError, Notice
from facemask.weights.catalog import shipped, verify
from facemask.weights.hub import download, parse_id


class LicenceNotice(Notice):
    """Says what licence the loaded weights have; the command line shows it as a plain line."""


_TOLD: Final[set[str]] = set()
"""Names whose licence was said in this process."""


def find_weights(model: str | Path) -> Path:
    """The file of a model.

    A shipped name wins over a file of that name here: give "./default" for the file.

    Args:
        model: A shipped name ("default", "synthetic"), a file, or a Hugging Face repository id
            ("owner/name", "owner/name@revision", "owner/name/file.safetensors@revision"), from
            which a file is downloaded unless it is cached. A `Path` is always a file.

    Returns:
        The file. A shipped one has its SHA-256 checked, others are as they are; a `Path` is
        returned even if nothing is there.

    Raises:
        InputError: There is no such thing, a shipped file is damaged, or a repository's file can
            not be had.
    """
    if isinstance(model, Path):
        return model
    names = shipped()
    if model in names:
        verify(names[model])
        if model not in _TOLD:
            _TOLD.add(model)
            warnings.warn(f"weights {model!r}: {names[model].licence}", LicenceNotice, stacklevel=2)
        return names[model].path
    path = Path(model)
    if path.is_file():
        return path
    choice = f"give {''.join(f'{name!r}, ' for name in names)}a file, or a Hugging Face repository"
    if path.is_dir():
        raise InputError(f"{model}: is a folder; {choice} id 'owner/name'.")
    wanted = parse_id(model)
    if wanted is None:
        raise InputError(f"{model}: no such file; {choice} id 'owner/name'.")
    return download(wanted)
