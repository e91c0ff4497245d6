"""Descent of weights: what they were trained from and on, and the terms that come with it."""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from torch import nn  # a command says what it must before it waits for torch

KEY: Final = "origins"
"""Key of the descent in the JSON of files and in checkpoints."""
LIST: Final = "weights.json"
"""Name of a list of weights, in their folder."""
_FREE: Final = "apache-2.0"


@dataclass(frozen=True)
class Origin:
    """Weights or data that a network's weights come from.

    Attributes:
        name: Such as "default", or "data set faces".
        sha256: SHA-256 of a file of weights, in hexadecimal; None for data.
        licence: Terms that the network inherits, a sentence; None where none are known.
        licence_id: Their identifier on the Hugging Face Hub, such as "apache-2.0".
        note: What else is known, a sentence.
    """

    name: str
    sha256: str | None = None
    licence: str | None = None
    licence_id: str | None = None
    note: str | None = None


def origin_beside(path: Path) -> tuple[Origin, ...]:
    """Return what a list beside a file of weights says of it, such as the one of shipped weights.

    Args:
        path: The file; a `weights.json` beside it names files, with their digests and licences.
    """
    try:
        entries = json.loads((path.parent / LIST).read_text(encoding="utf-8"))
        found = {name: entry for name, entry in entries.items() if entry["file"] == path.name}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):  # none, or another list
        return ()
    known = ("sha256", "licence", "licence_id")
    return tuple(Origin(name, *(entry.get(key) for key in known)) for name, entry in found.items())


def origins_of(network: "nn.Module") -> tuple[Origin, ...]:
    """Return what a network, or any part of it, comes from, each once; empty if nothing says."""
    parts = (getattr(module, KEY, ()) for module in network.modules())
    return tuple(dict.fromkeys(origin for part in parts for origin in part))


def describe_origins(origins: Iterable[Origin]) -> dict[str, Any]:
    """Return a descent for JSON, under its key; empty if there is none."""
    found = [{k: v for k, v in asdict(origin).items() if v is not None} for origin in origins]
    return {KEY: found} if found else {}


def read_origins(content: Mapping[str, Any]) -> tuple[Origin, ...]:
    """Return the descent in what `describe_origins` wrote.

    Raises:
        TypeError: It is damaged.
    """
    return tuple(Origin(**origin) for origin in content.get(KEY, ()))


def terms_of(origins: Iterable[Origin]) -> str | None:
    """Return the terms that are inherited, a sentence; None where none are known.

    Examples:
        >>> terms_of([Origin("default", "0ab", "for research only."), Origin("data set mine")])
        "from 'default': for research only."
        >>> terms_of([Origin("mine", note=region, licence="mine.") for region in ("face", "eyes")])
        "from 'mine': mine."
    """
    names: dict[str, dict[str, None]] = {}
    for origin in origins:  # networks of a cascade have much in common
        if origin.licence is not None:
            names.setdefault(origin.licence, {})[repr(origin.name)] = None
    return " ".join(f"from {', '.join(of)}: {terms}" for terms, of in names.items()) or None


def read_descriptions(path: Path) -> list[dict[str, Any]]:
    """Return what a file of safetensors says of its model before its tensors, without torch.

    Args:
        path: The file; one that is damaged, or of something else, says nothing here.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            texts = (file.metadata() or {}).values()
    except (SafetensorError, OSError):
        return []
    found = []
    for text in texts:  # a card is no JSON
        with contextlib.suppress(ValueError):
            found.append(json.loads(text))
    return [content for content in found if isinstance(content, dict)]


def terms_in(path: Path) -> str | None:
    """Return the terms that a file of safetensors says its weights inherit; None where none are."""
    for content in read_descriptions(path):
        with contextlib.suppress(TypeError):  # damaged, which is told when it is loaded
            return terms_of(read_origins(content) or origin_beside(path))
    return None


def hub_licence(origins: Sequence[Origin]) -> str:
    r"""Return the lines on the licence in the front matter of a model card, as the Hub reads them.

    What is only inherited in part is "other", for the terms of the data come on top.

    Examples:
        >>> hub_licence([Origin("open", licence_id="apache-2.0")])
        'license: apache-2.0\n'
    """
    ids = {origin.licence_id for origin in origins}
    bound = sorted(name for name in ids - {_FREE, None} if name is not None)
    if not bound and _FREE not in ids:
        return ""  # nothing is known
    if ids == {_FREE}:
        return f"license: {_FREE}\n"
    name = "-and-".join(bound) or f"{_FREE}-and-terms-of-the-training-data"
    return f"license: other\nlicense_name: {name}\n"


def descent_in_words(origins: Iterable[Origin]) -> str:
    """Return a descent as a list in Markdown; empty if there is none."""
    lines = []
    for origin in origins:
        digest = "" if origin.sha256 is None else f" (SHA-256 {origin.sha256})"
        said = " ".join(p[:1].upper() + p[1:] for p in (origin.note, origin.licence) if p)
        lines.append(f"* **{origin.name}**{digest}{': ' if said else ''}{said}")
    return "\n".join(lines)


def descent_in_short(origins: Iterable[Origin]) -> str:
    """Return the names in a descent, each once, with the licences' identifiers; empty if none.

    Examples:
        >>> descent_in_short([Origin("open", licence_id="apache-2.0"), Origin("data set mine")])
        "from 'open' (apache-2.0), 'data set mine'"
    """
    names = dict.fromkeys(
        repr(origin.name) + (f" ({origin.licence_id})" if origin.licence_id else "")
        for origin in origins
    )
    return f"from {', '.join(names)}" if names else ""
