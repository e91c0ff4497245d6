"""What a saved cascade says before its tensors; read without building networks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from facemask.checkpoints import unreadable
from facemask.errors import InputError

KEY: Final = "facemask_cascade"
"""Where the file's metadata has the JSON."""
CARD_KEY: Final = "facemask_card"
"""Where it has the model card, in Markdown."""


@dataclass(frozen=True)
class CascadeHeader:
    """What a cascade's file says before its tensors.

    Attributes:
        content: The JSON that `write_cascade` describes.
        card: The model card in Markdown, if there is one.
        dtypes: Of its floating-point tensors, in safetensors' words: "F32", "F16", "BF16".
    """

    content: dict[str, Any]
    card: str | None
    dtypes: list[str]


def read_header(path: Path) -> CascadeHeader:
    """Read what a cascade's file says before its tensors.

    Raises:
        InputError: The file is missing, damaged or no cascade.
    """
    with open_cascade(path) as file:
        dtypes = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118  # no dict
        metadata = file.metadata() or {}
    floating = sorted(dtype for dtype in dtypes if "F" in dtype)
    return CascadeHeader(read_content(metadata, path), metadata.get(CARD_KEY), floating)


def read_card(path: Path) -> str | None:
    """The model card in a cascade's file, Markdown; None if it has none.

    Raises:
        InputError: The file is missing, damaged or no cascade.
    """
    return read_header(path).card


@contextmanager
def open_cascade(path: Path) -> Iterator[Any]:
    """Open a saved cascade with safetensors' `safe_open`.

    Raises:
        InputError: The file is missing or damaged, or cannot be read.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give one that Cascade.save wrote.")
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, MemoryError) as error:
        damaged = "is no safetensors file, or a damaged or truncated one"
        raise unreadable(path, error, damaged, "give one that Cascade.save wrote") from error


def read_content(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The description of networks and settings in a file's metadata.

    Raises:
        InputError: There is none.
    """
    try:
        content = json.loads(metadata.get(KEY, "null"))
    except json.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: holds tensors, but not those of a cascade; give a file that Cascade.save "
            "wrote, or checkpoints to Cascade.from_checkpoints."
        )
    return content
