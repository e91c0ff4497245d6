"""The runs of one report: read, named, and checked to be about the same data."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facemask.errors import InputError
from facemask.report.record import TEST, Run, find_run, read_run


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs that were scored on the same frames.

    Attributes:
        runs: All of them, the baseline first.
    """

    runs: tuple[Run, ...]

    @property
    def baseline(self) -> Run:
        """The run that the others are compared with."""
        return self.runs[0]

    @property
    def others(self) -> tuple[Run, ...]:
        """All runs but the baseline."""
        return self.runs[1:]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, background first."""
        return self.baseline.table.class_names

    def sequences(self) -> int:
        """Return the number of sequences."""
        table = self.baseline.table
        return len(set(zip(table.video.tolist(), table.sequence.tolist(), strict=True)))

    def positions_of(self, run: Run) -> Run | None:
        """Return the run whose clips give the frames of `run` their positions, None without clips.

        A run on single frames has no clips: it is looked at in the longest clips of another run,
        as the paper does with its baseline in Table 4.
        """
        longest = max(self.runs, key=lambda other: int(other.table.position.max()))
        chosen = run if run.table.position.any() else longest
        return chosen if chosen.table.position.any() else None


def load_runs(
    folders: Sequence[str], baseline: str | None, names: Sequence[str] | None
) -> Comparison:
    """Read the runs and check that they were scored on the same data.

    Args:
        folders: The folder of each run.
        baseline: The baseline's folder, one of `folders` or another one. None takes the first.
        names: One name a run in the order of `folders`, the baseline's first where it is not
            among them. None takes the folders' names.

    Raises:
        InputError: No folder is given, a record cannot be read, a run or a name is given twice,
            there are more or fewer names than runs, or the runs are about different data.
    """
    if not folders:
        raise InputError("runs is empty: give the folder of one run at least.")
    places = [find_run(Path(folder)) for folder in folders]
    first = places[0] if baseline is None else find_run(Path(baseline))
    resolved = [place.resolve() for place in places]
    if first.resolve() not in resolved:
        places, resolved = [first, *places], [first.resolve(), *resolved]
    twice = next((place for place, n in Counter(resolved).items() if n > 1), None)
    if twice is not None:
        raise InputError(f"{twice}: is given twice; give each run once.")
    names = default_names(places) if names is None else names
    if len(names) != len(places):
        raise InputError(
            f"names holds {len(names)} names for {len(places)} runs: give one name a run, the "
            "baseline's first where it is not among the runs."
        )
    if len(set(names)) < len(names):
        raise InputError(f"names are {', '.join(names)}: give each run a name of its own.")
    runs = [replace(read_run(place), name=name) for name, place in zip(names, places, strict=True)]
    at = resolved.index(first.resolve())
    comparison = Comparison((runs[at], *runs[:at], *runs[at + 1 :]))
    for other in comparison.others:
        _check_same_data(comparison.baseline, other)
    return comparison


def default_names(places: Sequence[Path]) -> list[str]:
    """Return the names of the runs' folders, or their paths where two have one name.

    Examples:
        >>> default_names([Path("runs/fcn/test"), Path("runs/convlstm_fcn/test")])
        ['fcn', 'convlstm_fcn']
    """
    folders = [place.resolve().parent if place.name == TEST else place for place in places]
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(place) for place in places]


def _check_same_data(first: Run, second: Run) -> None:
    """Raise an `InputError` unless two runs were scored on the same pixels."""
    pair = f"{first.name} ({first.folder}) and {second.name} ({second.folder})"
    one, two = first.record, second.record
    if one.region != two.region:
        raise InputError(
            f"{pair} look at different regions, {one.region!r} and {two.region!r}: report them "
            "one by one."
        )
    if one.split != two.split:
        raise InputError(
            f"{pair} belong to different protocols, {one.split!r} and {two.split!r}, whose results "
            "are never put into one table: report them one by one."
        )
    if one.class_names != two.class_names:
        raise InputError(
            f"{pair} have different classes, {', '.join(one.class_names)} and "
            f"{', '.join(two.class_names)}: report them one by one."
        )
    same = one.fingerprint == two.fingerprint
    if not same or first.table.name.tolist() != second.table.name.tolist():
        raise InputError(
            f"{pair} were scored on different data (fingerprints {one.fingerprint[:12]} and "
            f"{two.fingerprint[:12]}): test both on the same frames."
        )
    if not np.array_equal(first.table.truth, second.table.truth):
        raise InputError(
            f"{pair} have different true masks of the same frames, such as those of boxes cut for "
            "clips of another length: test both with the same data options."
        )
