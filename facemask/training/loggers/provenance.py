"""What a run was made from: the code's revision and the data's fingerprint."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from facemask.data.clips import ClipDataset
from facemask.report.record import fingerprint

_SECONDS = 20
"""How long git may take, such as on a slow network folder."""


class Revision(NamedTuple):
    """A state of a git repository.

    Attributes:
        commit: The commit's hash, 40 or 64 hexadecimal digits.
        changes: Whether tracked files differ from it.
    """

    commit: str
    changes: bool


def git_revision(folder: Path | None = None) -> Revision | None:
    """The revision of the repository that a folder is in.

    Args:
        folder: Where to look; None is the working directory.

    Returns:
        The revision; None without git, a repository or a commit.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return Revision(commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no")))


def _git(folder: Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def data_fingerprint(dataset: ClipDataset) -> str:
    """The fingerprint of a data set's frames and masks, as in the record of a test.

    Of all its clips, whatever `limit_…_batches` says. A region's data set leaves out the clips
    that do not show the region, here too.

    Args:
        dataset: Its labels are read, each file once.

    Returns:
        SHA-256 over the frames' names and label files, 64 hexadecimal digits; see
        `facemask.report.record.fingerprint`.

    Raises:
        InputError: A label file cannot be read.
    """
    frames = [frame for clip in dataset.clips for frame in clip]
    return fingerprint({f.image.stem: f.label for f in frames if f.label is not None})
