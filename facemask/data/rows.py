"""Rows of clips that follow each other, for training with a memory that is carried on."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from facemask.data.loaders import EpochSampler, Shares, processes
from facemask.errors import InputError


class RowSampler(EpochSampler):
    """Rows of clips at the places of a process's batches, one clip after the other, for training.

    An epoch's rows are shuffled, put one after the other, and cut into as many equal parts as the
    batches of all processes have places. Each place goes through its part, so that a clip follows
    the one at its place in the batch before, unless a row begins. A row that is cut goes on at
    another place, without what came before it. No clip comes twice in an epoch; those that are left
    over are others in each.

    Args:
        rows: Indices of the clips of each row.
        batch_size: Places of a process's batch.
        seed: Decides the order.
        replicas: Number of processes.
        rank: Number of this process, from 0.
        shares: What an epoch sees, where that is not each clip once.

    Examples:
        >>> sampler = RowSampler([range(0, 3), range(3, 5), range(5, 9)], batch_size=2, seed=0)
        >>> [index for _, index in sampler]
        [5, 0, 6, 1, 7, 2, 8, 3]
    """

    def __init__(
        self,
        rows: Sequence[range],
        batch_size: int,
        seed: int,
        replicas: int = 1,
        rank: int = 0,
        shares: Shares | None = None,
    ) -> None:
        count = sum(map(len, rows)) if shares is None else len(shares)
        super().__init__(count, seed, replicas, rank)
        self.shares = shares
        self.batch_size = batch_size
        self.steps = count // (replicas * batch_size)
        self.num_samples = self.steps * batch_size  # its length
        self._count = count
        self._starts = {row.start for row in rows}

    def keys(self) -> list[tuple[int, int]]:
        """Return this epoch's pairs of this process, batch after batch."""
        if self.shares is None:
            pairs = [(self.epoch, index) for index in range(self._count)]
        else:
            pairs = self.shares.epoch(self.epoch)
        begins = [
            place
            for place, (number, index) in enumerate(pairs)
            if place == 0 or index in self._starts or pairs[place - 1] != (number, index - 1)
        ]
        parts = [pairs[begin:end] for begin, end in pairwise([*begins, len(pairs)])]
        # as torch's DistributedSampler draws its order
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(parts), generator=generator).tolist()
        line = [pair for part in order for pair in parts[part]]
        first = self.rank * self.batch_size
        return [
            line[(first + place) * self.steps + step]
            for step in range(self.steps)
            for place in range(self.batch_size)
        ]


def training_sampler(
    rows: Sequence[range], count: int, batch_size: int, seed: int, shares: Shares | None
) -> EpochSampler:
    """Return what gives this process its share of an epoch's clips.

    Args:
        rows: Rows of clips; empty to shuffle single ones.
        count: Number of clips.
        batch_size: Clips a batch and process.
        seed: Decides the order.
        shares: What an epoch sees, where that is not each clip once.

    Raises:
        InputError: There are fewer clips than processes, or than rows need at once.
    """
    replicas, rank = processes()
    count = count if shares is None else len(shares)
    if count < replicas:
        raise InputError(
            f"The training side has {count} clips for {replicas} processes: train on at most as "
            "many devices as there are clips."
        )
    if not rows:
        sampler = EpochSampler(count, seed, replicas, rank)
        sampler.shares = shares
        return sampler
    if count < replicas * batch_size:
        raise InputError(
            f"The training side has {count} clips, but data.clips_in_a_row fills whole batches, "
            f"and those of {replicas} processes hold {replicas * batch_size}: give a smaller "
            "data.batch_size."
        )
    return RowSampler(rows, batch_size, seed, replicas, rank, shares)


def check_rows(clips_in_a_row: int | None, clip_length: int | None) -> None:
    """Check the option of a data module.

    Raises:
        InputError: It is below 1, or there are no clips.
    """
    if clips_in_a_row is None:
        return
    if clips_in_a_row < 1:
        raise InputError(f"data.clips_in_a_row is {clips_in_a_row}, expected at least 1.")
    if clip_length is None:
        raise InputError(
            f"data.clips_in_a_row is {clips_in_a_row}, but data.clip_length is null, which gives "
            "single frames: give --data.clip_length 5, or leave it out."
        )
