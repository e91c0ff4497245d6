"""Our modules and callbacks are `pytorch_lightning`'s; `lightning` has classes of its own."""

import sys
from typing import Final

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from facemask.errors import InputError

RULE: Final = (
    "facemask works with `import pytorch_lightning`, which has classes of its own: take Trainer, "
    "callbacks and loggers from there"
)


def check_trainer(trainer: object) -> None:
    """Check that a trainer and its callbacks are `pytorch_lightning`'s.

    Raises:
        InputError: One is not, such as `lightning.pytorch`'s.
    """
    others = [] if isinstance(trainer, Trainer) else [trainer]
    others += [c for c in getattr(trainer, "callbacks", []) if not isinstance(c, Callback)]
    if others and any(_is_of_lightning(type(other)) for other in others):
        kind = type(others[0])
        raise InputError(f"{kind.__module__}.{kind.__qualname__} was given, but {RULE}.")


def warn_of_lightning() -> None:
    """Say once that a `lightning.pytorch.Trainer` will refuse our modules, if there can be one."""
    if "lightning.pytorch" in sys.modules:
        rank_zero_warn(
            "lightning.pytorch is imported, whose Trainer refuses facemask's modules and data "
            f"modules: {RULE}."
        )


def _is_of_lightning(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "lightning" for base in kind.__mro__)
