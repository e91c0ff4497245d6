"""Weights that come with the package, and a model's file from what a user gives."""

import difflib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask._distribution import pip_install
from facemask.errors import InputError, Notice
from facemask.files import sha256_of
from facemask.hub import download, parse_id
from facemask.origin import LIST, Origin, read_descriptions, terms_in

FOLDER = Path(__file__).parent
"""Folder of `weights.json` and of the files that it lists."""
_REINSTALL: Final = f"reinstall it ({pip_install(options='--force-reinstall --no-deps')})"


class LicenceNotice(Notice):
    """Notice of the loaded weights' licence; the command line shows it as a plain line."""


_TOLD: Final[set[str]] = set()
"""Names of weights whose licence was said in this process."""


@dataclass(frozen=True)
class ShippedWeights:
    """Entry of `weights.json`.

    Attributes:
        name: Name that a user gives instead of a file.
        path: The file, a saved cascade.
        sha256: SHA-256 of the file, in hexadecimal.
        licence: One sentence on who may use it for what.
        licence_id: The licence's identifier on the Hugging Face Hub.
        description: One line for people.
    """

    name: str
    path: Path
    sha256: str
    licence: str
    licence_id: str
    description: str

    @property
    def origin(self) -> Origin:
        """Entry of these weights in the descent of others."""
        return Origin(self.name, self.sha256, self.licence, self.licence_id)


def shipped() -> dict[str, ShippedWeights]:
    """Return the weights that come with the package, by name."""
    entries: dict[str, dict[str, str]] = json.loads((FOLDER / LIST).read_text(encoding="utf-8"))
    return {
        name: ShippedWeights(name, FOLDER / entry.pop("file"), **entry)
        for name, entry in entries.items()
    }


def verify(weights: ShippedWeights) -> None:
    """Check that the file is the one that was shipped.

    Args:
        weights: An entry of `shipped()`.

    Raises:
        InputError: The file is missing, or its SHA-256 is another.
    """
    if not weights.path.is_file():
        raise InputError(
            f"{weights.path}: no such file, but facemask ships it as {weights.name!r}: "
            f"{_REINSTALL}."
        )
    found = sha256_of(weights.path)
    if found != weights.sha256:
        raise InputError(
            f"{weights.path}: is not the file that facemask ships as {weights.name!r} (SHA-256 "
            f"{found}, expected {weights.sha256}): {_REINSTALL}."
        )


def tell_licence(name: str, licence: str | None) -> None:
    """Give a `LicenceNotice` of weights, once in a process; nothing where there are no terms."""
    if licence is not None and name not in _TOLD:
        _TOLD.add(name)
        warnings.warn(f"weights {name!r}: {licence}", LicenceNotice, stacklevel=3)


def is_calibrated(path: Path) -> bool:
    """Tell whether the confidence in a model's masks is calibrated; only a cascade's can be."""
    settings = (content.get("settings") for content in read_descriptions(path))
    return any(isinstance(found, dict) and found.get("confidence") for found in settings)


def find_weights(model: str | Path) -> Path:
    """Return the file of a model.

    A shipped name wins over a file of that name here: give "./default" for the file.

    Args:
        model: A shipped name ("default", "open"), a file, or a Hugging Face repository id
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
        tell_licence(model, names[model].licence)
        return names[model].path
    path = Path(model)
    if path.is_file():
        tell_licence(model, terms_in(path))
        return path
    choice = f"give {''.join(f'{name!r}, ' for name in names)}a file, or a Hugging Face repository"
    if path.is_dir():
        raise InputError(f"{model}: is a folder; {choice} id 'owner/name'.")
    wanted = parse_id(model)
    if wanted is None:
        near = difflib.get_close_matches(model, names, 1)
        meant = f"did you mean {near[0]!r}? G" if near else "g"
        raise InputError(f"{model}: no such file; {meant}{choice[1:]} id 'owner/name'.")
    path = download(wanted)
    tell_licence(model, terms_in(path))
    return path
