"""Graphs that a network is exported as: clips, windows, a step with its memory, and frames."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.fcn import EncoderNetwork, upsample_bilinear
from facemask.models.folding import fold_batchnorm
from facemask.models.normalisation import normalise
from facemask.models.own_network import first_output

Axes: TypeAlias = tuple[str | int, ...]
GraphName: TypeAlias = Literal["clip", "window", "step", "frames"]

WHOLE: Final[tuple[GraphName, ...]] = ("clip", "window", "step")
"""Graphs for users; that of frames is for `facemask extract`."""

WINDOW: Final = 5
"""Frames that a window's scores are made of: itself and those before it."""


@dataclass(frozen=True, eq=False)
class Graph:
    """One graph of a network.

    Attributes:
        name: Its name.
        module: Computes it.
        inputs: The axes of each input by its name: numbers where they are fixed, else words.
        outputs: The same of each output.
        example: Inputs to trace it with.
    """

    name: GraphName
    module: nn.Module
    inputs: dict[str, Axes]
    outputs: dict[str, Axes]
    example: tuple[Tensor, ...]


class _ImageGraph(nn.Module):
    """Base of the graphs: pictures are bytes, as every library of images gives them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def normalised(self, images: Tensor) -> Tensor:
        """Normalise uint8 (..., H, W, 3) to float32 (..., 3, H, W)."""
        return normalise(images.movedim(-1, -3), self.network)


class FrameGraph(_ImageGraph):
    """Scores of clips by a network without memory: each frame's are its own."""

    def forward(self, images: Tensor) -> Tensor:
        """Score uint8 (B, T, H, W, 3): float32 (B, T, C, H, W)."""
        return first_output(self.network(self.normalised(images))).float()


class _MemoryGraph(_ImageGraph):
    """Base of the graphs of a ConvLSTM-FCN."""

    network: ConvLSTMFCN

    def gates(self, images: Tensor) -> Tensor:
        """Compute what the ConvLSTM's gates get from images, (B, T, 4·C, h, w)."""
        layer = self.network.convlstm
        features = self.network.encoder(self.normalised(images))
        # a plain convolution: the layer's own ways around it are for torch alone
        gates = F.conv2d(
            features.flatten(0, 1), layer.weight_input, layer.bias, padding=layer.kernel_size // 2
        )
        return gates.reshape(*features.shape[:2], *gates.shape[1:])

    def scores(self, hidden: Tensor, images: Tensor) -> Tensor:
        """Up-sample the ConvLSTM's output (..., C, h, w) to the size of the images."""
        return upsample_bilinear(
            self.network.calibrated(hidden), (images.shape[-3], images.shape[-2])
        )


class ClipGraph(_MemoryGraph):
    """Scores of clips of any length, each from a zero state.

    Time is a loop of the graph: `unbind` in a traced graph would fix the number of frames.
    """

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 (B, T, H, W, 3): scores (B, T, C, H, W), and h and c after the last."""
        gates = self.gates(images)
        frames, layer = gates.shape[1], self.network.convlstm
        h = gates.new_zeros(gates.shape[0], layer.out_channels, *gates.shape[3:])
        hidden = gates.new_zeros(*gates.shape[:2], layer.out_channels, *gates.shape[3:])

        def goes_on(t: Tensor, *_: Tensor) -> Tensor:
            return t < frames

        def step(t: Tensor, hidden: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
            here = t.reshape(1)
            h, c = layer.step(gates.index_select(1, here).squeeze(1), h, c)
            return t + 1, hidden.index_copy(1, here, h.unsqueeze(1)), h, c

        start = (torch.tensor(0), hidden, h, h.clone())
        loop: Any = torch.while_loop  # which has no types
        _, hidden, h, c = loop(goes_on, step, start)
        return self.scores(hidden, images), h, c


class WindowGraph(_MemoryGraph):
    """Scores of each frame from the last five, as `ConvLSTMFCN.score_windows` gives them."""

    def forward(self, images: Tensor) -> Tensor:
        """Score uint8 (B, T, H, W, 3): scores (B, T, C, H, W)."""
        gates = self.gates(images)
        batch, frames, _, height, width = gates.shape
        layer = self.network.convlstm
        earlier = gates.new_zeros(batch, WINDOW - 1, *gates.shape[2:])
        padded = torch.cat([earlier, gates], dim=1)
        number = torch.arange(frames, device=gates.device)[:, None, None, None]
        h = c = gates.new_zeros(batch, frames, layer.out_channels, height, width)
        for back in range(WINDOW - 1, -1, -1):
            first = WINDOW - 1 - back
            now = padded.narrow(1, first, frames)
            new = layer.step(now.flatten(0, 1), h.flatten(0, 1), c.flatten(0, 1))
            begun = number >= back  # the windows of the first frames begin later
            h = torch.where(begun, new[0].reshape(h.shape), h)
            c = torch.where(begun, new[1].reshape(c.shape), c)
        return self.scores(h, images)


class StepGraph(_MemoryGraph):
    """Scores of the next frame of each of B videos, with the memory in and out."""

    def forward(self, images: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score uint8 (B, H, W, 3): scores (B, C, H, W) and the next h and c."""
        gates = self.gates(images.unsqueeze(1)).squeeze(1)
        h, c = self.network.convlstm.step(gates, h, c)
        return self.scores(h, images), h, c


class FeatureGraph(nn.Module):
    """Features of single frames, channels last on both sides, as torch has them in memory.

    Of a network of a user's own they are its scores.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.encoder if isinstance(network, EncoderNetwork) else network

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised float32 (N, H, W, 3): float32 (N, h, w, F)."""
        clip = images.movedim(-1, -3).unsqueeze(0)
        return first_output(self.network(clip)).squeeze(0).float().movedim(-3, -1)


class _Clamp(nn.Module):
    """`nn.Hardtanh`, of which ReLU6 is one, by the operator that torch traces twice as fast."""

    def __init__(self, activation: nn.Hardtanh) -> None:
        super().__init__()
        self.low, self.high = activation.min_val, activation.max_val

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(self.low, self.high)


def for_export(network: nn.Module, size: int) -> nn.Module:
    """Return a copy as it is exported: without BatchNorm, which convolutions do, too."""
    network = network.eval()
    parameter = next(network.parameters(), torch.empty(0))
    image = torch.zeros(1, 1, 3, size, size).to(parameter)
    folded = fold_batchnorm(network, image)
    folded = copy.deepcopy(network) if folded is network else folded
    for module in list(folded.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Hardtanh):
                setattr(module, name, _Clamp(child))
    return folded


def names_of(network: nn.Module) -> tuple[GraphName, ...]:
    """Return the names of a network's graphs, in their order.

    A network without memory has no windows and no steps: its clips are frames that know nothing of
    each other.
    """
    return (*WHOLE, "frames") if isinstance(network, ConvLSTMFCN) else ("clip", "frames")


def graphs_of(network: nn.Module, size: int, any_size: bool) -> Iterator[Graph]:
    """Yield the graphs of a network, those of `names_of`.

    Args:
        network: As `for_export` returns it.
        size: Side of the images.
        any_size: Whether height and width are left open.
    """
    side: Axes = ("height", "width") if any_size else (size, size)
    for name in names_of(network):
        yield _graph(name, network, _examples(size, any_size)[0], side)


def _graph(name: GraphName, network: nn.Module, images: Tensor, side: Axes) -> Graph:
    """Return one graph of a network, to be traced with a clip, uint8 (B, T, H, W, 3)."""
    if name == "frames":
        return _frames(network, images, side)
    classes: int = network.num_classes  # type: ignore[assignment]
    clip: dict[str, Axes] = {"images": ("batch", "time", *side, 3)}
    scores: dict[str, Axes] = {"scores": ("batch", "time", classes, *side)}
    if not isinstance(network, ConvLSTMFCN):
        return Graph(name, FrameGraph(network), clip, scores, (images,))
    if name == "window":
        return Graph(name, WindowGraph(network), clip, scores, (images,))
    with torch.inference_mode():
        shape = network.encoder(_floats(images)).shape[-2:]
    small: Axes = ("state_height", "state_width") if isinstance(side[0], str) else tuple(shape)
    state: Axes = ("batch", classes, *small)
    after = {"next_h": state, "next_c": state}
    if name == "clip":
        return Graph(name, ClipGraph(network), clip, scores | after, (images,))
    generator = torch.Generator().manual_seed(1)
    # two tensors: one for both would make them one input
    h, c = (torch.rand(2, classes, *shape, generator=generator) for _ in range(2))
    frame: dict[str, Axes] = {"images": ("batch", *side, 3), "h": state, "c": state}
    of_frame: dict[str, Axes] = {"scores": ("batch", classes, *side)}
    example = (images[:, 0].contiguous(), h, c)
    return Graph(name, StepGraph(network), frame, of_frame | after, example)


def _frames(network: nn.Module, clip: Tensor, side: Axes) -> Graph:
    """Return the graph of single frames."""
    module, frames = FeatureGraph(network), clip[0].float()
    with torch.inference_mode():
        *_, height, width, channels = module(frames).shape
    open_size = isinstance(side[0], str)
    small: Axes = ("feature_height", "feature_width") if open_size else (height, width)
    inputs: dict[str, Axes] = {"images": ("batch", *side, 3)}
    outputs: dict[str, Axes] = {"features": ("batch", *small, channels)}
    return Graph("frames", module, inputs, outputs, (frames,))


def _examples(size: int, any_size: bool) -> tuple[Tensor]:
    """Return a clip whose axes all differ where they may, so that none is taken for another."""
    width = size + 32 if any_size else size
    return (random_clip(2, 3, size, width),)


def random_clip(batch: int, frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return random bytes (B, T, H, W, 3)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, frames, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def _floats(images: Tensor) -> Tensor:
    return images[:1, :1].movedim(-1, -3).float()


def dynamic_shapes(graph: Graph) -> tuple[Any, ...]:
    """Return which axes of a graph's inputs are open, as torch.export takes them."""
    return tuple(
        {axis: torch.export.Dim.DYNAMIC for axis, side in enumerate(axes) if isinstance(side, str)}
        for axes in graph.inputs.values()
    )
