"""`facemask landmarks`: pseudo-annotations in the 300VW layout from a user's own videos."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from facemask import __version__
from facemask.annotate.landmark_tracker import LandmarkTracker, LandmarkTrackerSettings
from facemask.annotate.predictor import LandmarkPredictor
from facemask.annotate.pseudo_folder import (
    NO_FACE,
    SUBJECTS,
    PseudoVideo,
    add_video,
    check_only_pseudo,
    write_lists,
)
from facemask.data.landmarks import write_pts
from facemask.data.vw300_mask import PSEUDO
from facemask.errors import InputError
from facemask.files import make_folder, sha256_of
from facemask.naming import counted
from facemask.progress import Bars
from facemask.suffixes import VIDEO_SUFFIXES, is_video
from facemask.terminal import console_for_words
from facemask.threads import limit_threads
from facemask.tracking.centerface import CenterFaceDetector
from facemask.tracking.detection import Image
from facemask.video.decoding import VideoFile
from facemask.video.frames import SquarePixels

Transfer = Literal["copy", "hardlink", "symlink"]

_LAST: Final = 999_999
"""Annotations are named by six digits."""
_UNFINISHED: Final = ".unfinished-"


def landmarks(
    videos: list[str],
    out: str | Path,
    *,
    subject: str | None = None,
    predictor: str | Path | None = None,
    smallest_face: float = 0.08,
    transfer: Transfer = "copy",
) -> None:
    """Annotate your own videos with dlib's 68 landmarks, as `facemask prepare` reads them.

    They are pseudo-landmarks: what one program thinks, not what a person marked. One face is
    followed in each video. A further run adds videos and changes none of those there; let one run
    at a time write to a folder.

    Args:
        videos: Video files; one face of each is annotated.
        out: Folder to write NNN/vid.<suffix>, NNN/annot/000001.pts … and subjects.csv to.
        subject: Who the videos show, where it is one person. Default: a subject of its own for
            each video, or that of the same file annotated before.
        predictor: File of a 68-point model for dlib's shape predictor. Default: that of the
            package face-recognition-models.
        smallest_face: Smallest face to be found, as a share of the frame's longer side.
        transfer: How a video gets into its folder.

    Raises:
        InputError: A file is missing, no video or shows no face; the folder cannot be written to
            or holds annotations of another origin; dlib is not installed. The other videos are
            finished first.
    """
    settings = LandmarkTrackerSettings(smallest_face=smallest_face)
    files = [check_video(Path(video)) for video in dict.fromkeys(videos)]
    if subject is not None and not subject.strip():
        raise InputError("--subject is empty: give a name, or leave it out.")
    out = Path(out)
    make_folder(out)
    check_only_pseudo(out)
    limit_threads()
    detector = CenterFaceDetector(smallest_face)
    tracker = LandmarkTracker(LandmarkPredictor(predictor), settings, detector)
    for leftover in out.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    console = console_for_words(stderr=True)
    errors: list[InputError] = []
    with _progress(console) as progress:
        for file in files:
            try:
                name, video = annotate(file, out, tracker, subject, transfer, progress)
            except InputError as error:
                errors.append(error)
                continue
            lacking = len(video.without_face)
            faces = f"{lacking} of them without a face" if lacking else "each with a face"
            console.print(f"{file} is {out / name}: {counted(video.frames, 'frame')}, {faces}.")
    if errors and len(files) == 1:
        raise errors[0]
    if errors:
        raise InputError(
            f"{errors[0]} ({len(errors)} of {len(files)} videos failed; the others are done.)"
        )
    console.print(
        "These are pseudo-landmarks by dlib: a score against them is agreement with dlib, not "
        f"accuracy. {out / PSEUDO} says which clip is which, and {out / SUBJECTS}, yours to edit, "
        f"who it shows. Next: facemask prepare {out} DATA --fraction 1 --exclude "
        f"{out / NO_FACE}"
    )


def check_video(file: Path) -> Path:
    """Return a file that can be a video of a data set.

    Raises:
        InputError: It is missing, a folder, or has a suffix that `facemask prepare` does not read.
    """
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give video files, such as {file}/*.mp4.")
    if not file.is_file():
        raise InputError(f"{file}: no such file; give video files.")
    if not is_video(file):
        raise InputError(
            f"{file}: {file.suffix or 'no suffix'} is no container that `facemask prepare` reads; "
            f"expected one of {', '.join(VIDEO_SUFFIXES)}."
        )
    return file


def annotate(
    file: Path,
    out: Path,
    tracker: LandmarkTracker,
    subject: str | None,
    transfer: Transfer,
    progress: Progress,
) -> tuple[str, PseudoVideo]:
    """Make one video's folder, whole or not at all.

    Returns:
        Name of the folder, and origin of its landmarks.

    Raises:
        InputError: The file cannot be read or shows no face, or the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(
            prefix=_UNFINISHED, dir=out, ignore_cleanup_errors=True
        ) as temporary:
            folder = Path(temporary, "video")
            (folder / "annot").mkdir(parents=True)
            tracker.reset()
            frames = 0
            without: list[int] = []
            for number, image, squares in _frames(file, progress):
                frames = number
                points = tracker.step(squares.image(image))
                if points is None:
                    without.append(number)
                else:
                    stored = squares.stored_points(points)
                    write_pts(folder / "annot" / f"{number:06d}.pts", stored)
            if len(without) == frames:
                raise InputError(
                    f"{file}: no face found in its {frames} frames; if faces are small in it, "
                    "give a lower --smallest_face."
                )
            _transfer(file, folder / f"vid{file.suffix.lower()}", transfer)
            video = PseudoVideo(
                source=file.name,
                sha256=sha256_of(file),
                subject=subject,
                frames=frames,
                without_face=tuple(without),
                predictor=tracker.predictor.file.name,
                facemask_version=__version__,
            )
            name = add_video(folder, video, out)
    except OSError as error:
        raise InputError(f"{out}: cannot write there: {error.strerror or error}.") from error
    write_lists(out)
    return name, video


class _Speed(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} frames/s" if task.speed else "")


def _progress(console: Console) -> Progress:
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=console,
    )


def _frames(file: Path, progress: Progress) -> Iterator[tuple[int, Image, SquarePixels]]:
    """Yield number, from 1, and picture of every frame as `facemask prepare` decodes it."""
    with VideoFile(file) as video:
        squares = SquarePixels.of(video.height, video.width, video.pixel_aspect)
        task = progress.add_task(file.name, total=video.frame_count)
        try:
            for frame in itertools.islice(video, _LAST):
                yield frame.index + 1, frame.image, squares
                progress.update(task, completed=frame.index + 1)
        finally:
            progress.remove_task(task)
        if video.problem:
            progress.console.print(video.problem, style="yellow")


def _transfer(file: Path, target: Path, how: Transfer) -> None:
    try:
        if how == "symlink":
            target.symlink_to(file.resolve())
        elif how == "hardlink":
            target.hardlink_to(file.resolve())
        else:
            shutil.copyfile(file, target)
    except OSError as error:
        hint = "" if how == "copy" else "; give --transfer copy"
        raise InputError(f"{file}: cannot {how} it: {error.strerror or error}{hint}.") from error
