"""`facemask weights`: what comes with the package, and what is in a model's file."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from facemask.errors import InputError
from facemask.files import sha256_of
from facemask.origin import origins_of, terms_of
from facemask.terminal import print_table
from facemask.weights.catalog import find_weights, shipped, verify


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
        for name in names or ("default",):
            _info(name, console)
    else:
        _verify(names, console)


def _list(console: Console) -> None:
    table = Table("name", "MB", "licence", "description")
    for entry in shipped().values():
        size = f"{entry.path.stat().st_size / 1e6:.1f}" if entry.path.is_file() else "missing"
        table.add_row(entry.name, size, entry.licence, entry.description)
    print_table(table, console)


def _info(name: str, console: Console) -> None:
    """Print networks, settings and model card of a file, loaded whole so that it can be used."""
    from facemask.models.cascade.cascade import Cascade  # torch takes seconds to import
    from facemask.models.cascade.file import read_header

    path = find_weights(name)
    cascade = Cascade.load(path)
    header = read_header(path)
    facts: dict[str, object] = {
        "file": path,
        "MB": f"{path.stat().st_size / 1e6:.1f}",
        "SHA-256": sha256_of(path),
    }
    if name in shipped():
        facts["licence"] = shipped()[name].licence
    elif (terms := terms_of(origins_of(cascade))) is not None:
        facts["licence"] = terms
    facts["written by"] = f"facemask {header.content.get('facemask_version')}"
    facts["stored as"] = ", ".join(header.dtypes)
    settings = dict(header.content["settings"])
    fit = settings.pop("confidence", None)
    facts["settings"] = ", ".join(f"{key} {value}" for key, value in settings.items())
    facts["confidence"] = _confidence(fit)
    console.print(f"[bold]{escape(name)}")
    _lines(facts, console)
    networks = Table("network", "kind", "backbone", "parameters")
    options: dict[str, str] = {}
    for role, network in cascade.networks().items():
        built = dict(header.content["networks"][role])
        kind, backbone = built.pop("network"), built.pop("backbone")
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        offsets: list[float] = cast("Any", network).offsets.tolist()  # files have only ours
        if any(offsets):
            built["calibrated by"] = " ".join(f"{offset:+.3g}" for offset in offsets)
        parts = (f"{k} {v}" for k, v in built.items() if k not in ("mean", "std"))
        options[f"{role}, built with"] = ", ".join(parts)
        networks.add_row(role, kind, backbone, f"{millions:.2f} million")
    print_table(networks, console)
    _lines(options, console)
    console.print(Markdown(header.card) if header.card else "It has no model card.")


def _lines(facts: Mapping[str, object], console: Console) -> None:
    for key, fact in facts.items():  # no table: a cell would cut what may be copied
        console.print(f"  {key}: {fact}", highlight=False, markup=False, soft_wrap=True)


def _confidence(fit: dict[str, Sequence[float]] | None) -> str:
    """Return a saved cascade's fit of its confidence in words."""
    if fit is None:
        return "not calibrated"
    numbers = (f"{key} {' '.join(f'{v:.3g}' for v in values)}" for key, values in fit.items())
    return f"calibrated ({', '.join(numbers)})"


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
