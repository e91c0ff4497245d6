"""Outputs of a long video, written in parts that a killed job keeps."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from facemask.errors import InputError
from facemask.extraction.journal import Journal
from facemask.extraction.outputs import Outputs, output_paths
from facemask.extraction.record import Facts, difference, read_facts
from facemask.extraction.results import ExtractedFrame
from facemask.files import make_folder, remove, temporary_name, write_atomic
from facemask.video.frames import FrameSource
from facemask.video.muxing import join_videos

PART_FRAMES: Final = 2000
"""Frames in a part: a killed job loses at most so many."""


class PartedOutputs:
    """As `Outputs`, but complete parts stay when the job is killed.

    Args:
        paths: Where each kind goes in the end; parts lie in a hidden folder beside them.
        source: The opened video.
        opacity: Of the colours in overlays, 0 to 1.
        facts: All that the result depends on: parts of a job with others are not used.
        resume: Whether to use what an earlier job has left.

    Attributes:
        done: Frames that are written already; give only those after them.
        journal: What is known of their faces; the extraction goes on from there and adds to it.
        unused: Why parts that an earlier job has left are not used, as of `difference`.

    Raises:
        InputError: An output cannot be written.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        source: FrameSource,
        opacity: float,
        facts: Facts,
        resume: bool,
    ) -> None:
        """Look for earlier parts."""
        self._paths, self._source, self._opacity = dict(paths), source, opacity
        some = next(iter(paths.values()))
        self._folder = some.with_name(f".{source.name}.{some.name}.parts")
        mark = self._folder / "made_from.json"
        old = read_facts(mark)
        names = {kind: path.name for kind, path in paths.items()}
        self.unused = None if old is None or not resume else difference(old, facts, names)
        if old is None or not resume or self.unused:
            shutil.rmtree(self._folder, ignore_errors=True)
        make_folder(self._folder)
        write_atomic(mark, json.dumps(facts).encode())
        self._parts = 0
        self.journal = Journal()
        while self._marker(self._parts).is_file() and self.journal.load(self._state(self._parts)):
            self._parts += 1
        self.done = self._parts * PART_FRAMES
        self._current: Outputs | None = None

    @property
    def kept(self) -> int:
        """Frames that stay if the job ends now."""
        return self._parts * PART_FRAMES

    def _marker(self, part: int) -> Path:
        return self._folder / f"{part:05d}.done"

    def _state(self, part: int) -> Path:
        return self._folder / f"{part:05d}.faces"

    def _part_paths(self, part: int) -> dict[str, Path]:
        return output_paths(self._folder, f"{part:05d}", list(self._paths))

    def write(self, frame: ExtractedFrame) -> None:
        """Write one frame, in order, to all of them."""
        if frame.index >= (self._parts + 1) * PART_FRAMES:
            self._finish_part()
        if self._current is None:
            self._current = Outputs(
                self._part_paths(self._parts), self._source, self._opacity, audio=False
            )
        self._current.write(frame)

    def _finish_part(self) -> None:
        assert self._current is not None
        current, self._current = self._current, None
        current.__exit__(None, None, None)
        begun = self._parts * PART_FRAMES
        self.journal.save(self._state(self._parts), begun, begun + PART_FRAMES)
        write_atomic(self._marker(self._parts), b"")
        self._parts += 1

    def __enter__(self) -> "PartedOutputs":
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Join all parts, or keep the complete ones where an exception leaves the block."""
        if error is not None:
            if self._current is not None:
                self._current.__exit__(kind, error, traceback)
            return
        if self._current is not None:
            self._finish_part()
        for output, path in self._paths.items():
            try:
                self._join(output, path)
            except OSError as reason:  # also PyAV's
                raise InputError(f"{path}: cannot write: {reason.strerror}.") from reason
        shutil.rmtree(self._folder, ignore_errors=True)

    def _join(self, kind: str, path: Path) -> None:
        parts = [self._part_paths(part)[kind] for part in range(self._parts)]
        if kind == "png":
            _join_folders(parts, path)
            return
        if kind not in ("npz", "csv"):
            sound = kind in ("overlay", "side-by-side")
            join_videos(parts, path, self._source, audio=sound)
            return
        temporary = temporary_name(path)
        try:
            (_join_arrays if kind == "npz" else _join_tables)(parts, temporary)
            temporary.replace(path)
        finally:
            remove(temporary)


def _join_folders(parts: list[Path], path: Path) -> None:
    """Move all pictures into the first part, then that to its place; may be stopped anywhere."""
    first, *others = parts
    if not first.exists():  # a killed job had come so far
        return
    for part in others:
        for file in part.iterdir():
            file.rename(first / file.name)
    remove(path)
    first.rename(path)


def _join_arrays(parts: list[Path], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as joined:
        for part in parts:
            with zipfile.ZipFile(part) as file:
                for name in file.namelist():
                    joined.writestr(name, file.read(name))


def _join_tables(parts: list[Path], target: Path) -> None:
    with target.open("wb") as joined:
        for number, part in enumerate(parts):
            with part.open("rb") as file:
                header = file.readline()
                if number == 0:
                    joined.write(header)
                shutil.copyfileobj(file, joined)
