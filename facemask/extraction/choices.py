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
SHEET: Final = "sheet"
"""The contact sheet, drawn from the overlay."""
DRAWN: Final = (PLOT, SHEET)
PAINTED: Final = ("overlay", "side-by-side")
_OF_PHOTOS: Final = {"labels": ".labels.png", "npz": ".labels.npz", "alpha": ".alpha.png"}


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
    """Return the file of each output of a video, of the plot and of the contact sheet."""
    suffixes = {**SUFFIXES, PLOT: ".signals.png", SHEET: ".sheet.jpg"}
    return {kind: folder / f"{name}{suffixes[kind]}" for kind in kinds}


def photo_paths(folder: Path, name: str, kinds: Iterable[str], photo: Path) -> dict[str, Path]:
    """Return the file of each output of one photo; all photos of a command share the table.

    Painted pictures of a JPEG are JPEGs, others are PNGs.

    Args:
        folder: Folder of all results.
        name: Name of the photo's results.
        kinds: Outputs asked for.
        photo: The photo.
    """
    suffix = ".jpg" if photo.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif") else ".png"
    suffixes = _OF_PHOTOS | {kind: f".{kind}{suffix}" for kind in PAINTED}
    wanted = ["labels" if kind == "png" else kind for kind in kinds]
    return {kind: folder / f"{name}{suffixes[kind]}" for kind in wanted if kind in suffixes}
