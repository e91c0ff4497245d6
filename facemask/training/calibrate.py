"""`facemask calibrate`: offsets of classes, and confidence, fitted on the validation side."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
import yaml
from pytorch_lightning import Trainer
from rich.table import Table
from torch import nn

from facemask.checkpoints import read_checkpoint
from facemask.configuration import read_configuration
from facemask.data.datamodule import FaceMaskDataModule
from facemask.data.vw300_mask import read_split
from facemask.errors import InputError, cause_of
from facemask.files import write_atomic
from facemask.metrics.operating_point import OperatingPoint, ious_of, miou_of, operating_point
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.file import ROLES, read_header
from facemask.models.fcn import EncoderNetwork
from facemask.models.own_network import evaluating, first_output
from facemask.terminal import console_for_words, print_table
from facemask.threads import limit_threads
from facemask.training.cascade_module import CascadeModule
from facemask.training.cli import TrainerCLI
from facemask.training.confidence import calibrate_confidence
from facemask.training.mask_module import MaskModule
from facemask.training.score_sample import ScoreSample
from facemask.weights.catalog import find_weights, shipped

_DTYPES: Final = {"F16": torch.float16, "BF16": torch.bfloat16}
"""Of cascades' files, by safetensors' words."""
_TRAINING: Final = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "facemask_run")
"""Keys of a checkpoint that only a training that goes on needs."""


def calibrate(
    run: str,
    *,
    data: str | None = None,
    out: str | None = None,
    settings: str | None = None,
    split: str | None = None,
    offsets: bool = True,
    pixels: int = 200_000,
    pictures: int = 800,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Choose offsets of a network's classes for which the validation's mean IoU is highest.

    They are written into a new file, which every verb takes; nothing is trained. Of a cascade's
    file, each network is calibrated on its own region, and then the confidence in its masks.

    Args:
        run: A run's folder, with config.yaml and best.ckpt as `facemask fit` leaves them, or a
            checkpoint beside its config.yaml; or a file of `Cascade.save`, or shipped weights.
        data: The data set's folder. Default: the one that the run's settings name.
        out: The new file. Default: calibrated.ckpt, or calibrated.safetensors, beside the old one.
        settings: YAML file of the run's training or test. Default: config.yaml beside the
            checkpoint.
        split: The split whose validation side counts. Default: that of the run's settings;
            split_1 for a cascade's file.
        offsets: Off leaves the offsets of a cascade's networks as they are, and fits the
            confidence alone.
        pixels: About how many pixels of the validation side to fit on, evenly over its frames.
        pictures: How many pictures of the validation side, most of them made harder, to fit a
            cascade's confidence on.
        seed: Decides which, and how the videos are shared out.
        force: Write the offsets even if they gain nothing on videos they were not fitted on.

    Raises:
        InputError: The run, its files or its data are missing or wrong, or there is nothing to
            calibrate.
    """
    for name, number, least in (("pixels", pixels, 1000), ("pictures", pictures, 50)):
        if number < least:
            raise InputError(f"{name} is {number}: give at least {least}.")
    given = Path(run)
    source = given / "best.ckpt" if given.is_dir() else given
    folder = source.parent
    if run in shipped() and not given.exists():
        source = find_weights(run)
    default = folder / f"calibrated{source.suffix}"
    target = default if out is None else Path(out)
    if target.resolve() == source.resolve():
        raise InputError(f"{target}: is what is to be calibrated: give another --out.")
    options = _Options(split, offsets, pixels, pictures, seed, force)
    limit_threads()
    if source.suffix != ".safetensors":
        if not offsets:
            raise InputError(f"{source}: a confidence is a cascade's alone: leave --offsets on.")
        config = source.with_name("config.yaml") if settings is None else Path(settings)
        _calibrate_checkpoint(source, config, data, target, options)
    elif data is None or settings is not None:
        raise InputError(
            f"{source}: a cascade's file has settings of its own and names no data: give --data "
            "FOLDER, and no --settings."
        )
    else:
        _calibrate_cascade(source, data, target, options)


@dataclass(frozen=True)
class _Options:
    """Options of the fits; see `calibrate`."""

    split: str | None
    offsets: bool
    pixels: int
    pictures: int
    seed: int
    force: bool


def _calibrate_checkpoint(
    source: Path, config: Path, root: str | None, target: Path, options: _Options
) -> None:
    content = read_checkpoint(source)
    cli = _built(config, {"root": root, "split": options.split})
    module = cli.model
    if not isinstance(module, MaskModule):
        raise InputError(
            f"{config}: a {type(module).__name__} has no scores of one network to calibrate: give "
            "a run of a network's training."
        )
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"])
    offsets = _fit(module, cli.datamodule, cli.trainer, options)
    if not _adds_offsets(module.network, cli.datamodule.size):
        _say(
            f"A {type(module.network).__name__} does not add offsets to its scores, and nothing "
            "was written: add them to the bias of its last layer ("
            f"{', '.join(f'{offset:.4g}' for offset in offsets)})."
        )
        return
    weights = content["state_dict"] | {"network.offsets": torch.tensor(offsets)}
    kept = {key: value for key, value in content.items() if key not in _TRAINING}
    buffer = BytesIO()
    torch.save(kept | {"state_dict": weights}, buffer)
    write_atomic(target, buffer.getvalue())
    _say(
        f"Written to {target}: give it to `facemask test`, `predict` or `extract` in place of "
        f"{source}."
    )


def _adds_offsets(network: nn.Module, size: int) -> bool:
    """Find out whether a network, ours or a subclass with a `forward` of its own, adds offsets."""
    if not isinstance(network, EncoderNetwork):
        return False
    images = torch.zeros(1, 3, size, size, device=network.offsets.device)
    expected = torch.arange(network.num_classes, device=images.device).view(-1, 1, 1)
    with evaluating(network):
        before = first_output(network(images))
        network.offsets.copy_(expected.flatten())
        moved = first_output(network(images)) - before
        network.offsets.zero_()
    return torch.allclose(moved, expected.expand_as(moved).to(moved), atol=1e-2)


def _calibrate_cascade(source: Path, root: str, target: Path, options: _Options) -> None:
    cascade, header = Cascade.load(source), read_header(source)
    settings = cascade.settings
    split = options.split or "split_1"
    frames = read_split(Path(root), split, "val")
    if options.offsets:
        margins = {"eyes": settings.eyes_margin, "mouth": settings.mouth_margin}
        for role, network in cascade.networks().items():
            region = ROLES[role]
            _say(f"The {role} network:")
            clips = FaceMaskDataModule(
                root, split, size=settings.size, region=region, box_margin=margins.get(region),
                seed=options.seed,
            )  # fmt: skip
            offsets = _fit(MaskModule(network, region=region), clips, _trainer(), options)
            cast("EncoderNetwork", network).offsets.copy_(torch.tensor(offsets))
    fit = calibrate_confidence(cascade, frames, options.pictures, options.seed)
    cascade.settings = replace(settings, confidence=fit)
    cascade.save(target, _DTYPES.get("".join(header.dtypes)))
    if options.offsets:
        faces = FaceMaskDataModule(root, split, size=settings.size, original_images=True)
        before, after = (
            _trainer().validate(CascadeModule(cascade=str(file)), faces, verbose=False)[0]
            for file in (source, target)
        )
        _say(
            f"The masks of the whole cascade, on the validation side: mIoU "
            f"{100 * before['val/miou']:.1f} before, {100 * after['val/miou']:.1f} after."
        )
    _say(
        f"Written to {target}: give it to `facemask extract --model`, or to `test` as "
        f"model.cascade, in place of {source}."
    )


def _trainer() -> Trainer:
    return Trainer(devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False)


def _fit(
    module: MaskModule, data: FaceMaskDataModule, trainer: Trainer, options: _Options
) -> list[float]:
    """Fit offsets to a module's scores, print what they gain, and return those to write."""
    if isinstance(module.network, EncoderNetwork):
        module.network.offsets.zero_()  # of an earlier calibration
    sample = ScoreSample(options.pixels, options.seed)
    trainer.callbacks.append(sample)  # type: ignore[attr-defined]  # set by a connector
    trainer.validate(module, datamodule=data, verbose=False)
    point = operating_point(sample.pixels(), seed=options.seed)
    return _report(point, module.val_iou.class_names, options.force)


def _built(config: Path, data: Mapping[str, str | None]) -> TrainerCLI:
    """Build module, data module and trainer of a run, to validate with; None keeps its own data.

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
    trainer |= quiet | {"devices": 1}
    words = [f"--data.{name}={value}" for name, value in data.items() if value is not None]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "validate.yaml")
        path.write_text(yaml.safe_dump(parts | {"trainer": trainer}), encoding="utf-8")
        # "best": the checkpoint is read elsewhere
        return TrainerCLI("validate", ["-c", str(path), "--ckpt_path=best", *words])


def _report(point: OperatingPoint, names: Sequence[str], force: bool) -> list[float]:
    """Print what was found; return the offsets to write."""
    unknown = np.full_like(point.before, np.nan)
    held_out = unknown if point.held_out is None else point.held_out
    matrices = (point.before, point.after, held_out)
    table = Table("class", "offset", "IoU before", "after", "on other videos")
    columns = (np.where(point.unsettled, np.nan, ious_of(matrix)) for matrix in matrices)
    rows = zip(names, point.offsets, *columns, strict=True)
    for name, offset, *ious in rows:
        table.add_row(name, f"{offset:+.3f}", *(f"{100 * iou:.1f}" for iou in ious))
    table.add_section()
    mious = (float(miou_of(matrix)) for matrix in matrices)
    table.add_row("mIoU", "", *(f"{100 * miou:.1f}" for miou in mious))
    print_table(table)
    absent = ~point.before.any(1) & ~point.unsettled
    for said, classes in (("Not", absent), ("Nowhere for certain", point.unsettled)):
        if classes.any():
            missing = ", ".join(np.array(names)[classes])
            _say(f"{said} in the validation side, offset 0: {missing}.")
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
    _say(said)
    return point.offsets.tolist() if useful or force else [0.0] * len(names)


def _say(line: str) -> None:
    console_for_words().print(line)
