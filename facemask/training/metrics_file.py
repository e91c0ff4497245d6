"""The `metrics.csv` of a run, gone on with after a kill."""

import csv
import io
from itertools import chain
from pathlib import Path
from typing import Final

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from facemask.files import write_atomic

METRICS: Final = "metrics.csv"
EARLIER_METRICS: Final = "metrics.resumed.csv"


class MetricsFile(ExperimentWriter):
    """Lightning's `metrics.csv`, in which a new column would be inserted in place."""

    def save(self) -> None:
        """Write the rows in memory; the file is replaced as a whole where there are new columns."""
        path, names = Path(self.metrics_file_path), {*self.metrics_keys, *chain(*self.metrics)}
        if path.is_file() and names != set(self.metrics_keys):
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            _write_rows(path, sorted(names), rows)
        self.metrics_keys = sorted(names)
        super().save()


def csv_loggers(trainer: Trainer) -> list[CSVLogger]:
    """The trainer's loggers that write a `metrics.csv`."""
    return [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]


def save_rows(trainer: Trainer) -> None:
    """Write what the CSV loggers keep in memory."""
    for logger in csv_loggers(trainer):
        logger.save()


def set_metrics_aside(folder: Path, resume: bool) -> None:
    """Keep a folder's `metrics.csv`, which CSVLogger deletes.

    Args:
        folder: The logger's.
        resume: Whether its rows are to be gone on with; else it stays as `metrics.<n>.csv`.
    """
    waiting, metrics = folder / EARLIER_METRICS, folder / METRICS
    if not waiting.is_file() and metrics.is_file():
        metrics.replace(waiting)
    if waiting.is_file() and not resume:
        numbers = [int(p.suffixes[0][1:]) for p in folder.glob("metrics.[0-9]*.csv")]
        waiting.replace(folder / f"metrics.{max(numbers, default=0) + 1}.csv")


def put_back_metrics(trainer: Trainer) -> None:
    """Give the rows that wait for a training back their name."""
    for logger in csv_loggers(trainer) if trainer.is_global_zero else []:
        waiting, metrics = (Path(logger.log_dir, name) for name in (EARLIER_METRICS, METRICS))
        if waiting.is_file() and not metrics.is_file():
            waiting.replace(metrics)


def restore_rows(logger: CSVLogger, last: int | None) -> None:
    """Begin `metrics.csv` with the earlier rows up to the step `last`."""
    folder = Path(logger.log_dir)
    earlier = folder / EARLIER_METRICS
    if not earlier.is_file():
        return
    with earlier.open(newline="") as file:
        reader = csv.DictReader(file)
        names = list(reader.fieldnames or [])
        rows = [row for row in reader if (row.get("step") or "").isdigit()]
    rows = [row for row in rows if last is not None and int(row["step"]) <= last]
    if rows:
        _write_rows(folder / METRICS, names, rows)
        logger.experiment.metrics_keys = names
    earlier.unlink()


def _write_rows(path: Path, names: list[str], rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())
