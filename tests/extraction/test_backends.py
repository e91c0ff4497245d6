"""A cascade whose networks another runtime computes."""

import copy
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facemask.errors import InputError, Notice
from facemask.export import cache, int8
from facemask.export.graphs import graphs_of
from facemask.extraction import backends
from facemask.extraction.backends import (
    computes_bf16,
    labels_equal,
    prepare_cascade,
    what_computes,
)
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.cascade.clips import CascadeMemory
from facemask.models.runtime_network import Run, RuntimeEncoder, RuntimeNetwork
from tests.extraction.faces import PaletteReader

SIZE = 32


def cascade_of(primary: nn.Module) -> Cascade:
    return Cascade(primary, settings=CascadeSettings(size=SIZE)).eval()


def frames_of(network: nn.Module) -> Run:
    module = next(
        graph.module for graph in graphs_of(network, SIZE, False) if graph.name == "frames"
    )

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        (images,) = arrays
        assert images.shape == (1, SIZE, SIZE, 3)
        assert images.dtype == np.float32
        with torch.inference_mode():
            return [module(torch.from_numpy(images)).numpy()]

    return run  # type: ignore[return-value]  # lists are sequences


@pytest.mark.parametrize("threads", [1, 3])
def test_a_runtime_takes_the_place_of_an_encoder(threads: int) -> None:
    """Windows, and a memory that is carried from call to call."""
    torch.manual_seed(2)
    network = ConvLSTMFCN("mobilenetv3_small_050", kernel_size=3).eval()
    with torch.no_grad():  # frames that matter to those after them
        features = network.encoder(torch.randn(1, 3, SIZE, SIZE))
        network.convlstm.divide_input_weights(features.square().mean().sqrt())
    encoder = RuntimeEncoder(network.encoder, frames_of(network), threads, "onnx")
    cascade = cascade_of(network)
    other = cascade_of(copy.deepcopy(network, {id(network.encoder): encoder}))
    assert what_computes(other, False, False) == ("onnx", "float32")
    clips = torch.randint(0, 256, (2, 7, 3, 40, 44), dtype=torch.uint8)
    with torch.inference_mode():
        expected = cascade(clips, True, window=5).probabilities
        found = other(clips, True, window=5).probabilities
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        memories, states = [CascadeMemory()] * 2, [CascadeMemory()] * 2
        for part in (clips[:, :4], clips[:, 4:]):
            expected_output = cascade(part, True, memories=memories)
            output = other(part, True, memories=states)
            memories, states = expected_output.memories, output.memories
            torch.testing.assert_close(
                output.probabilities, expected_output.probabilities, atol=1e-5, rtol=1e-4
            )
        fresh = cascade(clips[:, 4:], True).probabilities
        assert fresh is not None
        assert output.probabilities is not None
        assert not torch.allclose(fresh[0][0], output.probabilities[0][0], atol=1e-3)
        with torch.autocast("cpu", torch.bfloat16):
            assert encoder(torch.rand(2, 3, SIZE, SIZE)).dtype == torch.bfloat16


def test_a_runtime_serves_eyes_and_mouth_at_the_same_time() -> None:
    """Both are looked at by threads of their own, whose frames others of the same threads share."""
    networks = {"primary": FCN("mobilenetv3_small_050"), "eyes": FCN("mobilenetv3_small_050", 2)}
    networks["mouth"] = FCN("mobilenetv3_small_050", 3)
    usual = CascadeSettings(size=SIZE, guess_boxes=True)
    cascade = Cascade(**networks, settings=usual).eval()
    others = {
        role: copy.deepcopy(
            network,
            {id(network.encoder): RuntimeEncoder(network.encoder, frames_of(network), 2, "onnx")},
        )
        for role, network in networks.items()
    }
    clips = torch.randint(0, 256, (1, 4, 3, 40, 44), dtype=torch.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            expected = cascade(clips, True)
            found = Cascade(**others, settings=usual).eval()(clips, True)
    finally:
        torch.set_num_threads(threads)
    assert expected.found["eyes"].all()
    assert expected.found["mouth"].all()
    torch.testing.assert_close(found.probabilities, expected.probabilities, atol=1e-5, rtol=1e-4)


def test_a_runtime_takes_the_place_of_a_network_of_a_users_own() -> None:
    network = PaletteReader()
    cascade = cascade_of(network)
    other = cascade_of(RuntimeNetwork(network, frames_of(network), 2, "openvino"))
    clips = torch.randint(0, 256, (2, 3, 3, 40, 44), dtype=torch.uint8)
    with torch.inference_mode():
        expected, found = cascade(clips, True), other(clips, True)
    torch.testing.assert_close(found.probabilities, expected.probabilities)
    assert what_computes(other, True, False) == ("openvino", "bf16")
    assert what_computes(cascade, True, False) == ("torch", "bf16")


def test_an_export_is_made_once_and_taken_where_it_is_the_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    caplog.set_level(logging.INFO, "facemask")
    monkeypatch.setenv("FACEMASK_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(3)
    cascade = cascade_of(FCN("test_resnet"))

    def backend(name: str) -> str:
        return what_computes(prepare_cascade(cascade, name, False), False, False)[0]  # type: ignore[arg-type]

    assert backend("auto") == "torch"
    assert "was not exported yet" in caplog.text
    with pytest.warns(Notice, match="exported for onnx, once for this model"):
        made = prepare_cascade(cascade, "onnx", False)
    assert labels_equal(cascade, made) > 0.999
    monkeypatch.setattr(cache, "export_networks", None)  # not called again
    assert backend("onnx") == "onnx"
    assert backend("auto") in ("torch", "onnx")
    (times,) = (tmp_path / "cache").glob("times-*.json")
    content = json.loads(times.read_bytes())
    assert min(content["ms a frame"].values()) > 0
    monkeypatch.setattr(backends, "measure", None)  # nor measured again
    for fastest, other in (("torch", "onnx"), ("onnx", "torch")):
        content["ms a frame"] = {fastest: 1.25, other: 8.0}
        times.write_text(json.dumps(content))
        assert backend("auto") == fastest
    assert "backend: onnx (ms a frame: torch 8.0, onnx 1.2)" in caplog.text
    nn.init.zeros_(cascade.primary.classifier.weight)  # type: ignore[union-attr, arg-type]
    assert backend("auto") == "torch"  # another model


def test_a_backend_with_other_labels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMASK_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "export_networks", lambda *_, **__: None)
    monkeypatch.setattr(backends, "check_format", lambda kind: kind)
    monkeypatch.setattr(backends, "open_networks", lambda *_: None)
    monkeypatch.setattr(backends, "labels_equal", lambda *_: 0.9)
    cascade = cascade_of(FCN("mobilenetv3_small_050"))
    with (
        pytest.warns(Notice),
        pytest.raises(InputError, match=r"'onnx' gives 90\.00 % of the labels that torch gives"),
    ):
        prepare_cascade(cascade, "onnx", False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="backend is 'tpu': give one of auto, torch, onnx"):
        prepare_cascade(cascade, "tpu", False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'int8', which is OpenVINO's, on a CPU, but backend is"):
        prepare_cascade(cascade, "torch", False, int8=True)


@pytest.mark.parametrize(
    ("known", "fast"),
    [
        ({"cpu_name": "AMD EPYC 9R14", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"cpu_name": "AMD EPYC 7B13", "avx512_bf16": False, "amx_bf16": False}, False),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, True),
        ({"avx512_bf16": True}, True),
    ],
)
def test_bfloat16_is_taken_where_networks_are_faster_in_it(
    known: dict[str, object], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    cpu = torch.device("cpu")
    assert computes_bf16("auto", cpu) == fast
    assert computes_bf16("bf16", cpu)  # as the user wants it
    assert not computes_bf16("float32", cpu)


def test_int8_needs_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"avx2": True, "avx512_vnni": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    with pytest.raises(InputError, match="'int8', but this CPU has no instructions for it"):
        computes_bf16("int8", torch.device("cpu"))
    known["avx_vnni"] = True
    assert not computes_bf16("int8", torch.device("cpu"))  # what is left is in float32
    with pytest.raises(InputError, match="precision is 'fp8': give one of auto, float32, bf16"):
        computes_bf16("fp8", torch.device("cpu"))  # type: ignore[arg-type]


def test_encoders_see_made_up_faces_for_their_ranges() -> None:
    cascade = Cascade(
        FCN("mobilenetv3_small_050"), mouth=PaletteMouth(), settings=CascadeSettings(size=SIZE)
    ).eval()
    seen = int8._seen(cascade)
    assert list(seen) == ["primary"]  # a network of a user's own has no body to quantise
    pictures = seen["primary"]
    assert len(pictures) == 60
    assert pictures[0].shape == (1, SIZE, SIZE, 3)
    assert pictures[0].dtype == np.float32
    assert not np.array_equal(pictures[0], pictures[1])
    assert not cascade.primary.encoder._forward_pre_hooks  # type: ignore[union-attr]


class PaletteMouth(PaletteReader):
    num_classes = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)[..., :3, :, :]
