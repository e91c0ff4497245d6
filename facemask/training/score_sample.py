"""A sample of the pixels that a module scores in validation, with their scores and the truth."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

from collections.abc import Sequence
from math import ceil
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from facemask.classes import IGNORE
from facemask.data.clips import ClipBatch
from facemask.data.datamodule import FaceMaskDataModule
from facemask.errors import InputError
from facemask.metrics.operating_point import ScoredPixels
from facemask.resample import scores_at_size

_LEAST: Final = 200
"""Pixels of a frame below which fewer frames are looked at instead."""


class ScoreSample(Callback):
    """Callback that keeps some pixels of each frame of a validation, at the frames' original size.

    Each group of a frame's pixels, those of one true, one predicted and one next best class, gives
    about equally many: those that nearly were of the next class, and ever fewer of the surer ones,
    each with the number that it stands for. So rare classes and errors are kept whole, and the
    confusion matrix of the sample is that of all pixels.

    Args:
        size: About how many pixels to keep, however many frames there are.
        seed: Decides which.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        super().__init__()
        self.size = size
        self._random = np.random.default_rng(seed)
        self._hook: RemovableHandle | None = None
        self._scores: Tensor | None = None  # of the batch that is at work
        self._every = self._quota = 1
        self._seen = 0
        self._videos: dict[str, int] = {}
        self._kept: list[tuple[npt.NDArray[Any], ...]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Share the pixels out to the frames, and watch the module's scores."""
        data: FaceMaskDataModule = trainer.datamodule  # type: ignore[attr-defined]  # set by Trainer
        self.share(sum(map(len, data.datasets["val"].clips)))
        self._hook = pl_module.register_forward_hook(self._watch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch no longer."""
        if self._hook is not None:
            self._hook.remove()

    def share(self, frames: int) -> None:
        """Decide how many pixels to keep of each frame, or of every few."""
        self._every = max(1, ceil(frames * _LEAST / self.size))
        self._quota = self.size * self._every // max(1, frames)

    def _watch(self, _module: torch.nn.Module, _given: Any, scores: Tensor) -> None:  # noqa: ANN401
        self._scores = scores

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep pixels of the batch's frames.

        Raises:
            InputError: The module has scored nothing in its `forward`, or not in finite numbers.
        """
        scores, self._scores = self._scores, None
        if scores is None:
            raise InputError(
                f"{type(pl_module).__name__} scores its batches without its forward: there are no "
                "scores to calibrate."
            )
        clips = scores if scores.ndim == 5 else scores.unsqueeze(1)  # (B, T, C, S, S)
        if not bool(clips.isfinite().all()):
            raise InputError(
                "The network's scores are not finite (infinity or not a number): its weights are "
                "damaged or its training diverged; give another checkpoint."
            )
        for clip, masks, names in zip(clips, batch["original_masks"], batch["names"], strict=True):
            self.add(clip, masks, names)

    def add(self, clip: Tensor, masks: Sequence[Tensor], names: Sequence[str]) -> None:
        """Keep pixels of a clip.

        Args:
            clip: Scores (T, C, S, S).
            masks: Its real frames' class ids, or sets of them, uint8 (H, W).
            names: Their names, such as 001_000001.
        """
        for frame, mask, name in zip(clip, masks, names, strict=False):  # padding comes last
            self._seen += 1
            if self._seen % self._every:
                continue
            video = self._videos.setdefault(name.rpartition("_")[0], len(self._videos))
            scores = scores_at_size(frame, *mask.shape).float().flatten(1)  # (C, H · W)
            target = mask.flatten().to(scores.device)
            counted = target != IGNORE
            scores, target = scores[:, counted], target[counted].long()
            best = scores.topk(2, dim=0)
            first, second = best.indices
            cell = (target * len(scores) + first) * len(scores) + second
            lead = best.values[0] - best.values[1]
            place, weight = self._draw(cell.cpu().numpy(), lead.cpu().numpy())
            chosen = torch.from_numpy(place).to(scores.device)
            kept = (scores[:, chosen].T.cpu().numpy(), target[chosen].cpu().numpy(), weight)
            self._kept.append((*kept, np.full(len(place), video)))

    def _draw(
        self, cell: npt.NDArray[np.int64], lead: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return places and weights of the pixels to keep, (n,).

        Args:
            cell: Group of each pixel (N,).
            lead: How far its best score leads (N,).
        """
        order = np.lexsort((lead, cell))
        counts = np.bincount(cell)
        counts = counts[counts > 0]
        each = max(2, self._quota // max(1, len(counts)))
        places, weights = [np.empty(0, np.int64)], [np.empty(0)]
        for group in np.split(order, np.cumsum(counts)[:-1]):
            edges = np.arange(len(group) + 1)
            if len(group) > each:  # all of the near, then steps that grow with the distance
                steps = np.geomspace(each // 2, len(group), each - each // 2 + 1).round()
                edges = np.unique(np.append(edges[: each // 2], steps.astype(np.int64)))
            width = np.diff(edges)
            places.append(group[edges[:-1] + self._random.integers(0, width)])
            weights.append(width.astype(np.float64))
        return np.concatenate(places), np.concatenate(weights)

    def pixels(self) -> ScoredPixels:
        """Return what was kept.

        Raises:
            InputError: Nothing was.
        """
        if not self._kept:
            raise InputError("The validation side has no frames: there is nothing to calibrate on.")
        return ScoredPixels(*(np.concatenate(parts) for parts in zip(*self._kept, strict=True)))
