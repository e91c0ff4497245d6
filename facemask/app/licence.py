"""Licence and card of the chosen model, as the page shows them."""

from pathlib import Path

from facemask.errors import InputError
from facemask.models.cascade.file import read_card
from facemask.origin import terms_in
from facemask.weights.catalog import shipped


def licence_of(name: str, path: Path | None) -> str:
    """Return the licence of a model's weights in a sentence, Markdown.

    Args:
        name: The model's name in the list.
        path: Its file; None if there is none of that name.
    """
    if name in shipped():
        return f"**Licence of these weights:** {shipped()[name].licence}"
    if path is not None and (terms := terms_in(path)) is not None:
        return f"**Licence of these weights:** {terms}"
    return (
        "**Licence of these weights:** not known to facemask: the model card, if there is one, or "
        "whoever trained them says what they may be used for."
    )


def card_of(path: Path) -> str | None:
    """Return the model card in a model's file, Markdown; None if it has none."""
    try:
        return read_card(path) if path.suffix == ".safetensors" else None
    except InputError:  # told when the model is used
        return None
