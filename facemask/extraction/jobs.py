"""Videos of one command: their names, the files of their results, and each process's share."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask.confidence import UNSURE
from facemask.errors import InputError
from facemask.extraction.choices import output_paths, photo_paths
from facemask.naming import LONGEST, distinct_names, with_digests

_GENERIC: Final = "vid"
"""Name of all videos of the 300VW layout, whose folders have the names."""
_SHARDS: Final = (
    ("RANK", "WORLD_SIZE", None),  # torchrun
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),  # sbatch --array
)


@dataclass(frozen=True)
class Job:
    """One video or photograph to do.

    Attributes:
        source: Path or number of a camera.
        name: Name of its results.
        folder: Folder of its results.
        paths: The file of each result, by kind.
        is_photo: Whether it is a photograph.
    """

    source: str | int
    name: str
    folder: Path
    paths: dict[str, Path]
    is_photo: bool = False

    @property
    def origin(self) -> str:
        """The source in words."""
        return f"camera {self.source}" if isinstance(self.source, int) else self.source


@dataclass(frozen=True)
class Outcome:
    """End of one video or photograph.

    Attributes:
        job: The video.
        error: Reason why its results are not there.
        frames: Number of frames that were labelled now.
        faces: Number of those with a face.
        unsure: Number of those with an unsure mask; None where the confidence is not calibrated.
        left_out: Whether nothing was to be done: it was done before, or another process does it.
        of_all: Whether the error would be the same for every video.
    """

    job: Job
    error: InputError | None = None
    frames: int = 0
    faces: int = 0
    unsure: int | None = 0
    left_out: bool = False
    of_all: bool = False


def say_unsure(count: int | None) -> str:
    """Return the part of a sentence on unsure masks; empty where nothing tells which these are."""
    return "" if count is None else f", {count} unsure (confidence below {UNSURE:g})"


def make_jobs(
    sources: Sequence[str | int], folder: Path, kinds: Iterable[str], photos: Sequence[str] = ()
) -> list[Job]:
    """Return a job for each source, no two of which write to one file.

    Args:
        sources: Videos' paths, and numbers of cameras.
        folder: Folder of all results.
        kinds: Results of each; see `output_paths` and `photo_paths`.
        photos: Paths of photographs.

    Raises:
        InputError: A result would take the place of a source.
    """
    sources = [*sources, *photos]
    kinds, jobs = list(kinds), []
    for number, (source, name) in enumerate(zip(sources, source_names(sources), strict=True)):
        is_photo = number >= len(sources) - len(photos)
        if is_photo:
            paths = photo_paths(folder, name, kinds, Path(str(source)))
        else:
            paths = output_paths(folder, name, kinds)
        jobs.append(Job(source, name, folder, paths, is_photo))
    given = {Path(source).resolve(): source for source in sources if isinstance(source, str)}
    for job in jobs:
        for path in job.paths.values():
            if (taken := given.get(path.resolve())) is not None:
                raise InputError(
                    f"{taken} is an input, and a result of {job.origin} would take its place: "
                    "give another folder with --out."
                )
    return jobs


def source_names(sources: Sequence[str | int]) -> list[str]:
    """Return names of sources' results: alike in no two, whatever the order of the list.

    A file gives its name without the suffix, `vid.*` and a folder of pictures the folder's name, a
    camera its number. Where several have one name, each gets the shortest end of its path that
    tells it from the others: with the suffix, or with the folders above it.

    Args:
        sources: Paths and numbers of cameras, none of them twice.

    Examples:
        >>> source_names(["x/a.mp4", "y/a.mp4", "z/a_2.mp4", 0])
        ['x-a', 'y-a', 'a_2', 'camera0']
        >>> source_names(["a.avi", "a.mp4"])
        ['a.avi', 'a.mp4']
    """
    return distinct_names([list(_candidates(source)) for source in sources])


def _candidates(source: str | int) -> Iterator[str]:
    if isinstance(source, int):
        yield f"camera{source}"
        yield from with_digests(f"camera{source}", f"camera {source}")
        return
    # of two paths to one file either may be given
    path = Path(source).resolve()
    folders, stem, suffix = list(path.parts[1:-1]), path.stem, path.suffix
    if path.is_dir():
        stem, suffix = path.name, ""
    elif stem == _GENERIC and folders:
        stem, suffix = folders.pop(), f"-{stem}{suffix}"
    stem = stem or "root"
    yield stem
    for depth in range(len(folders) + 1):
        name = "-".join([*folders[len(folders) - depth :], stem])
        if len(os.fsencode(name + suffix)) > LONGEST:
            break
        yield from [name] if depth else []
        yield from [name + suffix] if suffix else []
    yield from with_digests(stem, str(path))


def find_shard(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return this process's number and the number of processes, of torchrun or a SLURM array.

    Process r of n does every n-th video, from the r-th on.

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


def noun_of(jobs: Iterable[Job]) -> str:
    """Return "videos", "photos", or both words for a mixture."""
    return " and ".join(sorted({"photos" if job.is_photo else "videos" for job in jobs}))


def say_left(jobs: Sequence[Job], share: int, left: int, rank: int, processes: int) -> str | None:
    """Return a sentence on what is to be done here; None if that is all.

    Args:
        jobs: All of the command.
        share: Number of those that are this process's.
        left: Number of these that are not done yet.
        rank: Number of this process, from 0.
        processes: Number of processes.
    """
    noun, to_do = noun_of(jobs), f"{'is' if left == 1 else 'are'} to be done"
    if processes > 1:
        mine = f"Process {rank} of {processes} has {share} of {len(jobs)} {noun}"
        if left == share:
            return f"{mine}."
        rest = f"of which {left} {to_do}; the others are done already"
        return f"{mine}, {rest if left else 'which are done already'}."
    if left == share:
        return None
    if left:
        return f"{left} of {len(jobs)} {noun} {to_do}; the others are done already."
    return f"{f'All {share} {noun} are' if share > 1 else f'The {noun[:-1]} is'} done already."


def what_is_kept(done: int, jobs: Sequence[Job], of_last: str) -> str:
    """Return a sentence on what is left after Ctrl-C."""
    noun = noun_of(jobs)
    kept = [f"{done} of {len(jobs)} {noun} are done"] if len(jobs) > 1 else []
    kept += [of_last] if of_last else []
    if not kept:
        return f"nothing is kept of the {noun.rstrip('s')} that was being done"
    return f"{' and '.join(kept)}, and the same command with --resume goes on"
