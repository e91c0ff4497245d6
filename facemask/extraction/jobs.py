"""The videos of one command: what their results are called, and which are done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from facemask.errors import InputError
from facemask.extraction.naming import source_names
from facemask.extraction.outputs import output_paths
from facemask.extraction.plot import picture_of
from facemask.extraction.record import RECORD_SUFFIX, Record, facts_of


@dataclass(frozen=True)
class Job:
    """One video to do.

    Attributes:
        source: Path or number of a camera.
        name: What its results are called.
        paths: Where each output goes.
        plot: The picture of the signals, if that is wanted.
    """

    source: str | int
    name: str
    paths: dict[str, Path]
    plot: Path | None

    @property
    def results(self) -> dict[str, Path]:
        """All that is written, by kind."""
        return self.paths if self.plot is None else {**self.paths, "plot": self.plot}

    @property
    def origin(self) -> str:
        """The source in words."""
        return f"camera {self.source}" if isinstance(self.source, int) else self.source

    @property
    def lock(self) -> Path:
        """The file that the process at work on it holds."""
        return self._folder / f".{self.name}.lock"

    @property
    def _folder(self) -> Path:
        return next(iter(self.paths.values())).parent

    def record(self, model: Mapping[str, str], options: Mapping[str, object]) -> Record:
        """What its results depend on now, and what the ones there were made from.

        Args:
            model: See `facts_of`.
            options: See `facts_of`.

        Raises:
            InputError: The source cannot be read.
        """
        facts = facts_of(self.source, model, options)
        return Record(self._folder / f"{self.name}{RECORD_SUFFIX}", facts, self.results)


def make_jobs(
    sources: Sequence[str | int], folder: Path, kinds: Sequence[str], plot: bool
) -> list[Job]:
    """A job for each source, no two of which write to one file.

    Raises:
        InputError: A result would take the place of a source.
    """
    jobs = []
    for source, name in zip(sources, source_names(sources), strict=True):
        paths = output_paths(folder, name, kinds)
        jobs.append(Job(source, name, paths, picture_of(paths["csv"]) if plot else None))
    given = {Path(source).resolve(): source for source in sources if isinstance(source, str)}
    for job in jobs:
        for path in job.results.values():
            if (taken := given.get(path.resolve())) is not None:
                raise InputError(
                    f"{taken} is an input, and a result of {job.origin} would take its place: "
                    "give another folder with --out."
                )
    return jobs


def is_done(job: Job, model: Mapping[str, str], options: Mapping[str, object]) -> bool:
    """Whether its results are there, made from the same with the same."""
    try:
        return job.record(model, options).mismatch() is None
    except InputError:  # it is told when it is that video's turn
        return False


def leave(job: Job, console: Console, resume: bool) -> None:
    """Another process is at work on this video.

    Raises:
        InputError: It must be done anew, whatever the other one does.
    """
    said = f"another process is writing its results in {job.lock.parent}"
    if not resume:
        raise InputError(f"{job.origin}: {said}: wait for it, or give another folder with --out.")
    console.print(f"{job.name}: left out, {said}.", highlight=False)


def is_left(job: Job, record: Record, console: Console, resume: bool) -> bool:
    """Whether a video is left out, done by another process meanwhile; says why it is not."""
    reason = record.mismatch()
    if resume and reason is None:
        return True
    if resume and reason:
        console.print(f"{job.name}: done anew, {reason}.", highlight=False)
    elif other := record.other_source():
        said = f"{job.name}: the results there, of {other}, are replaced by those of {job.origin}."
        console.print(said, highlight=False)
    return False
