"""`facemask calibrate`: offsets of a network's classes, fitted on the validation side."""

import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from pytorch_lightning import Trainer
from rich.console import Console
from rich.table import Table

from facemask.checkpoints import read_checkpoint
from facemask.configuration import read_configuration
from facemask.errors import InputError, cause_of
from facemask.files import write_atomic
from facemask.metrics.operating_point import OperatingPoint, ious_of, miou_of, operating_point
from facemask.models.fcn import EncoderNetwork
from facemask.training.cli import TrainerCLI
from facemask.training.mask_module import MaskModule
from facemask.training.score_sample import ScoreSample

_OFFSETS: Final = "network.offsets"
_TRAINING: Final = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "facemask_run")
"""Keys of a checkpoint that only a training that goes on needs."""


def calibrate(
    run: str,
    *,
    data: str | None = None,
    out: str | None = None,
    settings: str | None = None,
    pixels: int = 300_000,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Choose offsets of a network's classes for which the validation's mean IoU is highest.

    They are written into a new checkpoint, which every verb takes; nothing is trained.

    Args:
        run: A run's folder, with config.yaml and best.ckpt as `facemask fit` leaves them, or a
            checkpoint beside its config.yaml.
        data: The data set's folder. Default: the one that the run's settings name.
        out: The new checkpoint. Default: calibrated.ckpt beside the run's.
        settings: YAML file of the run's training or test. Default: config.yaml beside the
            checkpoint.
        pixels: About how many pixels of the validation side to fit on, evenly over its frames.
        seed: Decides which, and how the videos are shared out.
        force: Write the offsets even if they gain nothing on videos they were not fitted on.

    Raises:
        InputError: The run, its files or its data are missing or wrong, or there is nothing to
            calibrate.
    """
    if pixels < 1000:
        raise InputError(f"pixels is {pixels}: give at least 1000.")
    given = Path(run)
    checkpoint = given / "best.ckpt" if given.is_dir() else given
    config = checkpoint.with_name("config.yaml") if settings is None else Path(settings)
    target = checkpoint.with_name("calibrated.ckpt") if out is None else Path(out)
    if target.resolve() == checkpoint.resolve():
        raise InputError(f"{target}: is what is to be calibrated: give another --out.")
    content = read_checkpoint(checkpoint)
    cli = _built(config, data)
    module = cli.model
    if not isinstance(module, MaskModule):
        raise InputError(
            f"{config}: a {type(module).__name__} has no scores of one network to calibrate: give "
            "a run of a network's training."
        )
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"])
    network = module.network
    if isinstance(network, EncoderNetwork):
        network.offsets.zero_()  # of an earlier calibration
    sample = ScoreSample(pixels, seed)
    trainer: Trainer = cli.trainer
    trainer.callbacks.append(sample)  # type: ignore[attr-defined]  # set by a connector
    trainer.validate(module, datamodule=cli.datamodule, verbose=False)
    point = operating_point(sample.pixels(), seed=seed)
    offsets = _report(point, module.val_iou.class_names, force)
    console = Console()
    if not isinstance(network, EncoderNetwork):
        console.print(
            f"A {type(network).__name__} has no place for offsets: add them to the bias of its "
            "last layer. Nothing was written.", highlight=False,
        )  # fmt: skip
        return
    write_calibrated(content, offsets, target)
    console.print(
        f"Written to {target}: give it to `facemask test`, `predict` or `extract` in place of "
        f"{checkpoint}.", highlight=False, soft_wrap=True,
    )  # fmt: skip


def _built(config: Path, root: str | None) -> TrainerCLI:
    """Build module, data module and trainer of a run, to validate with.

    Raises:
        InputError: The configuration cannot be read or is no run's.
    """
    try:
        given = read_configuration(config)
        parts = {key: given[key] for key in ("model", "data")}
        trainer = dict(given.get("trainer") or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{config}: cannot read the configuration of the run ({cause_of(error)}): give a "
            "folder that `facemask fit` wrote, or a checkpoint beside its config.yaml."
        ) from error
    trainer = {k: v for k, v in trainer.items() if k in ("accelerator", "precision")}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer |= quiet | {"devices": 1, "callbacks": None}
    words = [] if root is None else [f"--data.root={root}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "validate.yaml")
        path.write_text(yaml.safe_dump(parts | {"trainer": trainer}), encoding="utf-8")
        return TrainerCLI("validate", ["-c", str(path), "--ckpt_path=best", *words])


def write_calibrated(content: dict[str, Any], offsets: Sequence[float], target: Path) -> None:
    """Write a checkpoint with offsets, without what only its training needs to go on.

    Args:
        content: The checkpoint, which stays as it is.
        offsets: One a class.
        target: The file, written whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    weights = content["state_dict"] | {_OFFSETS: torch.tensor(offsets, dtype=torch.float32)}
    kept = {key: value for key, value in content.items() if key not in _TRAINING}
    buffer = BytesIO()
    torch.save(kept | {"state_dict": weights}, buffer)
    write_atomic(target, buffer.getvalue())


def _report(point: OperatingPoint, names: Sequence[str], force: bool) -> list[float]:
    """Print what was found; return the offsets to write."""
    console = Console()
    unknown = np.full_like(point.before, np.nan)
    held_out = unknown if point.held_out is None else point.held_out
    matrices = (point.before, point.after, held_out)
    table = Table("class", "offset", "IoU before", "after", "on other videos")
    rows = zip(names, point.offsets, *map(ious_of, matrices), strict=True)
    for name, offset, *ious in rows:
        table.add_row(name, f"{offset:+.2f}", *(f"{100 * iou:.1f}" for iou in ious))
    table.add_section()
    mious = (float(miou_of(matrix)) for matrix in matrices)
    table.add_row("mIoU", "", *(f"{100 * miou:.1f}" for miou in mious))
    console.print(table)
    absent = [n for n, row in zip(names, point.before.sum(1), strict=True) if not row]
    if absent:
        console.print(f"Not in the validation side, offset 0: {', '.join(absent)}.")
    low, high = (100 * end for end in point.interval)
    if point.held_out is None:
        said = "The validation side is one video, so nothing says what they gain on others."
    else:
        said = (
            f"On videos that they were not fitted on, such offsets change mIoU by "
            f"{100 * point.gain:+.1f} (95 % interval {low:+.1f} to {high:+.1f})."
        )
    useful = point.gain > 0
    if not useful and not force:
        said += " Zeros are kept: --force writes them all the same."
    console.print(said, highlight=False)
    return point.offsets.tolist() if useful or force else [0.0] * len(names)
