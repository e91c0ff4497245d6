"""Small networks to export, whose random weights give scores that tell pixels apart."""

import functools
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facemask.export import export_networks
from facemask.export.formats import Format
from facemask.models import FCN, CascadeSettings, ConvLSTMFCN

SIZE = 64
SETTINGS = CascadeSettings(size=SIZE, mouth_margin=1.6, primary_weight=0.25)


@functools.cache
def networks() -> dict[str, nn.Module]:
    """A cascade with skips, both cells, and a network without memory that pads as TensorFlow does.

    They are small: what torch traces grows with the number of layers, and with that of the graphs.
    """
    torch.manual_seed(5)
    found: dict[str, nn.Module] = {
        "primary": ConvLSTMFCN("test_efficientnet", skips=(8,), skip_channels=8, kernel_size=3),
        "eyes": FCN("tf_mobilenetv3_small_minimal_100", 2),
        "mouth": ConvLSTMFCN(
            "test_resnet", 3, peephole=False, cell_activation="tanh",
            gate_activation="hard_sigmoid",
        ),
    }  # fmt: skip
    for network in found.values():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
        network.eval()
        with torch.no_grad():  # scores of about 1
            features = network.encoder(torch.randn(1, 3, SIZE, SIZE))  # type: ignore[operator]
            if isinstance(network, ConvLSTMFCN):
                network.convlstm.divide_input_weights(features.square().mean().sqrt())
            else:
                network.classifier.weight /= features.abs().max()  # type: ignore[union-attr]
    return found


def exported(folder: Path, kind: Format) -> dict[str, Any]:
    """Export those of face and eyes for images of any size; torch traces each for half a minute."""
    some = {role: network for role, network in networks().items() if role != "mouth"}
    return export_networks(some, SETTINGS, folder, kind)
