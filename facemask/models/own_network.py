"""Networks of a user's own: any module of images to scores."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.models.fcn import EncoderNetwork
from facemask.models.normalisation import normalisation


def check_network(network: nn.Module) -> None:
    """Check that a network says what it takes to use it.

    Raises:
        InputError: It lacks `num_classes`, `mean` or `std`, or they are of another form.
    """
    name = type(network).__name__
    missing = [key for key in ("num_classes", "mean", "std") if not hasattr(network, key)]
    if missing:
        raise InputError(
            f"The network, a {name}, has no {' and no '.join(missing)}: give it the attributes "
            "num_classes (background included), and mean and std, three numbers each for images in "
            "[0, 1]."
        )
    for key in ("mean", "std"):
        normalisation(network, key)


def takes_clips(network: nn.Module, clip: Tensor) -> bool:
    """Find out whether a network takes clips (B, T, 3, H, W) as well as images; one of ours does.

    Args:
        network: A network; any but ours is tried on a clip of zeros and stays as it is.
        clip: A clip of the shape to come, on the network's device.
    """
    if isinstance(network, EncoderNetwork):
        return True
    try:
        with evaluating(network):
            scores = first_output(network(torch.zeros_like(clip[:1])))
        return scores.shape[:2] == clip[:1].shape[:2] and scores.ndim == 5
    except Exception:  # whatever a network of images says of five dimensions
        return False


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Run a network in eval mode without gradients; afterwards each module's mode is as before."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def first_output(output: Any) -> Tensor:  # noqa: ANN401  # whatever networks return
    """Return the scores in a network's output, which may be a tuple that begins with them."""
    scores: Tensor = output[0] if isinstance(output, tuple) else output
    return scores


class FrameNetwork(nn.Module):
    """Wrapper of a network of images that makes it take clips too, frame by frame.

    Args:
        network: Images (N, 3, H, W) to scores (N, C, H, W), or a tuple that begins with them; has
            `num_classes`, `mean` and `std`.

    Attributes:
        num_classes: The network's.
        mean: The network's, (3, 1, 1).
        std: The network's, (3, 1, 1).

    Raises:
        InputError: The network lacks one of these.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        check_network(network)
        self.network = network
        self.num_classes: Any = network.num_classes
        for key in ("mean", "std"):
            value = normalisation(network, key).detach().clone()
            self.register_buffer(key, value, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Score normalised images (B, 3, H, W) or clips (B, T, 3, H, W): (B, [T,] C, H, W)."""
        scores = first_output(self.network(images.flatten(0, -4)))
        return scores.reshape(*images.shape[:-3], *scores.shape[1:])
