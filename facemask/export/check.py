"""Comparison of written graphs with the networks that they are of."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.export.graphs import WINDOW, FeatureGraph, Graph, random_clip
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.models.normalisation import normalise
from facemask.models.own_network import first_output
from facemask.models.runtime_network import Run

TOLERANCE: Final = 1e-3
"""Largest difference of scores over their largest size."""
_NOTHING: Final = 1e-6
_CLIPS: Final = ((1, 1), (3, 2), (1, 7), (2, WINDOW + 1))
"""Batch and frames of the clips; none is that of the example that is traced."""


def check_graph(graph: Graph, run: Run, network: nn.Module, size: int, any_size: bool) -> float:
    """Compare a written graph with its network on clips of several lengths, batches and sizes.

    Args:
        graph: The graph.
        run: What runs the written file.
        network: The network as it is in torch, in eval mode.
        size: Side of the images.
        any_size: Whether images of other sizes are tried.

    Returns:
        The largest difference.

    Raises:
        InputError: Shapes or values differ, or the file cannot be run.
    """
    worst = 0.0
    for seed, (batch, frames, height, width) in enumerate(_shapes(size, any_size)):
        clip = random_clip(batch, frames, height, width, seed)
        try:
            pairs = list(_pairs(graph, run, network, clip))
        except Exception as error:  # whatever a runtime raises
            first = str(error).strip().partition("\n")[0]
            raise InputError(
                f"The {graph.name} graph cannot be run on {_words(clip)} ({first}): nothing is "
                "written."
            ) from error
        for name, found, expected in pairs:
            if found.shape != expected.shape or found.dtype != expected.dtype:
                raise InputError(
                    f"The {graph.name} graph gives {name} {found.dtype} {found.shape} of "
                    f"{_words(clip)}, torch gives {expected.dtype} {expected.shape}: nothing is "
                    "written."
                )
            scale = float(np.abs(expected).max())
            worst_here = float(np.abs(found - expected).max())
            if not worst_here <= TOLERANCE * scale + _NOTHING:  # nor NaN
                raise InputError(
                    f"The {graph.name} graph's {name} of {_words(clip)} differ from torch's by "
                    f"{worst_here:.2g} at sizes up to {scale:.2g}: nothing is written."
                )
            worst = max(worst, worst_here)
    return worst


def _shapes(size: int, any_size: bool) -> Iterator[tuple[int, int, int, int]]:
    """Yield batch, frames, height and width of clips to try."""
    for batch, frames in _CLIPS:
        yield batch, frames, size, size
    if any_size:
        yield 1, 2, size + 17, size - size // 4
        yield 2, 1, size - size // 4 + 1, size + 16


def _words(clip: Tensor) -> str:
    batch, frames, height, width, _ = clip.shape
    return f"{batch} × {frames} frames of {height} × {width} pixels"


@torch.inference_mode()
def _pairs(
    graph: Graph, run: Run, network: nn.Module, clip: Tensor
) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield the name of each output, what the file gives, and what torch gives."""
    images = normalise(clip.movedim(-1, -3), network)
    if graph.name == "frames":
        frames = images.flatten(0, 1).movedim(-3, -1).contiguous()  # (N, H, W, 3)
        yield "features", run([frames.numpy()])[0], FeatureGraph(network)(frames).numpy()
        return
    if not isinstance(network, ConvLSTMFCN):
        yield "scores", run([clip.numpy()])[0], first_output(network(images)).float().numpy()
        return
    if graph.name == "window":
        yield "scores", run([clip.numpy()])[0], network.score_windows(images, WINDOW).numpy()
        return
    if graph.name == "clip":
        scores, state = network(images)
        for name, found, expected in zip(
            graph.outputs, run([clip.numpy()]), (scores, *state), strict=True
        ):
            yield name, found, expected.numpy()
        return
    # from a state whose h and c differ, and on with what came out
    generator = torch.Generator().manual_seed(clip.shape[1])
    shape = (len(clip), network.num_classes, *network.encoder(images[:1, :1]).shape[-2:])
    h, c = (torch.rand(shape, generator=generator) - 0.5 for _ in range(2))
    state, mine = (h, c), [h.numpy(), c.numpy()]
    for t in range(clip.shape[1]):
        scores, state = network(images[:, t], state)
        found_scores, *mine = run([clip[:, t].numpy(), *mine])
        yield "scores", found_scores, scores.numpy()
        for name, found, expected in zip(("next_h", "next_c"), mine, state, strict=True):
            yield name, found, expected.numpy()
