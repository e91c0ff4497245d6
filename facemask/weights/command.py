"""`facemask weights`: what comes with the package, and what is in a model's file."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from facemask.errors import InputError
from facemask.weights.catalog import shipped, verify
from facemask.weights.find import find_weights


def weights(action: Literal["list", "info", "verify"], names: Sequence[str] = ()) -> None:
    """List the weights that come with facemask, say what is in a model's file, or check them.

    Args:
        action: list shows what comes with facemask, info what is in a model's file, and verify
            checks the SHA-256 of what comes with facemask.
        names: For info, shipped names, saved cascades or Hugging Face repository ids; "default"
            if left out. For verify, shipped names; all if left out.

    Raises:
        InputError: A name is unknown, or a file missing or damaged. Of several the others are
            checked first.
    """
    console = Console()
    if action == "list":
        if names:
            raise InputError(f"list takes no name, but {names[0]!r} was given: use info for that.")
        _list(console)
    elif action == "info":
        from facemask.weights.info import print_info  # networks take seconds to import

        for name in names or ("default",):
            print_info(name, find_weights(name), console)
    else:
        _verify(names, console)


def _list(console: Console) -> None:
    table = Table("name", "MB", "licence", "description")
    for entry in shipped().values():
        size = f"{entry.path.stat().st_size / 1e6:.1f}" if entry.path.is_file() else "missing"
        table.add_row(entry.name, size, entry.licence, entry.description)
    console.print(table)


def _verify(names: Sequence[str], console: Console) -> None:
    known = shipped()
    for name in names:
        if name not in known:
            raise InputError(
                f"{name}: only the weights that come with facemask have a known SHA-256: give "
                f"one of {', '.join(known)}, or no name for all."
            )
    failed: list[InputError] = []
    for entry in [known[name] for name in names or known]:
        try:
            verify(entry)
        except InputError as error:
            failed.append(error)
            console.print(f"{entry.name}: damaged", highlight=False)
        else:
            console.print(f"{entry.name}: ok (SHA-256 {entry.sha256})", highlight=False,
                          soft_wrap=True)  # fmt: skip
    if failed:
        raise failed[0]
