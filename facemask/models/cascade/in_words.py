"""A cascade in a line."""

from collections.abc import Mapping

from torch import nn

from facemask.models.cascade.settings import CascadeSettings
from facemask.origin import descent_in_short, origins_of


def in_words(name: str, networks: Mapping[str, nn.Module], settings: CascadeSettings) -> str:
    """Return what a cascade is made of, how large it is and what it comes from, where known.

    Examples:
        >>> in_words("Cascade", {"primary": nn.Conv2d(3, 5, 1)}, CascadeSettings(size=193))
        'Cascade(primary; 193 × 193 pixels; 20 parameters)'
    """
    modules = nn.ModuleList(networks.values())
    facts = [", ".join(networks), f"{settings.size} × {settings.size} pixels"]
    if count := sum(parameter.numel() for parameter in modules.parameters()):  # 0: not in torch
        many = f"{count / 1e6:.1f} million" if count >= 1e5 else f"{count:,}"
        facts.append(f"{many} parameters")
    if descent := descent_in_short(origins_of(modules)):
        facts.append(descent)
    return f"{name}({'; '.join(facts)})"
