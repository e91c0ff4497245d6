"""Which videos of a list this process does."""

import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

from facemask.errors import InputError

Item = TypeVar("Item")

_SHARDS = (
    ("RANK", "WORLD_SIZE", None),  # torchrun
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),  # sbatch --array
)


def find_shard(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """This process's number and the number of processes, of torchrun or of a SLURM array.

    Raises:
        InputError: The variables do not make sense.

    Examples:
        >>> find_shard({"RANK": "1", "WORLD_SIZE": "4"}), find_shard({})
        ((1, 4), (0, 1))
    """
    for rank_name, count_name, first_name in _SHARDS:
        if rank_name in environment and count_name in environment:
            try:
                rank, count = int(environment[rank_name]), int(environment[count_name])
                rank -= int(environment.get(first_name, 0)) if first_name else 0
            except ValueError:
                rank, count = -1, 0
            if not 0 <= rank < count:
                raise InputError(
                    f"{rank_name} is {environment[rank_name]} and {count_name} is "
                    f"{environment[count_name]}: start with torchrun or `sbatch --array=0-N`."
                )
            return rank, count
    return 0, 1


def share_of(items: Sequence[Item], shard: tuple[int, int]) -> list[Item]:
    """Every count-th item, from the rank-th on.

    Examples:
        >>> share_of("abcde", (1, 2))
        ['b', 'd']
    """
    rank, count = shard
    return list(items[rank::count])
