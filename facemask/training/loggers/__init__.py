"""Callbacks that log what a run is, how fast it learns, and pictures of its masks.

Three Lightning callbacks for the YAML's `trainer.callbacks`. They work with any logger: each gets
what it can show.
"""

from facemask.training.loggers.checked_wandb import CheckedWandbLogger, check_login
from facemask.training.loggers.info import RunInfo, data_fingerprint, git_revision
from facemask.training.loggers.panels import ValidationPanels
from facemask.training.loggers.scalars import TrainingScalars

__all__ = [
    "CheckedWandbLogger",
    "RunInfo",
    "TrainingScalars",
    "ValidationPanels",
    "check_login",
    "data_fingerprint",
    "git_revision",
]
