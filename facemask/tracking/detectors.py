"""Face detectors by name: CenterFace, dlib's, MediaPipe's and OpenCV's YuNet.

Examples:
    >>> import numpy as np
    >>> open_detector("cropped").detect(np.zeros((40, 50, 3), dtype=np.uint8))
    [Detection(box=Box(left=0.0, top=0.0, right=50.0, bottom=40.0), score=1.0, roll=0.0)]
"""

import math
from pathlib import Path
from typing import Any, Final

from facemask._distribution import pip_install
from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.boxes_file import BoxesFile, CroppedFrames
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import (
    SMALLEST,
    BoxMapping,
    Detection,
    FaceDetector,
    GivenFaces,
    Image,
    OwnBox,
    best_first,
    check_image,
    check_smallest,
    import_dlib,
    resized,
)
from facemask.tracking.yunet import YunetDetector

__all__ = [
    "DETECTORS",
    "SMALLEST",
    "BoxesFile",
    "CenterFaceDetector",
    "CroppedFrames",
    "Detection",
    "DlibDetector",
    "FaceDetector",
    "GivenFaces",
    "MediapipeDetector",
    "YunetDetector",
    "open_detector",
]

DETECTORS: Final = ("auto", "centerface", "dlib", "mediapipe", "yunet", "cropped")

_DLIB_PIXELS: Final = 80
"""Side in pixels from which on dlib's detector sees faces."""
_DLIB_LOWEST: Final = -0.5
"""dlib's own threshold is 0. From −0.5 on it finds 99.5 % instead of 97 % of the stills' faces,
with one false face in 8 images instead of one in 27: good for confirming, not for starting."""
_SAME_FACE: Final = 0.4
"""IoU from which both of MediaPipe's models mean one face."""

# Fitted with benchmarks/detectors.py on detectors' boxes beside the crops of 68 landmarks: 13
# videos (586 frames, dlib's own landmarks) and 435 stills (Helen, human landmarks), both with the
# same weight. IoU of mapped and true crop, median (5th percentile), on videos and on stills:
#   dlib, frontal           0.861 (0.747)  0.829 (0.707)
#   dlib, turned leftwards  0.874 (0.772)  0.922 (0.733)
#   dlib, turned rightwards 0.937 (0.806)  0.879 (0.718)
#   MediaPipe, near         0.909 (0.818)  0.893 (0.758)
#   MediaPipe, far          0.892 (0.768)  0.839 (0.703)
# The scatter is the detectors': dlib's boxes come in steps of 8 pixels and of 5/6 in size. dlib has
# five classifiers: frontal, turned to the image's left and right, rolled left and right. The last
# two are too rare in the data for constants of their own; mirrored ones share theirs.
_FRONTAL: Final = BoxMapping(0.0, 0.077, 1.22)
_LEFTWARDS: Final = BoxMapping(0.09, 0.11, 1.205)
_RIGHTWARDS: Final = BoxMapping(-0.09, 0.11, 1.205)
_DLIB: Final = (_FRONTAL, _LEFTWARDS, _RIGHTWARDS, _FRONTAL, _FRONTAL)
_MEDIAPIPE: Final = (BoxMapping(0.0, 0.038, 1.21), BoxMapping(0.0, 0.083, 1.134))


def open_detector(
    name: str = "auto", model: str | Path | None = None, smallest: float | None = None
) -> FaceDetector:
    """Return a face detector by its name.

    Args:
        name: `auto` or `centerface`, which needs no extra; `dlib`, `mediapipe`, `yunet`; or
            `cropped` (every frame is a face crop already).
        model: YuNet's model file; the others take none.
        smallest: Smallest face to be found, as a share of the image's longer side; MediaPipe sees
            what it sees. None means each detector's own default.

    Raises:
        InputError: The name is unknown, what it needs is not installed, or `model` is missing
            or given in vain.
    """
    if name not in DETECTORS:
        raise InputError(f"the detector is {name!r}: give one of {', '.join(DETECTORS)}.")
    if model is not None and name != "yunet":
        raise InputError(f"a model file was given, but the {name} detector takes none: yunet does.")
    if name == "cropped":
        return CroppedFrames()
    if name == "yunet":
        return YunetDetector(model, SMALLEST if smallest is None else smallest)
    if name == "mediapipe":
        return MediapipeDetector()
    if name == "dlib":
        return DlibDetector(SMALLEST if smallest is None else smallest)
    return CenterFaceDetector(smallest)


class DlibDetector:
    """dlib's frontal face detector (extra `dlib`): HOG features and five linear classifiers.

    Args:
        smallest: Smallest face to be found, as a share of the image's longer side. The image
            is enlarged or reduced so that such a face has the 80 pixels that dlib needs; the
            time taken follows from this share, not from the image's size.

    Raises:
        InputError: dlib is missing, or `smallest` is out of range.
    """

    def __init__(self, smallest: float = SMALLEST) -> None:
        self._longest = _DLIB_PIXELS / check_smallest(smallest)
        dlib = import_dlib("the dlib face detector is not installed")
        self._detector: Any = dlib.get_frontal_face_detector()

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces of an RGB image uint8 (H, W, 3), best first."""
        found = self.own_boxes(image)
        return best_first([Detection(_DLIB[f.kind].crop(f.box), f.score) for f in found])

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Return own boxes in an RGB image uint8 (H, W, 3); the kind is the classifier's index."""
        image = check_image(image)
        scale = self._longest / max(image.shape[:2])
        found, margins, kinds = self._detector.run(resized(image, scale), 0, _DLIB_LOWEST)
        faces = []
        for box, margin, kind in zip(found, margins, kinds, strict=True):
            edges = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
            own = Box(*(edge / scale for edge in edges))
            faces.append(OwnBox(own, kind, 1 / (1 + math.exp(-margin))))
        return faces


class MediapipeDetector:
    """MediaPipe's two models (extra `mediapipe`): faces within 2 metres, and within 5.

    Both look at every image; where both see a face, the near model's box is taken, which is
    the finer one. The near model sees faces of about a fifth of the image and more.

    Raises:
        InputError: MediaPipe is missing, or is a version without these models.
    """

    def __init__(self) -> None:
        try:
            import mediapipe
        except ImportError as error:
            raise InputError(
                f"the MediaPipe face detector is not installed: {pip_install('mediapipe')}."
            ) from error
        except (AttributeError, TypeError) as error:  # what a protobuf of another version raises
            raise InputError(
                f"mediapipe does not start ({error}): {pip_install('mediapipe')} brings the "
                "versions that fit together."
            ) from error
        try:
            model: Any = mediapipe.solutions.face_detection.FaceDetection
        except AttributeError as error:
            raise InputError(
                f"mediapipe {mediapipe.__version__} comes without its face detection models: "
                f"{pip_install('mediapipe')} brings a version that holds them."
            ) from error
        self._models = [model(model_selection=0), model(model_selection=1)]

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces of an RGB image uint8 (H, W, 3), best first."""
        faces: list[Detection] = []
        for own in self.own_boxes(image):  # the near model's come first
            box = _MEDIAPIPE[own.kind].crop(own.box)
            if all(overlap(box, other.box) < _SAME_FACE for other in faces):
                faces.append(Detection(box, own.score))
        return best_first(faces)

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Return both models' own boxes in an RGB image uint8 (H, W, 3); kind 0 is near, 1 far."""
        image = check_image(image)
        height, width = image.shape[:2]
        faces = []
        for kind, model in enumerate(self._models):
            for found in model.process(image).detections or []:
                box = found.location_data.relative_bounding_box
                left, top = box.xmin * width, box.ymin * height
                own = Box(left, top, left + box.width * width, top + box.height * height)
                faces.append(OwnBox(own, kind, float(found.score[0])))
        return faces
