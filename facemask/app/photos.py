"""Photographs' masks, written as `facemask extract` writes them."""

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from facemask.app.extraction import Choices, Extractions, OnFrame, Shown
from facemask.classes import FACE_CLASSES
from facemask.errors import InputError
from facemask.extraction.jobs import Job, make_jobs
from facemask.extraction.photos import labelled, photo_rows, photo_table, read_photo, write_photo
from facemask.extraction.results import numbers_of
from facemask.files import make_folder, write_atomic, write_image
from facemask.video.look import Look, Number
from facemask.video.photos import split_photos

_KINDS: Final = ("overlay", "labels", "alpha")


@dataclass(frozen=True)
class PhotoResult:
    """Files and numbers of several photographs.

    Attributes:
        jobs: Those that were labelled, with their files.
        rotate: Degrees by which each was turned clockwise.
        table: The table of all.
        overlays: Overlays so far, one for each photograph, by the classes that they show.
        numbers: Numbers of the faces in each.
        with_face: Number of photographs with a face.
        unsure: Number of those with a face whose mask is unsure; None where the model's confidence
            is not calibrated.
        problems: A sentence for each photograph that could not be read.
    """

    jobs: list[Job]
    rotate: int
    table: Path
    overlays: dict[Shown, list[Path]]
    numbers: list[list[Number]]
    with_face: int
    unsure: int | None
    problems: list[str]

    def files(self, shown: Shown) -> list[Path]:
        """Return all files to download, the table first."""
        overlays = zip(self.jobs, self.overlays[shown], strict=True)
        others = ((path, job.paths["labels"], job.paths["alpha"]) for job, path in overlays)
        return [self.table, *(path for paths in others for path in paths)]


def label_photos(
    extractions: Extractions,
    photos: Sequence[Path],
    choices: Choices,
    on_photo: OnFrame,
    shown: Shown = FACE_CLASSES,
) -> PhotoResult:
    """Label photographs, several together.

    Args:
        extractions: What has the model.
        photos: Pictures that have nothing to do with each other.
        choices: Model and options; each photograph is labelled by itself, whatever `temporal`.
        on_photo: Called after each; an exception that it raises ends the work and leaves no file.
        shown: Classes that the overlays show.

    Raises:
        InputError: One is no picture, none can be read, or a choice cannot be had here.
    """
    found = split_photos([str(photo) for photo in photos])
    if found.videos:
        raise InputError(f"{found.videos[0]}: is no photo: give a video under Video.")
    extractor = extractions.extractor(choices)
    folder = extractions.new_folder()
    done: list[Job] = []
    numbers: list[list[Number]] = []
    rows, problems, with_face, unsure = [], [], 0, 0
    look = Look(shown=shown)
    try:
        jobs = make_jobs([], folder, _KINDS, found.photos)
        for count, (job, frame) in enumerate(labelled(jobs, extractor, choices.rotate), start=1):
            if isinstance(frame, InputError):
                problems.append(frame)
            elif frame is not None:
                write_photo(job, frame, look)
                done.append(job)
                numbers.append(numbers_of(frame))
                rows.append(photo_rows(frame))
                with_face += bool(frame.faces)
                unsure += frame.is_unsure
            on_photo(count, len(jobs))
        if problems and not done:
            raise problems[0]
        table = folder / "photos.csv"
        write_atomic(table, photo_table(done, rows))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    overlays = [job.paths["overlay"] for job in done]
    calibrated = extractor.cascade.settings.is_calibrated
    return PhotoResult(
        done, choices.rotate, table, {shown: overlays}, numbers, with_face,
        unsure if calibrated else None, [str(problem) for problem in problems],
    )  # fmt: skip


def redraw(result: PhotoResult, shown: Shown) -> list[Path]:
    """Return the overlays that show these classes, drawn from the saved labels unless there.

    Raises:
        InputError: A photograph cannot be read any more, or an overlay cannot be written.
    """
    if shown not in result.overlays:
        look, paths = Look(shown=shown), []
        for job, numbers in zip(result.jobs, result.numbers, strict=True):
            path = job.folder / ("-".join(shown) or "none") / job.paths["overlay"].name
            with Image.open(job.paths["labels"]) as file:
                labels = np.asarray(file)
            make_folder(path.parent)
            write_image(path, look.paint(read_photo(job, result.rotate), labels, numbers))
            paths.append(path)
        result.overlays[shown] = paths
    return result.overlays[shown]


def zipped(result: PhotoResult, shown: Shown) -> Path:
    """Return a ZIP of all files to download."""
    path = result.overlays[shown][0].parent / "photos.zip"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            for file in result.files(shown):
                archive.write(file, file.name)
    return path
