"""Logging of a run's configuration, its code and data, and its best epoch."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.trainer.states import TrainerFn

from facemask import __version__
from facemask.data.clips import ClipDataset
from facemask.data.datamodule import FaceMaskDataModule
from facemask.metrics import MaskIoU
from facemask.report.record import fingerprint
from facemask.training.loggers import names
from facemask.training.loggers.sinks import prepare_logger

_SECONDS: Final = 20  # that git may take, such as on a slow network folder
_SIDES: Final = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


class RunInfo(Callback):
    """Logs the configuration of a run, what it was made from, and its best epoch so far.

    As hyperparameters, before anything is computed: the configuration under the YAML's own keys,
    the git revision of the working directory, the fingerprints of the data, and versions. After
    each validation with a higher mIoU than all before: `best/miou`, `best/epoch` and
    `best/iou_<class>`, so that their last values, such as in the summary of a W&B run, are those
    of the best epoch.

    Args:
        fingerprint: Log the fingerprints of the data; every label file is read once for them.
    """

    def __init__(self, fingerprint: bool = True) -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self._best = -1.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Log what the run is.

        Raises:
            InputError: A label file cannot be read.
        """
        quick = trainer.fast_dev_run  # type: ignore[attr-defined]  # set in Lightning's set-up
        if stage not in _SIDES or quick or not trainer.loggers or not trainer.is_global_zero:
            return
        values = _configuration(trainer) | self._origin(trainer, stage)
        metric = getattr(pl_module, "val_iou", None)
        class_names = metric.class_names if isinstance(metric, MaskIoU) else ()
        for logger in trainer.loggers:
            prepare_logger(logger, class_names)
            logger.log_hyperparams(values)

    def _origin(self, trainer: Trainer, stage: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            names.FACEMASK_VERSION: __version__,
            names.TORCH_VERSION: str(torch.__version__),  # a subclass of str, which YAML spells out
            names.LIGHTNING_VERSION: version("pytorch-lightning"),
        }
        revision = git_revision()
        if revision is not None:
            values[names.GIT_REVISION] = revision.commit
            values[names.GIT_CHANGES] = revision.changes
        data: object = trainer.datamodule  # type: ignore[attr-defined]  # set by the data connector
        if self.fingerprint and isinstance(data, FaceMaskDataModule):
            for side in _SIDES[stage]:
                dataset = data.datasets[side]
                values[names.FINGERPRINT + side] = data_fingerprint(dataset)
                values[names.FRAMES + side] = sum(len(clip) for clip in dataset.clips)
        return values

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log this epoch's values when it is the best so far."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        # the module has logged them by now
        values = {
            name.removeprefix(names.VALIDATION): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith((names.VALIDATION + names.MIOU, names.VALIDATION + names.CLASS_IOU))
        }
        if not values.get(names.MIOU, -1.0) > self._best:  # nor NaN
            return
        self._best = values[names.MIOU]
        best = {names.BEST + name: value for name, value in values.items()}
        best[names.BEST_EPOCH] = trainer.current_epoch
        for logger in trainer.loggers:
            logger.log_metrics(best, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Return the best mIoU so far, which a resumed run has to beat."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what the interrupted run had reached."""
        self._best = state_dict["best"]


def _configuration(trainer: Trainer) -> dict[str, Any]:
    """Return the parsed YAML and command line; nothing where Lightning's CLI is not used."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by its connector
        if isinstance(callback, SaveConfigCallback):
            text = callback.parser.dump(callback.config, skip_none=False)
            values: dict[str, Any] = yaml.safe_load(text)
            values.pop("config", None)  # the names of the YAML files
            return values
    return {}


class Revision(NamedTuple):
    """A state of a git repository.

    Attributes:
        commit: The commit's hash, 40 or 64 hexadecimal digits.
        changes: Whether tracked files differ from it.
    """

    commit: str
    changes: bool


def git_revision(folder: str | Path | None = None) -> Revision | None:
    """Return the revision of the git repository that a folder is in.

    Args:
        folder: Where to look; None is the working directory.

    Returns:
        The revision; None without git, a repository or a commit.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return Revision(commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no")))


def _git(folder: str | Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def data_fingerprint(dataset: ClipDataset) -> str:
    """Return the fingerprint of a data set's frames and masks, as in the record of a test.

    Of all its clips, whatever `limit_…_batches` says. A region's data set leaves out the clips
    that do not show the region, here too.

    Args:
        dataset: Its labels are read, each file once.

    Returns:
        SHA-256 over the frames' names and label files, 64 hexadecimal digits; see
        `facemask.report.record.fingerprint`.

    Raises:
        InputError: A label file cannot be read.
    """
    frames = [frame for clip in dataset.clips for frame in clip]
    return fingerprint({f.image.stem: f.label for f in frames if f.label is not None})
