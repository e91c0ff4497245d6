"""The clips that an epoch sees and that each process loads, their order, and the workers."""

import math
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pytorch_lightning import Trainer
from torch.utils.data import BatchSampler, DistributedSampler

from facemask.data.vw300_mask import Frame, read_split
from facemask.errors import InputError
from facemask.regions import Region


@dataclass
class Shares:
    """The clips of each epoch where those of some sources come less or more than once.

    Source after source is passed through in shuffled order, a fixed number of its clips an epoch,
    and then anew: no clip is seen twice as long as another one of its source is unseen.

    Args:
        counts: Clips of each source; the clips are numbered through all of them.
        shares: How many times an epoch sees each of them on average, above 0. It sees at least
            one clip of each source.
        seed: Decides the order of each pass.
        rows: Clips that a pass keeps together, in order, by their indices; empty for none.

    Examples:
        >>> shares = Shares([2, 4], [1.0, 0.5], seed=0)
        >>> len(shares)
        4
        >>> sorted(shares.epoch(0) + shares.epoch(1))
        [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 0), (1, 1)]
    """

    counts: Sequence[int]
    shares: InitVar[Sequence[float]]
    seed: int
    rows: Sequence[range] = ()

    def __post_init__(self, shares: Sequence[float]) -> None:
        """Find how many clips of each source an epoch sees."""
        pairs = zip(shares, self.counts, strict=True)
        self.entries = [max(1, round(share * count)) for share, count in pairs]

    def __len__(self) -> int:
        """Return the number of clips in an epoch, those that come twice counted twice."""
        return sum(self.entries)

    def epoch(self, epoch: int) -> list[tuple[int, int]]:
        """Return (pass, clip) of all that an epoch sees, source by source.

        The pass, which is the epoch itself for a share of 1, stands for the epoch in the key of a
        sample: each pair comes once in a training, so each sight of a clip has its own seed.
        """
        pairs: list[tuple[int, int]] = []
        first = 0
        for source, (count, entries) in enumerate(zip(self.counts, self.entries, strict=True)):
            begin = epoch * entries
            own = range(first, first + count)
            rows = [row for row in self.rows if row.start in own] or [range(i, i + 1) for i in own]
            for number in range(begin // count, -(-(begin + entries) // count)):
                # a stream of its own, beside those of the samples
                seeds = np.random.SeedSequence((self.seed, source, number), spawn_key=(3,))
                order = np.random.default_rng(seeds).permutation(len(rows))
                clips = [clip for row in order.tolist() for clip in rows[row]]
                here = slice(max(0, begin - number * count), begin + entries - number * count)
                pairs += [(number, clip) for clip in clips[here]]
            first += count
        return pairs


def check_shares(folders: Mapping[str, float]) -> None:
    """Check that every share is a number above 0.

    Raises:
        InputError: One is not.
    """
    for folder, share in folders.items():
        if not 0 < share < math.inf:
            raise InputError(
                f"data.more_training: the share of {folder} is {share}, expected a number above 0."
            )


def read_more(folders: Iterable[str], split: str) -> list[Frame]:
    """Return the training frames of further data sets, each one's videos named unlike all others.

    Args:
        folders: The data sets'.
        split: A folder below their data_splits.

    Raises:
        InputError: A data set is missing or wrong.
    """
    frames: list[Frame] = []
    for number, folder in enumerate(folders, start=1):
        try:
            found = read_split(Path(folder), split, "train")
        except InputError as error:
            raise InputError(f"data.more_training: {error}") from error
        # a number, not the folder: caches of features stay valid where the data moves
        frames += [replace(frame, video=f"{number}/{frame.video}") for frame in found]
    return frames


def count_shares(
    clips: Sequence[Sequence[Frame]],
    folders: Mapping[str, float],
    region: Region,
    seed: int,
    rows: Sequence[range] = (),
) -> Shares:
    """Return what an epoch takes of each data set.

    Args:
        clips: Of all data sets, one after the other, as `read_more` names them.
        folders: The further sets, and how often an epoch sees each of their clips.
        region: What the clips show, for the error message.
        seed: Of the draw.
        rows: Clips that are to stay together; empty for none.

    Raises:
        InputError: A further set has no clip.
    """
    found = Counter(clip[0].video.rpartition("/")[0] for clip in clips)
    counts = [found[str(number)] for number in range(1, 1 + len(folders))]
    for folder, count in zip(folders, counts, strict=True):
        if not count:
            raise InputError(
                f"data.more_training: no label of the training side of {folder} shows {region}: "
                "leave it out or choose another region."
            )
    return Shares([len(clips) - sum(counts), *counts], [1.0, *folders.values()], seed, rows)


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs, each process its share, for training.

    The epoch travels with the index, so that order and augmentation depend on (seed, epoch,
    index) alone, not on the number of workers or on where a run was resumed. No clip comes twice
    in an epoch: where the clips do not divide by the processes, other clips are left out in each.

    Args:
        count: Number of clips, or of what `shares` lists for an epoch.
        seed: Decides the order.
        replicas: Number of processes.
        rank: Number of this process, from 0.
    """

    trainer: Trainer | None = None
    """Where given, an iteration takes its epoch: in a resumed run, loader workers fetch their
    first clips before Lightning calls `set_epoch`."""
    first_epoch: int = 0
    """The epoch that a resumed run begins with; Lightning may still count the one before."""
    skip: int = 0
    """How many clips of `first_epoch` this process has seen before the run was resumed."""
    shares: Shares | None = None
    """What an epoch sees, where that is not each clip once."""

    def __init__(self, count: int, seed: int, replicas: int = 1, rank: int = 0) -> None:
        places: Any = range(count)  # only its length is used
        super().__init__(places, replicas, rank, shuffle=True, seed=seed, drop_last=True)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this epoch's pairs, without those seen before."""
        if self.trainer is not None:
            self.set_epoch(max(self.trainer.current_epoch, self.first_epoch))
        skip = self.skip if self.epoch == self.first_epoch else 0
        yield from self.keys()[skip:]

    def keys(self) -> list[tuple[int, int]]:
        """Return all pairs of this epoch and process, in order."""
        order: list[int] = list(super().__iter__())  # type: ignore[arg-type]  # indices, not pairs
        if self.shares is None:
            return [(self.epoch, index) for index in order]
        seen = self.shares.epoch(self.epoch)
        return [seen[index] for index in order]


class WholeBatches(BatchSampler):
    """Batches in order, each whole in one process, for evaluation.

    Process r of N takes batches r, r + N, …: each batch is computed as in a single process, and
    each sample comes exactly once. All processes get the same number of batches, the last of
    which may be empty: a process that ran out of them earlier would leave the others waiting
    wherever they exchange something (DistributedDataParallel does so in every forward pass).

    Args:
        length: Number of samples.
        batch_size: Samples a batch.
        replicas: Number of processes N.
        rank: This process r, from 0.
        sampler: Not used. Lightning puts its own here, which repeats samples so that they divide.
        drop_last: Not used: the last batch is always there. Lightning asks for False.

    Examples:
        >>> list(WholeBatches(5, batch_size=2))
        [[0, 1], [2, 3], [4]]
        >>> [list(WholeBatches(5, 2, replicas=2, rank=rank)) for rank in (0, 1)]
        [[[0, 1], [4]], [[2, 3], []]]
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        replicas: int = 1,
        rank: int = 0,
        sampler: object = None,  # noqa: ARG002
        drop_last: bool = False,  # noqa: ARG002
    ) -> None:
        super().__init__(range(length), batch_size, drop_last=False)
        self.length = length
        self.replicas = replicas
        self.rank = rank

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's batches of indices."""
        for number in range(len(self)):
            start = (number * self.replicas + self.rank) * self.batch_size
            yield list(range(start, min(start + self.batch_size, self.length)))

    def __len__(self) -> int:
        """Return the number of batches, the same in all processes."""
        return -(-self.length // (self.batch_size * self.replicas))


def processes() -> tuple[int, int]:
    """Return how many processes train or test together, and the number of this one, from 0."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size(), torch.distributed.get_rank()
    return 1, 0


def start_worker(_worker: int) -> None:
    """Give a loader's worker one thread, as all share the CPUs; Ctrl-C is for the main process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def place_in_training(trainer: Trainer) -> tuple[int, int]:
    """Return the epoch that a resumed run goes on in, and how many of its batches are done."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    if progress.started <= progress.processed:
        return progress.processed, 0
    if trainer.is_last_batch:
        return progress.processed + 1, 0
    batch: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return progress.processed, batch.processed


def check_place(state: Mapping[str, Any], batch_size: int) -> None:
    """Check that a run resumed in the middle of an epoch has that epoch's batches.

    Args:
        state: The data module's, from the checkpoint.
        batch_size: Clips a batch and process now.

    Raises:
        InputError: They were others.
    """
    given, found = (batch_size, processes()[0]), (state["batch_size"], state["processes"])
    if given != found:
        raise InputError(
            f"The checkpoint was written after batch {state['batches']} of an epoch with "
            f"data.batch_size {found[0]} and {found[1]} processes, and now these are "
            f"{given[0]} and {given[1]}: give the same, or resume from the end of an epoch."
        )
