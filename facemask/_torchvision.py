"""Mend for a torchvision whose compiled library does not fit the installed torch.

`pip install torchvision` brings a CUDA build. Beside a CPU-only torch its library cannot be
loaded, and `import torchvision` (hence `import timm`) stops with "operator torchvision::nms does
not exist", because it registers shape functions for operators that nobody defined. facemask uses
none of these operators, so defining their *schemas* is enough to make the import succeed.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # the schemas live as long as this object


def define_missing_operators() -> bool:
    """Define `torchvision::nms` and `qnms` if torchvision's own library cannot be loaded.

    Must run before `torchvision`, `timm`, `pytorch_lightning` or `torchmetrics` is imported;
    `facemask/__init__.py` sees to that. Calling it again does nothing.

    Returns:
        True if the operators had to be defined, False if torchvision is healthy or absent.
    """
    global _library
    if _library is not None:
        return True
    if hasattr(torch.ops.torchvision, "nms"):
        return False  # torchvision was imported before us and works
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    try:
        library = next(Path(spec.origin).parent.glob("_C*.*"))
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, StopIteration):
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _SCHEMAS:
            _library.define(schema)  # type: ignore[no-untyped-call]
        return True
    return False
