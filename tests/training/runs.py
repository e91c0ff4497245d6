"""What tests of training share."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer


def quiet_trainer(folder: Path, **options: Any) -> Trainer:  # noqa: ANN401
    """A trainer for an epoch on the CPU that prints and logs nothing; options win."""
    return Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 1, "enable_checkpointing": False, **options},
    )
