"""Face masks from any picture, video or camera."""

from facemask.extraction.extractor import FaceMaskExtractor, FaceMaskStream
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.extraction.signals import SIGNALS, face_signals
from facemask.extraction.temporal import Temporal
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
