"""Networks and encoders that another runtime than PyTorch computes."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facemask.models.backbone import ImageEncoder, check_images
from facemask.models.normalisation import normalisation
from facemask.workers import in_threads

Run: TypeAlias = Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[np.float32]]]
"""Arrays in, arrays out, as a graph of `facemask.export` takes and gives them."""


class _Frames:
    """Graph that is run on one frame at a time.

    Args:
        run: Runs it; may be called by several threads at once.
        threads: Number of threads of Python that share the frames.
    """

    def __init__(self, run: Run, threads: int) -> None:
        self._run = run
        self._threads = threads

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 (..., C, h, w) of normalised images (..., 3, H, W)."""
        frames = images.flatten(0, -4).movedim(-3, -1).float().contiguous().numpy()
        parts = np.split(frames, len(frames))  # each (1, H, W, 3)
        found = np.concatenate(in_threads(lambda part: self._run([part])[0], parts, self._threads))
        outputs = torch.from_numpy(found).movedim(-1, -3)  # (N, C, h, w)
        return outputs.reshape(*images.shape[:-3], *outputs.shape[1:])


class RuntimeEncoder(ImageEncoder):
    """Encoder in the place of one of this library's; what comes behind it is torch's.

    Args:
        encoder: The one whose place it takes.
        run: Runs its graph "frames" on one frame; may be called by several threads at once.
        threads: Number of threads that share the frames.
        backend: Name of the runtime.
    """

    def __init__(self, encoder: ImageEncoder, run: Run, threads: int, backend: str) -> None:
        mean, std = (value.flatten().tolist() for value in (encoder.mean, encoder.std))
        super().__init__(encoder.name, encoder.stride, mean, std)
        self.channels = encoder.channels
        self.skips = encoder.skips
        self.backend = backend
        self._frames = _Frames(run, threads)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of images or clips, see `ImageEncoder.forward`.

        Under autocast they are of its type, as torch's are.
        """
        check_images(images)
        features = self._frames(images)
        if torch.is_autocast_enabled("cpu"):
            return features.to(torch.get_autocast_dtype("cpu"))
        return features


class RuntimeNetwork(nn.Module):
    """Network in the place of one of a user's own.

    Args:
        network: The one whose place it takes.
        run: Runs its graph "frames" on one frame; may be called by several threads at once.
        threads: Number of threads that share the frames.
        backend: Name of the runtime.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, run: Run, threads: int, backend: str) -> None:
        super().__init__()
        self.num_classes: Any = network.num_classes
        self.backend = backend
        for key in ("mean", "std"):
            self.register_buffer(key, normalisation(network, key), persistent=False)
        self._frames = _Frames(run, threads)

    def forward(self, images: Tensor) -> Tensor:
        """Score normalised clips (B, T, 3, S, S): float32 (B, T, C, S, S)."""
        return self._frames(images)
