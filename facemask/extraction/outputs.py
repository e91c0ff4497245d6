"""What `facemask extract` writes of a video."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from facemask.errors import InputError
from facemask.extraction.results import ExtractedFrame
from facemask.extraction.signals import SIGNALS, face_signals
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.painting import overlay, side_by_side
from facemask.video.writing import (
    ArrayWriter,
    FrameWriter,
    GreyVideoWriter,
    LabelFolderWriter,
    LabelVideoWriter,
    TableWriter,
    VideoWriter,
)

SUFFIXES: Final = {
    "overlay": ".overlay.mp4",
    "side-by-side": ".side-by-side.mp4",
    "labels": ".labels.mkv",
    "png": ".labels",
    "npz": ".labels.npz",
    "alpha": ".alpha.mp4",
    "csv": ".csv",
}
"""What each output's name ends in, after the video's."""

COLUMNS: Final = (
    "frame", "time", "face", "left", "top", "right", "bottom", "score", "confidence", *SIGNALS,
)  # fmt: skip
"""Columns of the table; a frame without a face has one row with frame and time alone.

Of pictures, `picture` comes after them: the file's name.
"""


def check_kinds(save: str) -> list[str]:
    """The outputs asked for.

    Args:
        save: Names from `SUFFIXES`, separated by commas.

    Raises:
        InputError: One is unknown, or there is none.
    """
    kinds = list(dict.fromkeys(name.strip() for name in save.split(",") if name.strip()))
    wrong = [name for name in kinds if name not in SUFFIXES]
    if wrong or not kinds:
        what = f"{wrong[0]!r} is no output" if wrong else "it is empty"
        raise InputError(f"save is {save!r}, but {what}: give some of {','.join(SUFFIXES)}.")
    return kinds


def output_paths(folder: Path, name: str, kinds: Sequence[str]) -> dict[str, Path]:
    """Where each output of a video goes."""
    return {kind: folder / f"{name}{SUFFIXES[kind]}" for kind in kinds}


class Outputs:
    """All outputs of one video; a context manager that completes or discards them together.

    Args:
        paths: Where each kind goes.
        source: The opened video.
        opacity: Of the colours in overlays, 0 to 1.
        audio: Whether overlays keep the sound.

    Raises:
        InputError: One cannot be written.
    """

    def __init__(
        self, paths: Mapping[str, Path], source: FrameSource, opacity: float, audio: bool = True
    ) -> None:
        """Open them."""
        self._opacity = opacity
        self._white = 255 if source.colors is None else source.colors.white
        self._writers: dict[str, FrameWriter[Any]] = {}
        self._stack = ExitStack()
        with ExitStack() as stack:  # closes the ones before where one fails
            for kind, path in paths.items():
                self._writers[kind] = stack.enter_context(_writer(kind, path, source, audio))
            self._stack = stack.pop_all()

    def write(self, frame: ExtractedFrame) -> None:
        """Write one frame to all of them."""
        at = VideoFrame(frame.index, frame.time, frame.image, frame.picture, frame.label)
        labels = frame.labels
        painted = None
        if {"overlay", "side-by-side"} & self._writers.keys():
            painted = overlay(frame.image, labels, self._opacity, white=self._white)
        for kind, writer in self._writers.items():
            if kind == "overlay":
                writer.write(at, painted)
            elif kind == "side-by-side":
                assert painted is not None
                writer.write(at, side_by_side(frame.image, painted))
            elif kind == "alpha":
                writer.write(at, frame.alpha)
            elif kind == "csv":
                writer.write(at, table_rows(frame))
            else:
                writer.write(at, labels)

    def __enter__(self) -> "Outputs":
        """Itself."""
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        """Complete all, or discard all where an exception leaves the block."""
        self._stack.__exit__(*error)


def _writer(kind: str, path: Path, source: FrameSource, audio: bool) -> FrameWriter[Any]:
    if kind in ("overlay", "side-by-side"):
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


def table_rows(frame: ExtractedFrame) -> list[dict[str, object]]:
    """The rows of one frame, one a face, or one without a face."""
    start: dict[str, object] = {"frame": frame.index, "time": f"{frame.time:.6f}"}
    if frame.picture is not None:
        start["picture"] = frame.picture
    rows = []
    for face in frame.faces:
        row = start | {"face": face.track_id} | face.box._asdict()
        row |= {"score": f"{face.score:.3f}", "confidence": f"{face.confidence:.4f}"}
        rows.append(row | {name: _number(value) for name, value in face_signals(face).items()})
    return rows or [start]


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value == np.rint(value) else f"{value:.4f}"
