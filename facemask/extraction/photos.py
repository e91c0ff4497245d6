"""Photographs of a command: labelled together, written each by itself, listed in one table."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from facemask.errors import InputError
from facemask.extraction.choices import PAINTED
from facemask.extraction.jobs import Job
from facemask.extraction.record import RECORD_SUFFIX, read_facts
from facemask.extraction.results import ExtractedFrame, numbers_of
from facemask.extraction.signals import COLUMNS, table_rows
from facemask.files import read_image, to_csv, write_atomic, write_image
from facemask.suffixes import is_unread_image
from facemask.video.look import Look
from facemask.video.painting import side_by_side
from facemask.video.results import label_png

if TYPE_CHECKING:
    from facemask.extraction.extractor import FaceMaskExtractor

PHOTO_COLUMNS: Final = ("picture", *COLUMNS[2:])
"""Columns of photographs' table; one without a face has one row with its name alone."""
_TOGETHER: Final = 8
_PIXELS: Final = 20_000_000
"""Most photographs, and pixels of them, that are labelled together."""
_TURNS: Final = {
    90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}  # fmt: skip


def record_path(job: Job) -> Path:
    """Return the file that says what a job's results were made from; hidden beside a photo's."""
    dot = "." if job.is_photo else ""
    return job.folder / f"{dot}{job.name}{RECORD_SUFFIX}"


def read_photo(job: Job, rotate: int) -> npt.NDArray[np.uint8]:
    """Read a photograph, upright by its EXIF orientation and then turned.

    Args:
        job: The photograph.
        rotate: Degrees by which to turn it clockwise: 0, 90, 180 or 270.

    Raises:
        InputError: It cannot be read.
    """
    path = Path(str(job.source))
    if is_unread_image(path):
        raise InputError(
            f"{path}: a picture of a format that is not read ({path.suffix.lower()}): convert it "
            "to JPEG or PNG."
        )
    image = read_image(path)
    return np.asarray(cv2.rotate(image, _TURNS[rotate])) if rotate else image


def labelled(
    jobs: Sequence[Job], extractor: "FaceMaskExtractor", rotate: int
) -> Iterator[tuple[Job, ExtractedFrame | InputError | None]]:
    """Yield each job, a photograph with its masks, or with the reason why there are none.

    Args:
        jobs: Videos and photographs; a video comes alone.
        extractor: Labels photographs, several at once.
        rotate: Degrees by which to turn each clockwise.
    """
    for is_photo, group in groupby(jobs, lambda job: job.is_photo):
        if not is_photo:
            yield from ((job, None) for job in group)
            continue
        while batch := list(islice(group, _TOGETHER)):
            yield from _batch(batch, extractor, rotate)


def _batch(
    jobs: Sequence[Job], extractor: "FaceMaskExtractor", rotate: int
) -> Iterator[tuple[Job, ExtractedFrame | InputError]]:
    waiting: list[tuple[Job, npt.NDArray[np.uint8]]] = []
    for place, job in enumerate(jobs):
        try:
            waiting.append((job, read_photo(job, rotate)))
        except InputError as error:
            yield job, error
        pixels = sum(image.shape[0] * image.shape[1] for _, image in waiting)
        if waiting and (pixels > _PIXELS or place + 1 == len(jobs)):
            frames = extractor.images([image for _, image in waiting])
            yield from zip((job for job, _ in waiting), frames, strict=True)
            waiting = []


def write_photo(job: Job, frame: ExtractedFrame, look: Look) -> None:
    """Write the results of one photograph but the table.

    Raises:
        InputError: One cannot be written.
    """
    labels = painted = frame.labels
    if any(kind in PAINTED for kind in job.paths):
        painted = look.paint(frame.image, labels, numbers_of(frame))
    for kind, path in job.paths.items():
        if kind == "overlay":
            write_image(path, painted)
        elif kind == "side-by-side":
            write_image(path, side_by_side(frame.image, painted))
        elif kind == "labels":
            write_atomic(path, label_png(labels))
        elif kind == "alpha":
            bgra = np.dstack([frame.image[..., ::-1], frame.alpha])
            write_atomic(path, cv2.imencode(".png", bgra)[1].tobytes())
        elif kind == "npz":
            file = io.BytesIO()
            named = {job.name: labels}
            np.savez_compressed(file, **named)  # type: ignore[arg-type]  # for any name but one
            write_atomic(path, file.getvalue())


def photo_rows(frame: ExtractedFrame) -> list[Mapping[str, object]]:
    """Return a photograph's rows of the table, but its name."""
    return [
        {name: value for name, value in row.items() if name not in COLUMNS[:2]}
        for row in table_rows(frame)
    ]


def write_photo_table(jobs: Sequence[Job], path: Path) -> None:
    """Write the table of all photographs that are done, by what their records say.

    Args:
        jobs: The photographs, those of other processes and of earlier runs among them.
        path: The CSV file.

    Raises:
        InputError: It cannot be written.
    """
    rows = [(read_facts(record_path(job)) or {}).get("rows", []) for job in jobs]
    write_atomic(path, photo_table(jobs, rows))


def photo_table(jobs: Sequence[Job], rows: Sequence[Sequence[Mapping[str, object]]]) -> bytes:
    """Return a table of photographs as a CSV file's content.

    Args:
        jobs: The photographs.
        rows: The rows of each, of `photo_rows`.
    """
    names = [Path(str(job.source)).name for job in jobs]
    if len(set(names)) < len(names):
        names = [str(job.source) for job in jobs]
    lines = [
        [{"picture": name, **row}.get(column, "") for column in PHOTO_COLUMNS]
        for name, of_photo in zip(names, rows, strict=True)
        for row in of_photo
    ]
    return to_csv([PHOTO_COLUMNS, *lines])
