"""The ConvLSTM that the paper's authors probably had, as a configuration laid over another one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer, RMSprop

from facemask.cli import main
from facemask.errors import InputError
from facemask.models import ConvLSTM
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.description import build
from facemask.training.modules import ConvLSTMFCNModule

CONFIGS = Path(__file__).parents[2] / "configs"
BACKBONE: dict[str, Any] = {"backbone": "test_resnet", "output_stride": 8}


@pytest.mark.parametrize("base", ["convlstm_fcn.yaml", "convlstm_fcn_eyes.yaml"])
def test_the_overlay_trains_on_the_command_line(
    base: str, mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    main(["fit", "-c", str(CONFIGS / base), "-c", str(CONFIGS / "authors_cell.yaml"),
          f"--data.root={mask_root}", "--data.size=32", "--data.num_workers=0",
          "--model.backbone=test_resnet", "--model.init_from=null", "--trainer.accelerator=cpu",
          "--trainer.max_epochs=1", "--trainer.limit_train_batches=2",
          "--trainer.limit_val_batches=2", "--trainer.num_sanity_val_steps=0",
          "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
          ])  # fmt: skip
    (best,) = tmp_path.rglob("best.ckpt")
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["global_step"] == 2
    network = build(checkpoint["facemask"])
    assert isinstance(network, ConvLSTMFCN)
    layer, expected = network.convlstm, ConvLSTM.authors_cell(96, network.num_classes)
    assert layer.extra_repr() == expected.extra_repr()
    kernel, others, encoder = checkpoint["optimizer_states"][0]["param_groups"]
    assert (len(kernel["params"]), kernel["weight_decay"]) == (1, 1e-4)
    assert (len(others["params"]), others["weight_decay"]) == (2, 0)
    assert encoder["weight_decay"] == 0
    assert kernel["initial_lr"] == others["initial_lr"] > encoder["initial_lr"]


def test_random_weights_are_he_normal() -> None:
    torch.manual_seed(0)
    module = ConvLSTMFCNModule(**BACKBONE, kernel_start="he_normal", peephole=False)
    weight = module.network.convlstm.weight_input
    assert weight.std().item() == pytest.approx((2 / weight.shape[1]) ** 0.5, rel=0.03)


@pytest.mark.parametrize("optimizer", [SGD, Adam, RMSprop])
def test_the_penalty_is_that_of_keras(optimizer: Callable[..., Optimizer]) -> None:
    """As `kernel_regularizer=l2(5e-2)`, which adds 5e-2 · Σ w² of the input's weights."""
    weights = []
    for in_the_loss in (False, True):
        torch.manual_seed(0)
        module = ConvLSTMFCNModule(**BACKBONE, gamma=0, kernel_l2=0 if in_the_loss else 5e-2)
        layer = module.network.convlstm.double()
        step = optimizer(module.parameter_groups(), lr=0.1)
        x = torch.randn(1, 3, layer.in_channels, 4, 5, dtype=torch.float64)
        for _ in range(3):
            loss = layer(x)[0].square().mean()
            if in_the_loss:
                loss = loss + 5e-2 * layer.weight_input.square().sum()
            step.zero_grad()
            torch.autograd.backward(loss)
            step.step()
        weights.append(layer.state_dict())
    torch.testing.assert_close(weights[0], weights[1])


def test_a_negative_penalty() -> None:
    with pytest.raises(InputError, match=r"kernel_l2 is -0.1, expected 0 or more"):
        ConvLSTMFCNModule(**BACKBONE, kernel_l2=-0.1)
