"""Room on the disk for what a training writes."""

import shutil
import tempfile
from pathlib import Path

from pytorch_lightning import LightningModule, Trainer

from facemask.errors import InputError
from facemask.files import make_folder


def check_room(trainer: Trainer, model: LightningModule, checkpoints: list[Path]) -> None:
    """Make the folders that a trainer writes to, and check that they take what is written.

    Args:
        trainer: Its loggers have folders.
        model: Its size is that of a checkpoint.
        checkpoints: Folders of checkpoints.

    Raises:
        InputError: One cannot be written to, or has no room for three checkpoints.
    """
    loggers = [logger.save_dir for logger in trainer.loggers]
    folders = [*checkpoints, *(Path(folder) for folder in loggers if folder)]
    for folder in folders or [Path(trainer.default_root_dir)]:
        _check_writable(folder)
    state = model.state_dict().values()
    trained = [p for p in model.parameters() if p.requires_grad]
    # Adam keeps two more numbers for each that it trains
    size = sum(t.nbytes for t in state) + 2 * sum(p.nbytes for p in trained)
    for folder in checkpoints:
        free = shutil.disk_usage(folder).free
        if free < 3 * size:
            raise InputError(
                f"{folder}: {free / 1e6:.0f} MB are free, but three checkpoints of this model "
                f"take {3 * size / 1e6:.0f} MB: make room or write elsewhere."
            )


def _check_writable(folder: Path) -> None:
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write there: {error.strerror}; give another folder."
        ) from error
