"""Choices that an extraction offers by name, known without loading networks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from facemask.errors import InputError

Temporal = Literal["clip", "window", "stream", "smooth", "off"]
"""Ways in which a frame's mask depends on other frames; see `docs/extract.md`."""
Precision = Literal["auto", "float32", "bf16", "int8"]
"""Numbers that networks compute with; "auto" is bf16 on devices that are fast at it."""
Backend = Literal["auto", "torch", "onnx", "openvino"]
"""Runtimes that compute the networks; see `docs/export.md`."""

SUFFIXES: Final = {
    "overlay": ".overlay.mp4",
    "side-by-side": ".side-by-side.mp4",
    "labels": ".labels.mkv",
    "png": ".labels",
    "npz": ".labels.npz",
    "alpha": ".alpha.mp4",
    "csv": ".csv",
}
"""End of each output's name, after the video's."""
PLOT: Final = "plot"
"""The picture of the signals, drawn from the table."""


def check_kinds(save: str) -> list[str]:
    """Return the names of the outputs that are asked for, each once.

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


def output_paths(folder: Path, name: str, kinds: Iterable[str]) -> dict[str, Path]:
    """Return the file of each output of a video, and of the plot."""
    suffixes = {**SUFFIXES, PLOT: ".signals.png"}
    return {kind: folder / f"{name}{suffixes[kind]}" for kind in kinds}
