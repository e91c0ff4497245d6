"""Data, and how much of them, that a training adds to the descent of its weights, and scores."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pytorch_lightning import Trainer

from facemask.data.datamodule import FaceMaskDataModule
from facemask.data.lists import read_subjects
from facemask.data.vw300_mask import PSEUDO, Frame
from facemask.errors import InputError
from facemask.naming import counted
from facemask.origin import Origin
from facemask.regions import Region
from facemask.training.start_score import StartScore

DLIB_TERMS: Final = (
    "no commercial use: labels by dlib's landmark predictor, which was trained on 300-W."
)


def data_origins(data: object, trainer: Trainer, region: Region) -> list[Origin]:
    """Return the data sets of a training as it stands now; empty where nothing is trained.

    Args:
        data: The trainer's data module.
        trainer: The trainer.
        region: What the network looks at.
    """
    if not isinstance(data, FaceMaskDataModule) or "train" not in data.datasets:
        return []
    frames = {side: _frames(data, side) for side in ("train", "val")}
    roots = [Path(data.root or ""), *map(Path, data.more_training)]
    origins = []
    for root in roots:
        here = {side: [f for f in of if root in f.image.parents] for side, of in frames.items()}
        progress = _progress(trainer) if root is roots[0] else ""
        origins.append(_origin(root, here, region, progress))
    return origins


def _frames(data: FaceMaskDataModule, side: str) -> list[Frame]:
    """Return the frames of a side's clips, each once."""
    clips = data.datasets[side].clips if side in data.datasets else []
    return list({frame.image: frame for clip in clips for frame in clip}.values())


def _origin(root: Path, sides: dict[str, list[Frame]], region: Region, progress: str) -> Origin:
    pseudo = (root / PSEUDO).is_file()
    labels = "pseudo-landmarks of dlib" if pseudo else "annotations of the data set"
    verbs = {"train": "trained on", "val": "chosen on"}
    counts = ", ".join(f"{verbs[side]} {_count(root, of)}" for side, of in sides.items() if of)
    return Origin(
        f"data set {root.resolve().name}",
        licence=DLIB_TERMS if pseudo else None,
        licence_id="research-and-evaluation-only" if pseudo else None,
        note=f"{region}: {counts}, labels: {labels}{progress}.",
    )


def _count(root: Path, frames: Sequence[Frame]) -> str:
    videos = sorted({frame.video for frame in frames})
    try:
        people = len(set(read_subjects(root / "subjects.csv", videos).values()))
    except InputError:  # not every data set has it
        people = len(videos)
    return f"{counted(len(frames), 'frame')} of {counted(people, 'subject')}"


def _progress(trainer: Trainer) -> str:
    """Say how long was trained, when, and what it brought on the validation side."""
    said = f"; {counted(trainer.global_step, 'step')}, epoch {trainer.current_epoch + 1}"
    said += f", {time.strftime('%Y-%m-%d')}"
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    before = next((c.before for c in callbacks if isinstance(c, StartScore)), None)
    after = trainer.callback_metrics.get("val/miou")
    if after is not None:
        start = "" if before is None else f"{100 * before:.1f} % before, "
        said += f"; mIoU on the validation side {start}{100 * float(after):.1f} %"
        said += "" if before is None else " after"
    return said
