"""Recording of a test: frames.csv, record.json, consistency.csv and label images."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

import numpy as np
import torch
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger

from facemask import __version__
from facemask.data.datamodule import ClipBatch, FaceMaskDataModule
from facemask.data.lists import read_subjects
from facemask.data.vw300_mask import PSEUDO, Frame, read_split, sequence_id
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic, write_image
from facemask.metrics import MaskIoU, intersection_and_union
from facemask.metrics.motion import Flow
from facemask.metrics.open_labels import never_settled
from facemask.naming import counted
from facemask.regions import Region
from facemask.report.frame_table import COUNTS, FrameTable, table_to_csv
from facemask.report.record import (
    AGREEMENT,
    CONSISTENCY,
    FRAMES,
    LABELS,
    RECORD,
    TEST,
    Record,
    fingerprint,
    record_to_json,
)
from facemask.report.sequence_table import SequenceTable, sequence_consistency, sequences_to_csv

_UNFINISHED: Final = ".labels.unfinished"
_SETTLED: Final = "settled"
"""Key of a row's pixels labelled as one class, and as one of several; no column of the table."""
Row: TypeAlias = dict[str, Any]
"""A row of `FrameTable` by column."""


class ScoredModule(Protocol):
    """A LightningModule whose test can be recorded; every `MaskModule` is one.

    Its `test_step` returns the label image, uint8 (H, W) at original size, of each frame by name.

    Attributes:
        test_iou: The test's metric, whose class names are the record's.
        region: "face", "eyes" or "mouth".
    """

    test_iou: MaskIoU
    region: Region

    def describe_network(self) -> dict[str, Any]:
        """Describe the network in plain values."""


def _is_scored(module: object) -> TypeGuard[ScoredModule]:
    # from Python 3.12 on isinstance does not see metrics, which torch keeps as submodules
    return all(hasattr(module, name) for name in ("test_iou", "region", "describe_network"))


class FrameRecorder(Callback):
    """Callback that records what a test found on every frame, so that reports need no model.

    It writes into one folder: frames.csv (one row a frame), record.json (what the run is),
    labels/<name>.png (predicted class ids at original size) and consistency.csv (one row a
    sequence). All appear when the test ends, in place of those of an earlier test.

    Args:
        folder: The folder. Null is the one that the CSVLogger writes to; without one, "test"
            beside the checkpoint.
        flow: Optical flow of the temporal consistency between neighbouring frames ("none"
            compares masks where they are); null leaves consistency.csv out.
        labels: Keep the predicted label images.
    """

    def __init__(
        self, folder: str | None = None, flow: Flow | None = "dis_fast", labels: bool = True
    ) -> None:
        super().__init__()
        self.folder = folder
        self.flow: Flow | None = flow
        self.labels = labels
        self._place: Path | None = None  # of the test that runs, or None
        self._frames: dict[str, Frame] = {}
        self._subjects: dict[str, str] = {}
        self._rows: dict[str, Row] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check everything and make the folders, before anything is computed.

        Raises:
            InputError: The module or the data module is another one, the data set cannot be
                read, or the folder cannot be written to or holds other files' labels.
        """
        self._place = None
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set in Lightning's set-up
            return
        data: object = trainer.datamodule  # type: ignore[attr-defined]  # set by the data connector
        if not _is_scored(pl_module) or not isinstance(data, FaceMaskDataModule):
            raise InputError(
                f"FrameRecorder got a {type(pl_module).__name__} and a {type(data).__name__}: "
                "give a MaskModule and a FaceMaskDataModule (Trainer.test(model, datamodule=...))."
            )
        self._rows = {}
        frames = read_split(Path(data.root or ""), data.split, "test")
        self._frames = {frame.image.stem: frame for frame in frames}
        videos = sorted({frame.video for frame in frames})
        self._subjects = dict(zip(videos, videos, strict=True))
        subjects = Path(data.root or "", "subjects.csv")
        if subjects.is_file():
            self._subjects = read_subjects(subjects, videos)
        place = Path(self.folder) if self.folder else default_folder(trainer)
        # a logger that counts its versions may count another one in another process
        self._place = Path(trainer.strategy.broadcast(str(place)))
        if trainer.is_global_zero:
            _prepare(self._place)
        trainer.strategy.barrier("facemask_record")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count one batch and write its label images.

        Raises:
            InputError: `test_step` returned something else than label images by name.
        """
        if self._place is None:
            return
        if not isinstance(outputs, dict):
            raise InputError(
                f"{type(pl_module).__name__}.test_step returned a {type(outputs).__name__}: let it "
                "return the label image uint8 (H, W) of each frame by its name, as MaskModule does."
            )
        assert _is_scored(pl_module)  # on_test_start
        for names, masks in zip(batch["names"], batch["original_masks"], strict=True):
            for position, (name, mask) in enumerate(zip(names, masks, strict=True)):
                frame, label = self._frames[name], outputs[name].cpu()
                confusion, *settled = pl_module.test_iou.count(label, mask.cpu())
                intersection, union = intersection_and_union(confusion)
                self._rows[name] = {
                    "name": name, "video": frame.video, "frame": frame.number,
                    "subject": self._subjects[frame.video], "sequence": sequence_id(frame.number),
                    "clip": names[0], "position": position,
                    "height": label.shape[0], "width": label.shape[1], "region": pl_module.region,
                    "intersection": intersection.numpy(), "union": union.numpy(),
                    "truth": confusion.sum(dim=1).numpy(),
                    "prediction": confusion.sum(dim=0).numpy(), _SETTLED: settled,
                }  # fmt: skip
                if self.labels or self.flow is not None:
                    write_image(self._place / _UNFINISHED / f"{name}.png", label.numpy())

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the tables, whole, in place of those of an earlier test.

        Raises:
            InputError: No frame was scored, or a file cannot be read or written.
        """
        if self._place is None:
            return
        rows = _gather(list(self._rows.values()))
        self._rows = {}
        if trainer.is_global_zero:
            assert _is_scored(pl_module)  # on_test_start
            self._write(self._place, rows, trainer, pl_module)
        trainer.strategy.barrier("facemask_record")
        self._place = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove what a stopped test has written so far."""
        if self._place is not None and trainer.is_global_zero:
            shutil.rmtree(self._place / _UNFINISHED, ignore_errors=True)

    def _write(
        self, place: Path, rows: Sequence[Row], trainer: Trainer, module: ScoredModule
    ) -> None:
        if not rows:
            raise InputError("No frame was scored, so there is nothing to record.")
        _leave_out_unsettled(rows)
        columns = {column: np.array([row[column] for row in rows]) for column in rows[0]}
        table = FrameTable(module.test_iou.class_names, **columns)
        consistency = self._consistency(table, place / _UNFINISHED, module.region)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        frames = {name: self._frames[name] for name in table.name.tolist()}
        record = Record(
            fingerprint=fingerprint({n: frame.label for n, frame in frames.items() if frame.label}),
            frames=len(table),
            data_root=str(Path(data.root).resolve()),
            split=data.split,
            class_names=table.class_names,
            region=module.region,
            checkpoint=str(trainer.ckpt_path) if trainer.ckpt_path else None,
            facemask_version=__version__,
            network=module.describe_network(),
            metrics={
                name.removeprefix("test/"): float(value)
                for name, value in trainer.callback_metrics.items()
                if name.startswith("test/")
            },
            flow=None if consistency is None else self.flow,
            pseudo_landmarks=Path(data.root, PSEUDO).is_file(),
        )
        # record.json is what makes a record: it goes first and comes last
        (place / RECORD).unlink(missing_ok=True)
        write_atomic(place / FRAMES, table_to_csv(table))
        (place / CONSISTENCY).unlink(missing_ok=True)
        if consistency is not None:
            write_atomic(place / CONSISTENCY, sequences_to_csv(consistency))
        shutil.rmtree(place / LABELS, ignore_errors=True)
        if self.labels:
            (place / _UNFINISHED).replace(place / LABELS)
        else:
            shutil.rmtree(place / _UNFINISHED)
        write_atomic(place / RECORD, record_to_json(record))
        rank_zero_info(f"The record of {counted(len(table), 'frame')} is in {place}.")
        if record.pseudo_landmarks:
            rank_zero_warn(f"The true masks follow pseudo-landmarks: {AGREEMENT}.")

    def _consistency(self, table: FrameTable, labels: Path, region: str) -> SequenceTable | None:
        if self.flow is None:
            return None
        if region != "face":
            rank_zero_warn(
                f"consistency.csv is left out: it compares whole face crops, and this model looks "
                f"at the region {region!r}."
            )
            return None
        rank_zero_info("Comparing the masks of neighbouring frames …")
        return sequence_consistency(table, self._frames, labels, self.flow)


def _leave_out_unsettled(rows: Sequence[Row]) -> None:
    """Set the counts of classes that no label settles to 0, as if they were not there."""
    settled = torch.stack([torch.stack(row.pop(_SETTLED)) for row in rows])  # (F, 2, C)
    unsettled = never_settled(*settled.sum(dim=0)).numpy()
    for row in rows:
        for column in COUNTS:
            row[column][unsettled] = 0


def default_folder(trainer: Trainer) -> Path:
    """Return the folder that holds the test's metrics.csv, or "test" beside the checkpoint."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            return Path(logger.log_dir)
    checkpoint = trainer.ckpt_path
    return (Path(checkpoint).parent if checkpoint else Path(trainer.default_root_dir)) / TEST


def _prepare(place: Path) -> None:
    """Make the folders; results of an earlier test stay until those of this one are there."""
    make_folder(place)
    ours = (place / RECORD).is_file() or (place / FRAMES).is_file()
    if (place / LABELS).exists() and not ours:
        raise InputError(
            f"{place / LABELS}: exists, and not from `facemask test`; give another folder with "
            "--record.folder."
        )
    shutil.rmtree(place / _UNFINISHED, ignore_errors=True)
    make_folder(place / _UNFINISHED)


def _gather(rows: list[Row]) -> list[Row]:
    """Return the rows of all processes, sorted by name, each frame once.

    Loaders other than `FaceMaskDataModule`'s repeat frames so that they divide by the processes.
    """
    gathered = [rows]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gathered = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(gathered, rows)
    by_name = {row["name"]: row for part in gathered for row in part}
    return [by_name[name] for name in sorted(by_name)]
