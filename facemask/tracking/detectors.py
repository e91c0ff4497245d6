"""Face detectors by name.

Examples:
    >>> import numpy as np
    >>> open_detector("cropped").detect(np.zeros((40, 50, 3), dtype=np.uint8))
    [Detection(box=Box(left=0.0, top=0.0, right=50.0, bottom=40.0), score=1.0)]
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from facemask._distribution import pip_install
from facemask.errors import InputError
from facemask.tracking.boxes_file import BoxesFile, CroppedFrames
from facemask.tracking.detection import Detection, FaceDetector, GivenFaces
from facemask.tracking.dlib_detector import DlibDetector
from facemask.tracking.mediapipe_detector import MediapipeDetector
from facemask.tracking.yunet_detector import YunetDetector

__all__ = [
    "DETECTORS",
    "SMALLEST",
    "BoxesFile",
    "CroppedFrames",
    "Detection",
    "DlibDetector",
    "FaceDetector",
    "GivenFaces",
    "MediapipeDetector",
    "YunetDetector",
    "open_detector",
]

SMALLEST: Final = 1 / 8
"""Smallest face that is looked for unless told, as a share of the image's longer side."""
DETECTORS: Final = ("auto", "dlib", "mediapipe", "yunet", "cropped")


def open_detector(
    name: str = "auto", model: Path | None = None, smallest: float = SMALLEST
) -> FaceDetector:
    """A face detector by its name.

    Args:
        name: `dlib`, `mediapipe`, `yunet`, `cropped` (every frame is a face crop already), or
            `auto`: MediaPipe if it is installed, else dlib.
        model: YuNet's model file; the others take none.
        smallest: Smallest face that dlib finds, as a share of the image's longer side; the
            others see what they see.

    Raises:
        InputError: The name is unknown, what it needs is not installed, or `model` is missing
            or given in vain.
    """
    if name not in DETECTORS:
        raise InputError(f"the detector is {name!r}: give one of {', '.join(DETECTORS)}.")
    if model is not None and name != "yunet":
        raise InputError(f"a model file was given, but the {name} detector takes none: yunet does.")
    if name == "auto":
        return _installed(smallest)
    if name == "mediapipe":
        return MediapipeDetector()
    if name == "dlib":
        return DlibDetector(smallest)
    return YunetDetector(model) if name == "yunet" else CroppedFrames()


def _installed(smallest: float) -> FaceDetector:
    has_dlib = find_spec("dlib") is not None
    if find_spec("mediapipe") is not None:
        try:
            return MediapipeDetector()
        except InputError:  # there, but broken or another version
            if not has_dlib:
                raise
    if has_dlib:
        return DlibDetector(smallest)
    raise InputError(
        f"no face detector is installed: {pip_install('dlib')} or {pip_install('mediapipe')}, "
        "or do without: --boxes FILE.csv gives the faces, --cropped says that every frame is one."
    )
