"""Guards where Lightning lets too much in: unknown hyperparameters, classes of another tree.

A checkpoint's hyperparameters may be anybody's. Our modules and callbacks are those of
`pytorch_lightning`; `lightning` has classes of its own, which do not know them.
"""

import inspect
import sys
from pathlib import Path
from typing import Any, Final, TypeVar

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from facemask.checkpoints import read_checkpoint
from facemask.errors import InputError

MODULE_KEY: Final = "hyper_parameters"
"""Key of a LightningModule's hyperparameters in Lightning's checkpoints."""
DATA_KEY: Final = "datamodule_hyper_parameters"
"""Key of a data module's."""
_EARLIER_KEYS: Final = ("hparams", "module_arguments")  # which Lightning still reads
_COMMAND_LINES: Final = {"_instantiator", "_class_path"}  # which LightningCLI adds to all

_RULE: Final = (
    "facemask works with `import pytorch_lightning`, which has classes of its own: take Trainer, "
    "callbacks and loggers from there"
)

Built = TypeVar("Built")


def known_names(kind: type) -> set[str]:
    """Return the names of a class's parameters, and of its bases' as far as it hands `**` on."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"network"}  # an object, which subclasses make themselves


def keep_known(checkpoint: dict[str, Any], kind: type | None, key: str = MODULE_KEY) -> None:
    """Keep in a checkpoint, in place, only the hyperparameters that a class knows by name.

    What a checkpoint says may be anybody's, and Lightning acts on some of the names that may be
    among its hyperparameters. Names that are left out are told.

    Args:
        checkpoint: What was read.
        kind: The class that they are for; None leaves all of them out.
        key: Where they are.
    """
    for earlier in _EARLIER_KEYS:
        checkpoint.pop(earlier, None)
    found = checkpoint.pop(key, None)
    if kind is None or found is None:
        return
    found = dict(found) if isinstance(found, dict) else {}
    names = known_names(kind)
    checkpoint[key] = {name: value for name, value in found.items() if name in names}
    unknown = sorted(map(str, found.keys() - names - _COMMAND_LINES))
    if unknown:
        rank_zero_warn(
            f"The checkpoint's hyperparameters {', '.join(unknown)} are left out: "
            f"{kind.__name__} has none of that name."
        )


def build_from(kind: type[Built], path: Path, key: str, given: dict[str, Any]) -> tuple[
    Built, dict[str, Any]
]:  # fmt: skip
    """Build an object with the hyperparameters in a checkpoint; return it and the checkpoint.

    Args:
        kind: Its class.
        path: The checkpoint; read without running code from it.
        key: Where in it they are.
        given: What else it is built with; wins.

    Raises:
        InputError: The checkpoint cannot be read, or lacks what the class needs.
    """
    checkpoint = read_checkpoint(path)
    keep_known(checkpoint, kind, key)
    arguments = checkpoint.get(key, {}) | given
    missing = [
        p.name
        for p in inspect.signature(kind).parameters.values()
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in arguments
    ]
    if missing:
        raise InputError(
            f"{path}: does not hold {', '.join(missing)}, which {kind.__name__} is built with: "
            f"give it as a keyword, {kind.__name__}.load_from_checkpoint(path, {missing[0]}=...)."
        )
    return kind(**arguments), checkpoint


def check_trainer(trainer: object) -> None:
    """Check that a trainer and its callbacks are `pytorch_lightning`'s.

    Raises:
        InputError: One is not, such as `lightning.pytorch`'s.
    """
    others = [] if isinstance(trainer, Trainer) else [trainer]
    others += [c for c in getattr(trainer, "callbacks", []) if not isinstance(c, Callback)]
    for kind in map(type, others):
        if any(base.__module__.partition(".")[0] == "lightning" for base in kind.__mro__):
            raise InputError(f"{kind.__module__}.{kind.__qualname__} was given, but {_RULE}.")


def warn_of_lightning() -> None:
    """Say once that a `lightning.pytorch.Trainer` will refuse our modules, if there can be one."""
    if "lightning.pytorch" in sys.modules:
        rank_zero_warn(
            "lightning.pytorch is imported, whose Trainer refuses facemask's modules and data "
            f"modules: {_RULE}."
        )
