"""MediaPipe's face detectors (extra `mediapipe`)."""

from typing import Any, Final

from facemask._distribution import pip_install
from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.detection import (
    BoxMapping,
    Detection,
    Image,
    OwnBox,
    best_first,
    check_image,
)

# Fitted with benchmarks/detectors.py like dlib's (see dlib_detector.py). IoU of mapped and true
# crop, median (5th percentile), on videos and on stills:
#   near 0.909 (0.818)  0.893 (0.758)
#   far  0.892 (0.768)  0.839 (0.703)
NEAR: Final = BoxMapping(0.0, 0.038, 1.21)
FAR: Final = BoxMapping(0.0, 0.083, 1.134)
MAPPINGS: Final = (NEAR, FAR)
SAME_FACE: Final = 0.4
"""IoU from which both models mean one face."""


class MediapipeDetector:
    """MediaPipe's two models: faces within 2 metres, and within 5.

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
        """The faces of an RGB image uint8 (H, W, 3), best first."""
        faces: list[Detection] = []
        for own in self.own_boxes(image):  # the near model's come first
            box = MAPPINGS[own.kind].crop(own.box)
            if all(overlap(box, other.box) < SAME_FACE for other in faces):
                faces.append(Detection(box, own.score))
        return best_first(faces)

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Both models' own boxes in an RGB image uint8 (H, W, 3); kind 0 is near, 1 far."""
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
