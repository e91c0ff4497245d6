"""What is refused, and what is left when an export fails."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facemask.cli import main
from facemask.errors import InputError
from facemask.export import check, export_networks, folder, formats
from facemask.export.graphs import ClipGraph, Graph, for_export, graphs_of, random_clip
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.normalisation import normalise
from facemask.models.runtime_network import Run
from facemask.origin import Origin
from tests.export.networks import SETTINGS, SIZE, exported, networks
from tests.test_cli import error_of


def test_torch_export(tmp_path: Path) -> None:
    """Without an extra: files of torch.export, at a fixed size."""
    mouth = {"mouth": networks()["mouth"]}
    content = export_networks(mouth, SETTINGS, tmp_path / "out", "torch", size=SIZE)
    graphs = content["networks"]["mouth"]["graphs"]
    assert list(graphs) == ["clip", "window", "step"]
    assert graphs["step"]["inputs"]["c"] == {"dtype": "float32", "shape": ["batch", 3, 4, 4]}
    assert graphs["clip"]["outputs"]["scores"]["shape"] == ["batch", "time", 3, SIZE, SIZE]
    clip = torch.export.load(tmp_path / "out" / graphs["clip"]["file"]).module()
    images = random_clip(3, 8, SIZE, SIZE)
    with torch.inference_mode():
        scores, (h, _) = mouth["mouth"](normalise(images.movedim(-1, -3), mouth["mouth"]))
        found, found_h, _ = clip(images)
    torch.testing.assert_close(found, scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found_h, h, atol=1e-5, rtol=1e-4)


class _Unrolled(ClipGraph):
    """The trap: a loop in Python is traced for the example's three frames."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scores, (h, c) = self.network(self.normalised(images[:, :3]))
        return scores, h, c


def graph_of(network: nn.Module, name: str) -> Graph:
    return next(graph for graph in graphs_of(network, SIZE, False) if graph.name == name)


def run_of(module: nn.Module) -> Run:
    def run(arrays: formats.Arrays) -> list[np.ndarray]:
        with torch.inference_mode():
            out = module(*map(torch.from_numpy, arrays))
        return [o.numpy() for o in (out if isinstance(out, tuple) else (out,))]

    return run


def test_other_shapes_and_values_than_torchs_are_refused() -> None:
    network = networks()["mouth"]
    graph = graph_of(network, "window")  # run as it is, which takes torch minutes with a loop
    assert check.check_graph(graph, run_of(graph.module), network, SIZE, True) < 1e-5
    unrolled, clip = run_of(_Unrolled(network)), graph_of(network, "clip")
    with pytest.raises(InputError, match=r"gives scores float32 \(1, 3, 3, 64, 64\) of 1 × 7"):
        check.check_graph(clip, unrolled, network, SIZE, False)

    def shifted(arrays: formats.Arrays) -> list[np.ndarray]:
        return [out + np.float32(0.01) for out in run_of(graph.module)(arrays)]

    with pytest.raises(InputError, match=r"scores of 1 × 1 frames of .* differ from torch's by"):
        check.check_graph(graph, shifted, network, SIZE, False)

    def nothing(arrays: formats.Arrays) -> list[np.ndarray]:
        return [out * np.float32("nan") for out in run_of(graph.module)(arrays)]

    with pytest.raises(InputError, match="differ from torch's by nan"):
        check.check_graph(graph, nothing, network, SIZE, False)

    def broken(arrays: formats.Arrays) -> list[np.ndarray]:
        raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL\nmore")

    with pytest.raises(InputError, match=r"cannot be run on 1 × 1 frames of 64 × 64 pixels"):
        check.check_graph(graph, broken, network, SIZE, False)


def test_nothing_is_left_of_a_failed_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> float:
        raise InputError("differs")

    monkeypatch.setattr(folder, "check_graph", refuse)
    monkeypatch.setattr(folder, "write_graph", lambda *_: [tmp_path / "none"])
    monkeypatch.setattr(folder, "open_graph", lambda *_: None)
    with pytest.raises(InputError, match="differs"):
        exported(tmp_path / "out", "torch")
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.safetensors"
    full = ConvLSTMFCN("mobilenetv3_small_050", peephole_size=(4, 4))
    Cascade(full, settings=CascadeSettings(size=64)).save(model)
    out = tmp_path / "out"
    arguments = ["export", str(model), "-o", str(out), "--format", "torch"]
    assert "cannot see images of 96 × 96 pixels (ConvLSTM got feature maps of size" in error_of(
        [*arguments, "--size", "96"], capsys
    )
    wrong = [(name, error_of([*arguments, "--graphs", name], capsys)) for name in ("clip,stp", ",")]
    assert [said.partition("graphs is ")[2].splitlines()[0] for _, said in wrong] == [
        "'clip,stp', but 'stp' is no graph: give some of clip,window,step.",
        "',', but nothing is named: give some of clip,window,step.",
    ]
    assert "size is 0" in error_of([*arguments, "--size", "0"], capsys)
    out.mkdir()
    (out / "mine").touch()
    assert f"{out}: is there already" in error_of(arguments, capsys)
    assert "no such file" in error_of(["export", "none.ckpt", "-o", "x", "--format=torch"], capsys)
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, importlib.import_module("json"))
    kind = ["export", str(model), "-o", str(tmp_path / "x"), "--format"]
    assert "onnxruntime is not installed, or does not work here" in error_of(
        [*kind, "onnx"], capsys
    )
    assert 'pip install "facemask-video[export]"' in error_of([*kind, "openvino"], capsys)
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    assert "torch 2.6.0 cannot export" in error_of(arguments, capsys)


def test_a_fixed_peephole_fixes_the_size() -> None:
    full = ConvLSTMFCN("mobilenetv3_small_050", peephole_size=(4, 4)).eval()
    graph = graph_of(full, "clip")
    assert graph.inputs["images"] == ("batch", "time", 64, 64, 3)
    without_memory = graphs_of(FCN("mobilenetv3_small_050").eval(), 64, True)
    assert [g.name for g in without_memory] == ["clip", "frames"]


def test_activations_are_clamped_as_they_were() -> None:
    """Hardtanh, of which ReLU6 is one, by what torch traces faster; the network itself stays."""
    network = FCN("test_resnet", 3).eval()
    network.encoder.body.act1 = nn.Hardtanh(-0.25, 0.5)
    image = torch.randn(1, 1, 3, SIZE, SIZE)
    changed = for_export(network, SIZE)
    assert not any(isinstance(module, nn.Hardtanh) for module in changed.modules())
    assert isinstance(network.encoder.body.act1, nn.Hardtanh)
    with torch.inference_mode():
        torch.testing.assert_close(changed(image), network(image), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_command(tmp_path: Path) -> None:
    """A checkpoint of eyes alone, and a network without memory, which has one graph."""
    model = tmp_path / "model.safetensors"
    networks = [FCN("mobilenetv3_small_050", classes) for classes in (5, 2)]
    for network in networks:
        network.origins = (Origin("base", licence="for tests alone."),)
    Cascade(networks[0], networks[1], settings=CascadeSettings(size=64)).save(model, card="# A")
    out = tmp_path / "out"
    main(["export", str(model), "-o", str(out), "--format", "torch", "--size", "64"])
    content = folder.read_manifest(out)
    assert content["card"] == "# A"
    assert content["licence"] == "from 'base': for tests alone."
    assert content["model"]["name"] == "model.safetensors"
    assert list(content["networks"]["primary"]["graphs"]) == ["clip"]


def test_some_graphs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    memory, single = ConvLSTMFCN("test_resnet", 5, kernel_size=3), FCN("test_resnet", 2)
    Cascade(memory, settings=CascadeSettings(size=64)).save(model)
    arguments = ["export", str(model), "--format", "torch", "--size", "64"]
    main([*arguments, "-o", str(tmp_path / "out"), "--graphs", "step"])
    content = folder.read_manifest(tmp_path / "out")
    assert list(content["networks"]["primary"]["graphs"]) == ["step"]
    assert "(1 of 1 after" in capsys.readouterr().err
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["facemask.json", "primary.step.pt2"]

    Cascade(memory, single, settings=CascadeSettings(size=64)).save(model)
    said = error_of([*arguments, "-o", str(tmp_path / "x"), "--graphs", "step,window"], capsys)
    assert "The eyes network has no memory, so there is no window and no step of it: export" in said
    assert not (tmp_path / "x").exists()
