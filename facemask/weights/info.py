"""What is in a saved cascade, for people."""

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from facemask.files import sha256_of
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import read_header
from facemask.weights.catalog import shipped


def print_info(name: str, path: Path, console: Console) -> None:
    """Print a saved cascade's networks, settings and model card.

    Args:
        name: What it is called.
        path: Its file, which is loaded whole, so that what is printed can be used too.
        console: Where to.

    Raises:
        InputError: The file is missing, damaged or no cascade.
    """
    cascade = Cascade.load(path)
    header = read_header(path)
    facts: dict[str, object] = {
        "file": path,
        "MB": f"{path.stat().st_size / 1e6:.1f}",
        "SHA-256": sha256_of(path),
    }
    if name in shipped():
        facts["licence"] = shipped()[name].licence
    facts["written by"] = f"facemask {header.content.get('facemask_version')}"
    facts["stored as"] = ", ".join(header.dtypes)
    settings = header.content["settings"].items()
    facts["settings"] = ", ".join(f"{key} {value}" for key, value in settings)
    console.print(f"[bold]{escape(name)}")
    for key, fact in facts.items():  # no table: a cell would cut what may be copied
        console.print(f"  {key}: {fact}", highlight=False, markup=False, soft_wrap=True)
    networks = Table("network", "kind", "backbone", "parameters", "built with")
    for role, network in cascade.networks().items():
        built = dict(header.content["networks"][role])
        kind, backbone = built.pop("network"), built.pop("backbone")
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        options = ", ".join(f"{key} {value}" for key, value in built.items())
        networks.add_row(role, kind, backbone, f"{millions:.2f} million", options)
    console.print(networks)
    console.print(Markdown(header.card) if header.card else "It has no model card.")
