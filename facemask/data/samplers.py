"""Which clips each process loads, and in what order."""

from collections.abc import Iterator

from pytorch_lightning import Trainer
from torch.utils.data import BatchSampler, DistributedSampler

__all__ = ["EpochSampler", "WholeBatches"]


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs, each process its share, for training.

    The epoch travels with the index, so that order and augmentation depend on (seed, epoch,
    index) alone, not on the number of workers or on where a run was resumed. Give it
    `drop_last=True`, so that no clip comes twice in an epoch: where the clips do not divide by
    the processes, other clips are left out in each epoch.
    """

    trainer: Trainer | None = None
    """Where given, an iteration takes its epoch: in a resumed run, loader workers fetch their
    first clips before Lightning calls `set_epoch`."""
    first_epoch: int = 0
    """The epoch that a resumed run begins with; Lightning may still count the one before."""
    skip: int = 0
    """How many clips of `first_epoch` this process has seen before the run was resumed."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this epoch's pairs, without those seen before."""
        if self.trainer is not None:
            self.set_epoch(max(self.trainer.current_epoch, self.first_epoch))
        skip = self.skip if self.epoch == self.first_epoch else 0
        for index in list(super().__iter__())[skip:]:
            yield self.epoch, index  # type: ignore[misc]  # the base class yields indices


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
        """See the class."""
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
        """Number of batches, the same in all processes."""
        return -(-self.length // (self.batch_size * self.replicas))
