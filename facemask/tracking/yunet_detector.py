"""OpenCV's YuNet face detector, with a model file of the user's."""

from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.errors import InputError, cause_of
from facemask.tracking.detection import Detection, Image, best_first, check_image, resized

SIDE: Final = 640
"""Size of the square input. Older model files take no other."""
LOWEST_SCORE: Final = 0.3
MOST_OVERLAP: Final = 0.3
MODEL_FILE: Final = "face_detection_yunet_2023mar.onnx"

# The crop follows from YuNet's five points (eyes, nose tip, corners of the mouth), because they
# and the 68 landmarks mean the same places. In units of the points' spread (root mean square
# distance from their mean): the crop's side; how far its centre lies below the mean, along the
# face; and how far it lies beside it, over the nose's own offset, which points the other way
# when a face turns. Fitted on the same points of 68 landmarks (benchmarks/detectors.py checks it):
# IoU of mapped and true crop, median (5th percentile), 0.917 (0.858) on videos and 0.889 (0.791)
# on stills. The model's own scatter comes on top.
SIDE_OVER_SPREAD: Final = 4.58
DOWN: Final = 0.218
BESIDE_OVER_NOSE: Final = -1.63

Points: TypeAlias = npt.NDArray[np.float64]


class YunetDetector:
    """OpenCV's YuNet.

    Args:
        model: The ONNX file, for instance OpenCV Zoo's `face_detection_yunet_2023mar.onnx`.

    Raises:
        InputError: No file is given, it is missing or no such model, or OpenCV lacks YuNet.
    """

    def __init__(self, model: Path | None) -> None:
        if model is None:
            raise InputError(
                f"the yunet detector needs a model file: give {MODEL_FILE} of OpenCV Zoo "
                "(github.com/opencv/opencv_zoo, models/face_detection_yunet)."
            )
        if not Path(model).is_file():
            raise InputError(f"{model}: no such file, expected YuNet's model ({MODEL_FILE}).")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise InputError(
                f"OpenCV {cv2.__version__} has no YuNet: pip install --upgrade opencv-python "
                "opencv-python-headless."
            )
        try:
            self._detector: Any = cv2.FaceDetectorYN.create(
                str(model), "", (SIDE, SIDE), LOWEST_SCORE, MOST_OVERLAP
            )
        except cv2.error as error:
            raise InputError(
                f"{model}: OpenCV cannot read it as a YuNet model, as {MODEL_FILE} is "
                f"({cause_of(error)})."
            ) from error

    def detect(self, image: Image) -> list[Detection]:
        """The faces of an RGB image uint8 (H, W, 3), best first."""
        image = check_image(image)
        scale = SIDE / max(image.shape[:2])
        small = resized(image, scale)
        square = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        square[: small.shape[0], : small.shape[1]] = small[..., ::-1]  # YuNet takes BGR
        try:
            _, rows = self._detector.detect(square)
        except cv2.error as error:
            raise InputError(f"OpenCV cannot run the YuNet model: {cause_of(error)}.") from error
        if rows is None:
            return []
        faces = np.asarray(rows, dtype=np.float64)
        return best_first(
            [
                Detection(crop_of_five_points(row[4:14].reshape(5, 2) / scale), float(row[14]))
                for row in faces
            ]
        )


def crop_of_five_points(points: Points) -> Box:
    """The face crop that follows from five points.

    Args:
        points: (5, 2) x, y in pixel edges: both eyes, nose tip, both corners of the mouth; of
            each pair the one on the image's left comes first.
    """
    mean = points.mean(axis=0)
    spread = float(np.sqrt(((points - mean) ** 2).sum(axis=1).mean()))
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    down /= max(float(np.linalg.norm(down)), 1e-6)
    beside = np.array([down[1], -down[0]])
    nose = float((points[2] - mean) @ beside)
    x, y = (mean + DOWN * spread * down + BESIDE_OVER_NOSE * nose * beside).tolist()
    return Box.around(x, y, SIDE_OVER_SPREAD * spread)
