"""What a run tells its loggers: what it is, how fast it learns, and pictures of its masks.

Three Lightning callbacks for the YAML's `trainer.callbacks`. They work with any logger: each gets
what it can show.
"""

from facemask.run_log.checked_wandb import CheckedWandbLogger, check_login
from facemask.run_log.info import RunInfo
from facemask.run_log.panels import ValidationPanels
from facemask.run_log.provenance import data_fingerprint, git_revision
from facemask.run_log.scalars import TrainingScalars

__all__ = [
    "CheckedWandbLogger",
    "RunInfo",
    "TrainingScalars",
    "ValidationPanels",
    "check_login",
    "data_fingerprint",
    "git_revision",
]
