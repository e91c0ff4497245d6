"""Face masks from any picture, video or camera.

Everything is imported on first use: networks bring torch, which names and files do without.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from facemask.extraction.choices import Temporal
    from facemask.extraction.extractor import FaceMaskExtractor, FaceMaskStream
    from facemask.extraction.results import ExtractedFace, ExtractedFrame
    from facemask.extraction.signals import SIGNALS, face_signals
    from facemask.weights.load import load_model

__all__ = [
    "SIGNALS",
    "ExtractedFace",
    "ExtractedFrame",
    "FaceMaskExtractor",
    "FaceMaskStream",
    "Temporal",
    "face_signals",
    "load_model",
]

_MODULES: Final = {
    "ExtractedFace": "extraction.results",
    "ExtractedFrame": "extraction.results",
    "SIGNALS": "extraction.signals",
    "Temporal": "extraction.choices",
    "face_signals": "extraction.signals",
    "load_model": "weights.load",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES.get(name, "extraction.extractor")
    return getattr(importlib.import_module(f"facemask.{module}"), name)
