"""Fits a ConvLSTM's new weights to the size of the features that they get to see."""

import copy
import math
from typing import Any, cast

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from facemask.errors import InputError
from facemask.models.backbone import Encoder
from facemask.models.convlstm import ConvLSTM
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.normalisation import normalise
from facemask.training.checkpointing import random_state, set_random_state
from facemask.training.mask_module import MaskModule


def is_new(layer: ConvLSTM) -> bool:
    """Return whether a layer's weights are as `reset_parameters` draws them.

    The biases tell: one step of training moves them all, and a start from a convolution has others.
    """
    start = torch.zeros_like(layer.bias)
    start[layer.out_channels : 2 * layer.out_channels] = 1
    peepholes = (layer.weight_ci, layer.weight_cf, layer.weight_co)
    return torch.equal(layer.bias, start) and not any(w is not None and w.any() for w in peepholes)


def fit_to_features(module: MaskModule, network: ConvLSTMFCN, deviation: float) -> None:
    """Divide the new weights of a ConvLSTM's input, so that features look to them like small ones.

    Weights that are not new stay: those of a training, and a start from the FCN's classifier.

    Args:
        module: Its trainer is about to train; its weights are on the device.
        network: Its network.
        deviation: How far the features shall seem to deviate from 0.

    Raises:
        InputError: All features are 0, or one is not finite.
    """
    layer = network.convlstm
    if not is_new(layer):
        return
    found = measure_features(module, network.encoder)
    if found is not None:
        layer.divide_input_weights(found / deviation)
        rank_zero_info(
            f"The features deviate from 0 by {found:.3g}: the ConvLSTM's new input weights are "
            f"divided by {found / deviation:.3g}."
        )


def measure_features(module: MaskModule, encoder: Encoder) -> float | None:
    """Return the features' root mean square over the first training batch of every process.

    Random numbers and the encoder are afterwards as they were. The encoder is in the mode in which
    training begins.

    Args:
        module: Its trainer is about to train; its weights are on the device.
        encoder: Its network's.

    Returns:
        The same number in every process; None where nothing is trained on.

    Raises:
        InputError: All features are 0, or one is not finite.
    """
    trainer = module.trainer
    trainer.fit_loop.setup_data()
    if trainer.train_dataloader is None:
        return None
    random = random_state()  # of transforms, loaders and dropout
    batch: Any = next(iter(trainer.train_dataloader))
    features = _features(module, encoder, trainer.strategy.batch_to_device(batch))
    set_random_state(random)
    squares = features.float().square().mean()
    value = float(cast("Tensor", module.all_gather(squares)).mean().sqrt())
    if not 0 < value < math.inf:
        raise InputError(
            f"The encoder's features have a root mean square of {value} in the first batch: its "
            "weights are damaged, or the images empty."
        )
    return value


def _features(module: MaskModule, encoder: Encoder, batch: dict[str, Any]) -> Tensor:
    if "features" in batch:
        cached: Tensor = batch["features"]
        return cached
    if not module.freeze_bn:  # its running statistics would move
        encoder = copy.deepcopy(encoder)
    with torch.no_grad(), module.trainer.precision_plugin.forward_context():
        features: Tensor = encoder(normalise(batch["images"], encoder))
    return features
