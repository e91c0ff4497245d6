"""Mend for a torchvision whose compiled library does not fit the installed torch.

`pip install torchvision` brings a CUDA build. Beside a CPU-only torch its library cannot be
loaded, and `import torchvision` (hence `import timm`) stops with "operator torchvision::nms does
not exist", because it registers shape functions for operators that nobody defined. facemask uses
none of these operators, so defining their *schemas* is enough to make the import succeed.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_SCHEMAS: Final = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: Final[list[Any]] = []  # the schemas live as long as these objects


class _Mend(MetaPathFinder):
    """Sees `import torchvision` coming, mends what it needs, and leaves it to the others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Define the missing operators before torchvision is loaded."""
        del path, target
        if name == "torchvision":
            define_missing_operators()
        return None


def mend_on_import() -> None:
    """Let `import torchvision` succeed from now on, by whoever it is imported.

    torch is imported only then, so that what needs no torchvision starts without it.
    """
    if not any(isinstance(finder, _Mend) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Mend())


def define_missing_operators() -> bool:
    """Define `torchvision::nms` and `qnms` if torchvision's own library cannot be loaded.

    Must run before `torchvision` is imported; `mend_on_import` sees to that. Calling it again does
    nothing.

    Returns:
        True if the operators had to be defined, False if torchvision is healthy or absent.
    """
    import torch

    if _libraries:
        return True
    if hasattr(torch.ops.torchvision, "nms"):
        return False  # torchvision was imported before us and works
    spec = PathFinder.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    try:
        library = next(Path(spec.origin).parent.glob("_C*.*"))
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, StopIteration):
        definitions = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            definitions.define(schema)  # type: ignore[no-untyped-call]
        _libraries.append(definitions)
        return True
    return False
