"""A video or photograph of a command is done: claimed, resumed, written and recorded."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from facemask.ahead import ahead
from facemask.errors import InputError
from facemask.extraction.choices import PLOT
from facemask.extraction.extractor import FaceMaskExtractor
from facemask.extraction.following import frames_ahead
from facemask.extraction.jobs import Job, Outcome, say_unsure
from facemask.extraction.outputs import open_outputs
from facemask.extraction.photos import (
    labelled,
    photo_rows,
    read_photo,
    record_path,
    write_photo,
)
from facemask.extraction.record import Record, facts_of
from facemask.extraction.reports import Reports
from facemask.extraction.results import ExtractedFrame
from facemask.locking import claimed
from facemask.naming import counted
from facemask.tracking.boxes_file import BoxesFile
from facemask.video.look import Look
from facemask.video.reading import open_source
from facemask.video.sources import first_of_several


@dataclass(frozen=True)
class Run:
    """All that the videos of one command share: the networks, and its options.

    Attributes:
        extractor: Labels frames.
        model: The model's name as given, and the SHA-256 of its file.
        options: All options that results depend on, by name.
        fps: Frames a second of what stores no times; None for the default.
        rotate: Degrees by which to turn each picture clockwise.
        look: Look of overlays.
        resume: Whether to use what an earlier command has left.
    """

    extractor: FaceMaskExtractor
    model: Mapping[str, str]
    options: Mapping[str, object]
    fps: Fraction | None
    rotate: int
    look: Look
    resume: bool

    def is_done(self, job: Job) -> bool:
        """Tell if a resumed video's results are there, made from the same with the same."""
        try:
            return self.resume and self._record(job).mismatch() is None
        except InputError:  # it is told when it is that video's turn
            return False

    def attempt_all(self, jobs: Sequence[Job], reports: Reports) -> Generator[Outcome, None, None]:
        """Do one after the other, photographs several together, and yield how each ended."""
        for job, frame in labelled(jobs, self.extractor, self.rotate):
            yield self.attempt(job, reports, frame)

    def attempt(
        self, job: Job, reports: Reports, frame: ExtractedFrame | InputError | None = None
    ) -> Outcome:
        """Do a video or photograph as `do`, and return how that ended."""
        try:
            return self.do(job, reports, frame)
        except InputError as error:
            return Outcome(job, error)

    def do(
        self, job: Job, reports: Reports, frame: ExtractedFrame | InputError | None = None
    ) -> Outcome:
        """Do a video or photograph, unless another process does it or has done it meanwhile.

        Args:
            job: What is to be done.
            reports: Place to tell lines about it.
            frame: What a photograph's masks are, or why there are none; None if not labelled yet.

        Raises:
            InputError: It cannot be read, has no frames, or an output cannot be written; or
                another process is at work on it, and it must be done anew.
        """
        if isinstance(frame, InputError):
            raise frame
        with claimed(job.folder / f".{job.name}.lock") as is_mine:
            if not is_mine:
                other = f"another process is writing its results in {job.folder}"
                if not self.resume:
                    raise InputError(
                        f"{job.origin}: {other}: wait for it, or give another folder with --out."
                    )
                reports.say(job.name, f"left out, {other}.")
                return Outcome(job, left_out=True)
            record = self._record(job)
            reason = record.mismatch()
            if self.resume and reason is None:
                return Outcome(job, left_out=True)
            if self.resume and reason:
                reports.say(job.name, f"done anew, {reason}.")
            elif before := record.other_source():
                replaced = f"the results there, of {before}, are replaced by those of {job.origin}."
                reports.say(job.name, replaced)
            if job.is_photo:
                return self._photo(job, record, reports, frame)
            return self._extract(job, record, reports)

    def _photo(
        self, job: Job, record: Record, reports: Reports, frame: ExtractedFrame | None
    ) -> Outcome:
        if frame is None:
            frame = self.extractor.images([read_photo(job, self.rotate)])[0]
        record.begin()
        stale = record.invalidate()
        write_photo(job, frame, self.look)
        record.write(rows=photo_rows(frame))
        _tell_stale(stale, job, reports)
        if told := first_of_several(Path(str(job.source))):
            reports.say(job.name, told, "yellow")
        unsure = int(frame.is_unsure) if self._is_calibrated else None
        return Outcome(job, None, 1, int(bool(frame.faces)), unsure)

    @property
    def _is_calibrated(self) -> bool:
        return self.extractor.cascade.settings.is_calibrated

    def _record(self, job: Job) -> Record:
        facts = facts_of(job.source, self.model, self.options)
        return Record(record_path(job), facts, job.paths)

    def _extract(self, job: Job, record: Record, reports: Reports) -> Outcome:
        with open_source(job.source, self.fps, self.rotate) as source:
            opened = open_outputs(job.paths, source, self.look, record.begin(), self.resume)
            before, count, faces, unsure = opened.done, 0, 0, 0
            start = time.monotonic()
            if opened.unused:
                reports.say(job.name, f"begun anew, of what was left {opened.unused}.")
            with opened as outputs:
                labelled = self.extractor.video(source, before, outputs.journal)
                try:
                    # a thread labels the next frames while this one writes
                    with closing(ahead(labelled, frames_ahead(source))) as frames:
                        for frame in frames:
                            outputs.write(frame)
                            count += 1
                            faces += bool(frame.faces)
                            unsure += frame.is_unsure
                            speed = count / (time.monotonic() - start)
                            reports.advance(job.name, before + count, source.frame_count, speed)
                            del frame  # with it goes what the networks said of its chunk
                except KeyboardInterrupt:
                    if not isinstance(job.source, int):  # it is the usual end of a camera
                        kept = f"the first {outputs.kept} frames of {job.source} are kept"
                        raise KeyboardInterrupt(kept if outputs.kept else "") from None
                if before + count == 0:
                    raise InputError(f"{job.source}: holds no frame that can be read.")
                if isinstance(self.extractor.detector, BoxesFile):
                    self.extractor.detector.check_frames(before + count, source.hidden)
                stale = record.invalidate()
            empty = [kind for kind, path in job.paths.items() if kind == PLOT and not path.exists()]
            record.write(empty)
            _tell_stale(stale, job, reports)
            earlier = f"{before} frames before and " if before else ""
            reports.say(
                job.name,
                f"{earlier}{counted(count, 'frame')}, {100 * faces / max(count, 1):.0f} % with a "
                f"face{say_unsure(unsure if self._is_calibrated else None)}, "
                f"{count / (time.monotonic() - start):.1f} frames/s: "
                f"{', '.join(p.name for k, p in job.paths.items() if k not in empty)} in "
                f"{job.folder}, "
                f"from {job.origin}",
            )
            if source.problem:
                reports.say(job.name, source.problem, "yellow")
            return Outcome(job, None, before + count, faces, unsure)


def _tell_stale(files: Sequence[str], job: Job, reports: Reports) -> None:
    if files:
        stay = f"still of an earlier run, not of this one: {', '.join(files)}."
        reports.say(job.name, stay, "yellow")
