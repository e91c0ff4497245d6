"""A cascade whose networks another runtime computes."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from facemask.errors import InputError, Notice
from facemask.export import cache
from facemask.export.graphs import graphs_of
from facemask.extraction import backends
from facemask.extraction.backends import labels_equal, prepare_cascade, what_computes
from facemask.models import FCN, Cascade, CascadeSettings, ConvLSTMFCN
from facemask.models.cascade.clips import CascadeMemory
from facemask.models.runtime_network import Run, RuntimeNetwork

SIZE = 32


def cascade_of(primary: nn.Module) -> Cascade:
    return Cascade(primary, settings=CascadeSettings(size=SIZE)).eval()


def by_torch(module: nn.Module) -> Run:
    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        with torch.inference_mode():
            out = module(*map(torch.from_numpy, arrays))
        return [value.numpy() for value in (out if isinstance(out, tuple) else (out,))]

    return run  # type: ignore[return-value]  # lists are sequences


def test_graphs_take_the_place_of_a_network() -> None:
    """Windows, and a memory that is carried from call to call."""
    torch.manual_seed(2)
    network = ConvLSTMFCN("mobilenetv3_small_050", kernel_size=3).eval()
    with torch.no_grad():  # frames that matter to those after them
        features = network.encoder(torch.randn(1, 3, SIZE, SIZE))
        network.convlstm.divide_input_weights(features.square().mean().sqrt())
    cascade = cascade_of(network)
    graphs: dict[str, nn.Module] = {g.name: g.module for g in graphs_of(network, SIZE, False)}
    clips = torch.randint(0, 256, (2, 7, 3, 40, 44), dtype=torch.uint8)
    shape = network.encoder(torch.zeros(1, 3, SIZE, SIZE)).shape[-2:]
    with torch.inference_mode():
        other = cascade_of(RuntimeNetwork(by_torch(graphs["window"]), 5))
        expected = cascade(clips, True, window=5).probabilities
        found = other(clips, True, window=5).probabilities
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        other = cascade_of(RuntimeNetwork(by_torch(graphs["step"]), 5, tuple(shape)))
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


def test_an_export_is_made_once_and_taken_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    caplog.set_level(logging.INFO, "facemask")
    monkeypatch.setenv("FACEMASK_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(3)
    cascade = cascade_of(FCN("mobilenetv3_small_050"))
    assert prepare_cascade(cascade, "auto", "window", False).primary.__class__ is FCN
    assert what_computes(cascade, True) == ("torch", "bf16")
    assert "was not exported yet" in caplog.text
    with pytest.warns(Notice, match="exported for onnx, once for this model"):
        made = prepare_cascade(cascade, "onnx", "window", False)
    assert isinstance(made.primary, RuntimeNetwork)
    assert labels_equal(cascade, made) > 0.999
    monkeypatch.setattr(cache, "export_networks", None)  # not called again
    again = prepare_cascade(cascade, "auto", "window", False)
    assert isinstance(again.primary, RuntimeNetwork)
    assert what_computes(again, True) == ("onnx", "float32")
    assert "backend: onnx (the fastest one that this model was exported for)" in caplog.text
    nn.init.zeros_(cascade.primary.classifier.weight)  # type: ignore[union-attr, arg-type]
    assert prepare_cascade(cascade, "auto", "window", False).primary.__class__ is FCN


def test_a_backend_with_other_labels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEMASK_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "export_networks", lambda *_, **__: None)
    monkeypatch.setattr(backends, "check_format", lambda kind: kind)
    monkeypatch.setattr(backends, "_opened", lambda *_: None)
    monkeypatch.setattr(backends, "labels_equal", lambda *_: 0.9)
    cascade = cascade_of(FCN("mobilenetv3_small_050"))
    with (
        pytest.warns(Notice),
        pytest.raises(InputError, match=r"'onnx' gives 90\.00 % of the labels that torch gives"),
    ):
        prepare_cascade(cascade, "onnx", "window", False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="backend is 'tpu': give one of auto, torch, onnx"):
        prepare_cascade(cascade, "tpu", "window", False)  # type: ignore[arg-type]
