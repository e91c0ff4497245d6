"""Results of one video, written at once, or in parts that a killed job keeps."""

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from facemask.errors import InputError
from facemask.extraction.choices import DRAWN, PAINTED, PLOT, SHEET, output_paths
from facemask.extraction.journal import Journal
from facemask.extraction.record import Facts, difference, read_facts
from facemask.extraction.results import ExtractedFrame, numbers_of
from facemask.extraction.sheet import sheet_of_video
from facemask.extraction.signals import COLUMNS, plot_signals, table_rows
from facemask.files import make_folder, remove, temporary_name, write_atomic
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.look import Look
from facemask.video.muxing import join_videos
from facemask.video.painting import side_by_side
from facemask.video.writing import (
    ArrayWriter,
    FrameWriter,
    GreyVideoWriter,
    LabelFolderWriter,
    LabelVideoWriter,
    TableWriter,
    VideoWriter,
)

PART_FRAMES: Final = 2000
"""Frames in a part: a killed job loses at most so many."""


class Outputs:
    """All outputs of one video; a context manager that completes or discards them together.

    Args:
        paths: The file of each output. Plot and sheet are drawn last, from table and overlay.
        source: The opened video.
        look: Look of overlays.
        audio: Whether overlays keep the sound.

    Attributes:
        done: Frames that are written already; give only those after them.
        kept: Frames that stay if the job ends now.
        journal: Knowledge of the faces in frames that are done; None where nothing is kept.
        unused: Reason why parts of an earlier job are not used, as of `difference`.

    Raises:
        InputError: One cannot be written.
    """

    done: int = 0
    kept: int = 0
    journal: Journal | None = None
    unused: str | None = None

    def __init__(
        self, paths: Mapping[str, Path], source: FrameSource, look: Look, audio: bool = True
    ) -> None:
        self._paths = paths
        self._look = look
        self._white = source.white
        self._writers: dict[str, FrameWriter[Any]] = {}
        with ExitStack() as stack:  # closes the ones before where one fails
            for kind, path in paths.items():
                if kind not in DRAWN:
                    self._writers[kind] = stack.enter_context(_writer(kind, path, source, audio))
            self._stack = stack.pop_all()

    def write(self, frame: ExtractedFrame) -> None:
        """Write one frame, in order, to all of them."""
        at = VideoFrame(frame.index, frame.time, frame.image, frame.picture, frame.label)
        labels = painted = frame.labels
        if any(kind in PAINTED for kind in self._writers):
            painted = self._look.paint(frame.image, labels, numbers_of(frame), white=self._white)
        for kind, writer in self._writers.items():
            if kind == "overlay":
                writer.write(at, painted)
            elif kind == "side-by-side":
                writer.write(at, side_by_side(frame.image, painted))
            elif kind == "alpha":
                writer.write(at, frame.alpha)
            elif kind == "csv":
                writer.write(at, table_rows(frame))
            else:
                writer.write(at, labels)

    def __enter__(self) -> "Outputs":
        """Return the outputs themselves."""
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        """Complete all, or discard all where an exception leaves the block."""
        self._stack.__exit__(*error)
        if error[0] is None:
            _draw(self._paths)


def _draw(paths: Mapping[str, Path]) -> None:
    """Draw what follows from other outputs: the plot, unless there was no face, and the sheet."""
    if PLOT in paths and not plot_signals(paths["csv"], paths[PLOT]):
        remove(paths[PLOT])  # that of an earlier run
    if SHEET in paths:
        sheet_of_video(paths["overlay"], paths[SHEET])


def _writer(kind: str, path: Path, source: FrameSource, audio: bool) -> FrameWriter[Any]:
    if kind in PAINTED:
        return VideoWriter(path, source, audio=audio)
    if kind == "labels":
        return LabelVideoWriter(path, source)
    if kind == "alpha":
        return GreyVideoWriter(path, source)
    if kind == "npz":
        return ArrayWriter(path)
    if kind == "png":
        return LabelFolderWriter(path)
    named = ("picture",) if source.has_pictures else ()
    return TableWriter(path, (*COLUMNS[:2], *named, *COLUMNS[2:]))


def open_outputs(
    paths: Mapping[str, Path], source: FrameSource, look: Look, facts: Facts, resume: bool
) -> Outputs:
    """Return the outputs of a video, of a long one in parts; see `PartedOutputs`."""
    if source.path is None or source.frame_count is None or source.frame_count <= PART_FRAMES:
        return Outputs(paths, source, look)
    return PartedOutputs(paths, source, look, facts, resume)


class PartedOutputs(Outputs):
    """Outputs of a long video, of which complete parts stay when the job is killed.

    Args:
        paths: The file of each output in the end; parts lie in a hidden folder beside them.
        source: The opened video.
        look: Look of overlays.
        facts: All that the result depends on: parts of a job with others are not used.
        resume: Whether to use what an earlier job has left.

    Raises:
        InputError: An output cannot be written.
    """

    journal: Journal

    def __init__(
        self,
        paths: Mapping[str, Path],
        source: FrameSource,
        look: Look,
        facts: Facts,
        resume: bool,
    ) -> None:
        self._paths, self._source, self._look = paths, source, look
        self._parted = {kind: path for kind, path in paths.items() if kind not in DRAWN}
        some = next(iter(paths.values()))
        self._folder = some.with_name(f".{source.name}.{some.name}.parts")
        mark = self._folder / "made_from.json"
        old = read_facts(mark)
        names = {kind: path.name for kind, path in self._parted.items()}
        self.unused = None if old is None or not resume else difference(old, facts, names)
        if old is None or not resume or self.unused:
            shutil.rmtree(self._folder, ignore_errors=True)
        make_folder(self._folder)
        write_atomic(mark, json.dumps(facts).encode())
        self._part: Outputs | None = None
        self.journal = Journal()
        while self._file("done").is_file() and self.journal.load(self._file("faces")):
            self.kept += PART_FRAMES
        self.done = self.kept

    def _file(self, suffix: str) -> Path:
        """Return a file about the part that begins with the first frame that is not kept."""
        return self._folder / f"{self.kept // PART_FRAMES:05d}.{suffix}"

    def _part_paths(self, part: int) -> dict[str, Path]:
        return output_paths(self._folder, f"{part:05d}", self._parted)

    def write(self, frame: ExtractedFrame) -> None:
        """Write one frame, in order, to all of them."""
        if frame.index >= self.kept + PART_FRAMES:
            self._finish_part()
        if self._part is None:
            paths = self._part_paths(self.kept // PART_FRAMES)
            self._part = Outputs(paths, self._source, self._look, audio=False)
        self._part.write(frame)

    def _finish_part(self) -> None:
        assert self._part is not None
        part, self._part = self._part, None
        part.__exit__(None, None, None)
        end = self.kept + PART_FRAMES
        self.journal.save(self._file("faces"), self.kept, end)
        write_atomic(self._file("done"), b"")
        self.kept = end

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        """Join all parts, or keep the complete ones where an exception leaves the block."""
        if error[0] is not None:
            if self._part is not None:
                self._part.__exit__(*error)
            if not self.kept:
                remove(self._folder)
            return
        if self._part is not None:
            self._finish_part()
        for kind, path in self._parted.items():
            try:
                self._join(kind, path)
            except OSError as reason:  # also PyAV's
                raise InputError(f"{path}: cannot write: {reason.strerror}.") from reason
        shutil.rmtree(self._folder, ignore_errors=True)
        _draw(self._paths)

    def _join(self, kind: str, path: Path) -> None:
        parts = [self._part_paths(part)[kind] for part in range(self.kept // PART_FRAMES)]
        if kind == "png":
            _join_folders(parts, path)
        elif kind in ("npz", "csv"):
            temporary = temporary_name(path)
            try:
                (_join_arrays if kind == "npz" else _join_tables)(parts, temporary)
                temporary.replace(path)
            finally:
                remove(temporary)
        else:
            join_videos(parts, path, self._source, audio=kind in PAINTED)


def _join_folders(parts: Sequence[Path], path: Path) -> None:
    """Move all pictures into the first part, then that to its place; may be stopped anywhere."""
    first, *others = parts
    if not first.exists():  # a killed job had come so far
        return
    for part in others:
        for file in part.iterdir():
            file.rename(first / file.name)
    remove(path)
    first.rename(path)


def _join_arrays(parts: Sequence[Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as joined:
        for part in parts:
            with zipfile.ZipFile(part) as file:
                for name in file.namelist():
                    joined.writestr(name, file.read(name))


def _join_tables(parts: Sequence[Path], target: Path) -> None:
    with target.open("wb") as joined:
        for number, part in enumerate(parts):
            with part.open("rb") as file:
                header = file.readline()
                if number == 0:
                    joined.write(header)
                shutil.copyfileobj(file, joined)
