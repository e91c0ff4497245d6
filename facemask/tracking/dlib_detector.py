"""dlib's HOG face detector (extra `dlib`)."""

import math
from typing import Any, Final

from facemask._distribution import pip_install
from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking.detection import (
    BoxMapping,
    Detection,
    Image,
    OwnBox,
    best_first,
    check_image,
    check_smallest,
    resized,
)

SMALLEST_PIXELS: Final = 80
"""dlib's detector sees faces from this many pixels on."""
LOWEST_MARGIN: Final = -0.5
"""dlib's own threshold is 0. From −0.5 on it finds 99.5 % instead of 97 % of the stills' faces,
with one false face in 8 images instead of one in 27: good for confirming, not for starting."""

# Fitted with benchmarks/detectors.py on dlib's boxes beside the crops of 68 landmarks: 13 videos
# (586 frames, dlib's own landmarks) and 435 stills (Helen, human landmarks), both with the same
# weight. IoU of mapped and true crop, median (5th percentile), on videos and on stills:
#   frontal           0.861 (0.747)  0.829 (0.707)
#   turned leftwards  0.874 (0.772)  0.922 (0.733)
#   turned rightwards 0.937 (0.806)  0.879 (0.718)
# The scatter is dlib's: its boxes come in steps of 8 pixels and of 5/6 in size. dlib has five
# classifiers: frontal, turned to the image's left and right, rolled left and right. The last two
# are too rare in the data for constants of their own; mirrored ones share theirs.
FRONTAL: Final = BoxMapping(0.0, 0.077, 1.22)
LEFTWARDS: Final = BoxMapping(0.09, 0.11, 1.205)
RIGHTWARDS: Final = BoxMapping(-0.09, 0.11, 1.205)
MAPPINGS: Final = (FRONTAL, LEFTWARDS, RIGHTWARDS, FRONTAL, FRONTAL)


class DlibDetector:
    """dlib's frontal face detector: HOG features and five linear classifiers.

    Args:
        smallest: Smallest face to be found, as a share of the image's longer side. The image
            is enlarged or reduced so that such a face has the 80 pixels that dlib needs; the
            time taken follows from this share, not from the image's size.

    Raises:
        InputError: dlib is missing, or `smallest` is out of range.
    """

    def __init__(self, smallest: float = 1 / 8) -> None:
        self._longest = SMALLEST_PIXELS / check_smallest(smallest)
        try:
            import dlib
        except ImportError as error:
            raise InputError(
                f"the dlib face detector is not installed: {pip_install('dlib')}."
            ) from error
        self._detector: Any = dlib.get_frontal_face_detector()

    def detect(self, image: Image) -> list[Detection]:
        """The faces of an RGB image uint8 (H, W, 3), best first."""
        found = self.own_boxes(image)
        return best_first([Detection(MAPPINGS[f.kind].crop(f.box), f.score) for f in found])

    def own_boxes(self, image: Image) -> list[OwnBox]:
        """Own boxes in an RGB image uint8 (H, W, 3); the kind is the classifier's index."""
        image = check_image(image)
        scale = self._longest / max(image.shape[:2])
        found, margins, kinds = self._detector.run(resized(image, scale), 0, LOWEST_MARGIN)
        faces = []
        for box, margin, kind in zip(found, margins, kinds, strict=True):
            edges = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
            own = Box(*(edge / scale for edge in edges))
            faces.append(OwnBox(own, kind, 1 / (1 + math.exp(-margin))))
        return faces
