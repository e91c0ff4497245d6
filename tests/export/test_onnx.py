"""Exported graphs in ONNX Runtime and OpenVINO, at shapes that they were not traced with."""

import ctypes
import gc
import json
import logging
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facemask.export import export_networks, read_manifest
from facemask.export.formats import open_graph, openvino_core, write_graph
from facemask.export.graphs import graphs_of, random_clip
from facemask.files import sha256_of
from facemask.models import FCN
from facemask.models.normalisation import normalise
from tests.export.networks import SETTINGS, SIZE, exported, networks

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

Run = Callable[..., list[np.ndarray]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "onnx"
    exported(path, "onnx")
    return path


def in_onnxruntime(path: Path) -> Run:
    session = onnxruntime.InferenceSession(path)
    names = [value.name for value in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def in_openvino(path: Path) -> Run:
    compiled = openvino_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda *arrays: [np.array(value) for value in compiled(arrays).values()]


def test_nothing_is_told_of_a_torchvision_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Heard()
    monkeypatch.setattr(logging.getLogger("torch.onnx"), "handlers", [handler])
    monkeypatch.setitem(sys.modules, "torchvision", None)
    graph = next(graphs_of(FCN("test_resnet", 2).eval(), SIZE, False))
    write_graph(graph, tmp_path, "eyes.clip", "onnx")
    assert (tmp_path / "eyes.clip.onnx").is_file()
    assert [line for line in told if "torchvision" in line] == []
    logging.getLogger("torch.onnx").warning("torchvision is not installed, and more")
    assert told[-1] == "torchvision is not installed, and more"  # others may say it


@pytest.mark.parametrize("open_file", [in_onnxruntime, in_openvino])
def test_graphs_give_what_torch_gives(folder: Path, open_file: Callable[[Path], Run]) -> None:
    """All in one test: what is opened is used for several shapes."""
    primary, eyes = networks()["primary"], networks()["eyes"]
    clip, window = (open_file(folder / f"primary.{name}.onnx") for name in ("clip", "window"))
    step, frames = open_file(folder / "primary.step.onnx"), open_file(folder / "eyes.clip.onnx")
    for batch, length, height, width in ((1, 1, SIZE, SIZE), (2, 9, SIZE, SIZE), (1, 4, 49, 80)):
        images = random_clip(batch, length, height, width, seed=length)
        normalised = normalise(images.movedim(-1, -3), primary)
        with torch.inference_mode():
            scores, (h, c) = primary(normalised)
            windows = primary.score_windows(normalised, 5)  # type: ignore[operator]
            of_frames = eyes(normalise(images.movedim(-1, -3), eyes))
        for found, expected in zip(clip(images.numpy()), (scores, h, c), strict=True):
            np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-5)
        np.testing.assert_allclose(window(images.numpy())[0], windows, atol=2e-5, rtol=1e-5)
        np.testing.assert_allclose(frames(images.numpy())[0], of_frames, atol=2e-5, rtol=1e-5)
        state = [np.zeros(h.shape, np.float32), np.zeros(h.shape, np.float32)]
        for t in range(length):
            found, *state = step(images[:, t].numpy(), *state)
            np.testing.assert_allclose(found, scores[:, t], atol=2e-5, rtol=1e-5)
        np.testing.assert_allclose(state[1], c, atol=2e-5, rtol=1e-5)
        assert not np.allclose(state[0], state[1], atol=1e-2)  # h and c are two things


def test_the_other_cell_at_a_fixed_size(tmp_path: Path) -> None:
    mouth, lines = networks()["mouth"], list[str]()
    content = export_networks(
        {"mouth": mouth}, SETTINGS, tmp_path / "out", size=SIZE, graphs=["step"], say=lines.append
    )
    assert content["networks"]["mouth"]["classes"] == [0, 3, 4]
    (line,) = lines
    assert re.fullmatch(
        r"mouth\.step\.onnx: 1\.\d MB, differs from torch by \S+ \(1 of 1 after \d+ s\)", line
    )
    step = in_onnxruntime(tmp_path / "out" / "mouth.step.onnx")
    images = random_clip(2, 3, SIZE, SIZE, seed=8)
    with torch.inference_mode():
        scores, (h, _) = mouth(normalise(images.movedim(-1, -3), mouth))
    state = [np.zeros(h.shape, np.float32), np.zeros(h.shape, np.float32)]
    for t in range(3):
        found, *state = step(images[:, t].numpy(), *state)
        np.testing.assert_allclose(found, scores[:, t], atol=2e-5, rtol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_thread_is_left_without_its_stack_for_signals(folder: Path) -> None:
    """Models of OpenVINO that end in the order they were opened, and in another thread."""

    class Stack(ctypes.Structure):
        _fields_ = (
            ("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t),
        )  # fmt: skip

    file = folder / "eyes.clip.onnx"
    opened = [open_graph(file, "openvino") for _ in range(3)]
    while opened:
        ended = [opened.pop(0)]
        thread = threading.Thread(target=ended.clear)
        thread.start()
        thread.join()
        gc.collect()
    stack = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    areas = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()
    ]
    is_there = [int(first, 16) <= (stack.start or 0) < int(end, 16) for first, end in areas]
    assert stack.start is None or any(is_there)


def test_json_says_what_the_files_are(folder: Path) -> None:
    content = read_manifest(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "eyes.clip.onnx", "facemask.json", "primary.clip.onnx", "primary.step.onnx",
        "primary.window.onnx",
    ]  # fmt: skip
    eyes: dict[str, Any] = content["networks"]["eyes"]
    assert eyes["classes"] == [0, 2]
    assert content["networks"]["primary"]["memory"]
    assert not content["networks"]["eyes"]["memory"]
    assert content["cascade"]["mouth_margin"] == 1.6
    assert content["cascade"]["temperature"] == 1.0  # of the primary's free scores
    for role, network in content["networks"].items():
        for name, graph in network["graphs"].items():
            path = folder / graph["file"]
            assert graph["sha256"] == {path.name: sha256_of(path)}
            assert path.name == f"{role}.{name}.onnx"
            model = onnx.load(path)
            assert b"site-packages" not in path.read_bytes()  # no path of this machine
            for key, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
                shapes = {
                    v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
                    for v in values
                }
                assert shapes == {n: v["shape"] for n, v in graph[key].items()}


def test_changed_files_and_other_versions_are_told(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "facemask.json").read_text())
    (tmp_path / "facemask.json").write_text(json.dumps(content | {"format_version": 2}))
    with pytest.raises(ValueError, match="format version 2, and this facemask"):
        read_manifest(tmp_path)
    (tmp_path / "facemask.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"primary.clip.onnx: cannot read it: no such file"):
        read_manifest(tmp_path)
    for path in folder.glob("*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "eyes.clip.onnx").write_bytes(b"another")
    with pytest.raises(ValueError, match="is not the file that was exported"):
        read_manifest(tmp_path)
    with pytest.raises(ValueError, match=r"has no readable facemask\.json"):
        read_manifest(tmp_path / "nowhere")
