"""The weights that come with the package: what `weights.json` lists."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask._distribution import pip_install
from facemask.errors import InputError
from facemask.files import sha256_of

FOLDER = Path(__file__).parent
"""Where `weights.json` and the files that it lists are."""
_REINSTALL: Final = f"reinstall it ({pip_install(options='--force-reinstall --no-deps')})"


@dataclass(frozen=True)
class ShippedWeights:
    """One entry of `weights.json`.

    Attributes:
        name: What to give instead of a file.
        path: The file, a saved cascade.
        sha256: Of the file, in hexadecimal.
        licence: One sentence on who may use it for what.
        description: One line.
    """

    name: str
    path: Path
    sha256: str
    licence: str
    description: str


def shipped() -> dict[str, ShippedWeights]:
    """The weights that come with the package, by name."""
    entries: dict[str, dict[str, str]] = json.loads(
        (FOLDER / "weights.json").read_text(encoding="utf-8")
    )
    return {
        name: ShippedWeights(
            name, FOLDER / entry["file"], entry["sha256"], entry["licence"], entry["description"]
        )
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
