"""Ends of a command's videos and photographs, as they come, and what is made of all of them."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.extraction.choices import SHEET
from facemask.extraction.jobs import Job, Outcome, noun_of, say_unsure, what_is_kept
from facemask.extraction.photos import write_photo_table
from facemask.extraction.reports import Terminal
from facemask.extraction.sheet import sheet_of_photos
from facemask.naming import counted

_TRY: Final = (
    "--smallest_face 0.02 for small faces, --min_score 0.3 for faint ones, --rotate for pictures "
    "that lie on their side, --cropped for pictures that are face crops"
)


class Told:
    """Tells how videos and photographs end, and writes what all photographs share.

    Args:
        terminal: Where to tell it.
        out: Folder of the results.
        photos: All photographs of the command, those that other processes do among them.
        kinds: Outputs asked for.
        is_given: Whether it was said where faces are, so that none was searched for.
    """

    def __init__(
        self, terminal: Terminal, out: Path, photos: Sequence[Job], kinds: Sequence[str],
        is_given: bool,
    ) -> None:  # fmt: skip
        self._terminal, self._out, self._photos = terminal, out, photos
        self._kinds, self._is_given = kinds, is_given

    def tell(
        self, outcomes: Generator[Outcome, None, None], jobs: Sequence[Job], alone: bool
    ) -> None:
        """Tell how they end as they do.

        Args:
            outcomes: Ends of the jobs.
            jobs: Videos and photographs that are done here.
            alone: Whether the command was given one, whose error is then the command's.

        Raises:
            InputError: Some failed.
            KeyboardInterrupt: Says what is kept.
        """
        done: list[Outcome] = []
        failed: list[InputError] = []
        terminal, noun = self._terminal, noun_of(jobs)
        terminal.expect(len(jobs), noun)
        try:
            for outcome in outcomes:
                terminal.end(outcome.job.name)
                if outcome.error is None:
                    done.append(outcome)
                    continue
                if outcome.of_all or alone:
                    raise outcome.error
                terminal.say(outcome.job.name, str(outcome.error), "red")
                failed.append(outcome.error)
        except KeyboardInterrupt as interrupt:
            here = [outcome for outcome in done if not outcome.left_out]
            raise KeyboardInterrupt(what_is_kept(len(here), jobs, str(interrupt))) from None
        if left_out := sum(outcome.left_out for outcome in done):
            terminal.line(
                f"{left_out} of {len(jobs)} {noun} were left out: done before, or by others."
            )
        self._finish_photos(done)
        frames = sum(outcome.frames for outcome in done)
        if frames and not self._is_given and not any(outcome.faces for outcome in done):
            terminal.line(f"No face was found in any of them. Try {_TRY}.")
        if failed:
            raise InputError(f"{len(failed)} of {len(jobs)} {noun} failed, the first: {failed[0]}")

    def _finish_photos(self, done: Sequence[Outcome]) -> None:
        """Write the photographs' table and sheet, and say how many have a face."""
        if not self._photos:
            return
        files = []
        name = self._out / _name_of(self._photos)
        if "csv" in self._kinds:
            files.append(name.with_name(f"{name.name}.csv"))
            write_photo_table(self._photos, files[0])
        if SHEET in self._kinds:
            file = name.with_name(f"{name.name}.sheet.jpg")
            overlays = [photo.paths["overlay"] for photo in self._photos]
            if sheet_of_photos(overlays, [photo.name for photo in self._photos], file):
                files.append(file)
        here = [outcome for outcome in done if outcome.job.is_photo and not outcome.left_out]
        if here:
            kinds = ", ".join(dict.fromkeys(kind for one in here for kind in one.job.paths))
            shared = " and ".join(map(str, files))
            parts = [f"{kinds} of each in {self._out}"] * bool(kinds) + [shared] * bool(shared)
            counts = [one.unsure for one in here if one.unsure is not None]
            faces, unsure = sum(one.faces for one in here), sum(counts) if counts else None
            self._terminal.line(
                f"{counted(len(here), 'photo')}, {faces} with a face"
                f"{say_unsure(unsure)}: {'; '.join(parts)}"
            )


def _name_of(photos: Sequence[Job]) -> str:
    """Return the name of what all photographs share: of the one, of their folder, or "photos"."""
    if len(photos) == 1:
        return photos[0].name
    folders = {Path(str(photo.source)).resolve().parent for photo in photos}
    return folders.pop().name or "photos" if len(folders) == 1 else "photos"
