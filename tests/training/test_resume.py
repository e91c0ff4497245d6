"""Runs killed at several moments, resumed, and compared with one that was left alone."""

import csv
import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from facemask.cli import main
from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.errors import InputError
from facemask.training.callbacks import TrainingGuard
from facemask.training.checkpointing import (
    AtomicCheckpointIO,
    ResumableRun,
    random_state,
    set_random_state,
)
from facemask.training.mask_module import MaskModule

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*exists and is not empty.*",
    "ignore:.*dirpath has changed.*",
    "ignore:.*callbacks used to create the checkpoint.*",
    "ignore:.*your dataloader is not resumable.*",
)
BACKBONE = "mobilenetv3_small_050"
Moment = Literal[
    "train", "validation", "before_checkpoint", "in_checkpoint", "after_checkpoint", "interrupt"
]


class NoisyLoss(nn.Module):
    """Cross-entropy with noise from every random number generator, as dropout would add it."""

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(scores, target, ignore_index=255)
        if not scores.requires_grad:
            return loss
        noise = float(torch.rand(())) + random.random() + np.random.rand()  # noqa: NPY002
        return loss * (1 + 0.1 * noise)


class Stop(Callback):
    """Kills its own process at a moment of the epoch 1 (from 0), or presses Ctrl-C."""

    def __init__(self, moment: Moment, folder: str) -> None:
        super().__init__()
        self.moment = moment
        self.last = Path(folder).resolve() / "last.ckpt"

    def kill(self, moment: Moment) -> None:
        if self.moment == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.global_step != 5:
            return
        self.kill("train")
        if self.moment == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.current_epoch == 1:
            self.kill("validation")

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        if trainer.current_epoch != 1:
            return
        write, replace = Path.write_bytes, Path.replace

        def write_half(path: Path, data: bytes) -> int:
            if self.last.name not in path.name:
                return write(path, data)
            self.kill("before_checkpoint")
            if self.moment == "in_checkpoint":
                write(path, data[: len(data) // 2])
            self.kill("in_checkpoint")
            return write(path, data)

        def rename(path: Path, target: str | Path) -> Path:
            result = replace(path, target)
            if Path(target) == self.last:
                self.kill("after_checkpoint")
            return result

        Path.write_bytes = write_half  # type: ignore[method-assign,assignment]
        Path.replace = rename  # type: ignore[method-assign,assignment]


def run(folder: str, arguments: list[str], log: str) -> None:
    """Run the command line in this process, in `folder`."""
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["facemask"]
    # a shell's background job ignores it, and training would leave it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)


def launch(folder: Path, arguments: list[str]) -> tuple[int, str]:
    """The same in a process of its own: its exit status and what it said."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["facemask.training.cli", "tests.training.test_resume", "tests.training.test_ddp"]
    )
    process = context.Process(target=run, args=(str(folder), arguments, str(folder / "log.txt")))
    process.start()
    process.join(120)
    assert process.exitcode is not None, (folder / "log.txt").read_text()
    return process.exitcode, (folder / "log.txt").read_text()


def config(root: Path, folder: Path, epochs: int = 3) -> dict[str, Any]:
    """Three epochs of four steps, an optimiser with a state, and random numbers that matter."""
    saver = {"dirpath": "run", "filename": "best", "monitor": "val/miou", "mode": "max",
             "save_last": True, "enable_version_counter": False}  # fmt: skip
    return {
        "trainer": {
            "max_epochs": epochs,
            "accelerator": "cpu",
            "log_every_n_steps": 1,
            "limit_train_batches": 4,
            "limit_val_batches": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": {"class_path": "CSVLogger",
                       "init_args": {"save_dir": ".", "name": "run", "version": ""}},
            "callbacks": [{"class_path": "ModelCheckpoint", "init_args": saver},
                          {"class_path": "LearningRateMonitor"}],
        },
        "model": {
            "class_path": "facemask.training.modules.FCNModule",
            "init_args": {"backbone": BACKBONE, "pretrained": False,
                          "loss": {"class_path": "tests.training.test_resume.NoisyLoss"}},
        },
        "data": {
            "class_path": "facemask.data.FaceMaskDataModule",
            "init_args": {"root": str(root), "clip_length": None, "size": 32, "batch_size": 6,
                          "num_workers": 0,
                          "augmentation": {"class_path": "facemask.data.ClipAugmentation"}},
        },
    }  # fmt: skip


def write_config(folder: Path, content: dict[str, Any], stop: Moment | None = None) -> list[str]:
    """The arguments of a run that is stopped at a moment, or not."""
    callbacks = list(content["trainer"]["callbacks"])
    if stop:
        callbacks.append({"class_path": "tests.training.test_resume.Stop",
                          "init_args": {"moment": stop, "folder": "run"}})  # fmt: skip
    content = content | {"trainer": content["trainer"] | {"callbacks": callbacks}}
    path = folder / f"{stop or 'whole'}.yaml"
    path.write_text(yaml.safe_dump(content))
    return ["fit", "-c", str(path)]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def final(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The last checkpoint and the rows of metrics.csv."""
    rows = read_rows(folder / "run" / "metrics.csv")
    return torch.load(folder / "run" / "last.ckpt", weights_only=True), rows


def assert_same(a: object, b: object) -> None:
    if isinstance(a, Tensor):
        assert isinstance(b, Tensor)
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert isinstance(b, type(a))
        for one, two in zip(a, b, strict=True):
            assert_same(one, two)
    else:
        assert a == b


def assert_same_run(folder: Path, whole: Path) -> None:
    (found, rows), (expected, expected_rows) = final(folder), final(whole)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch",
                 "facemask_run", "FaceMaskDataModule"):  # fmt: skip
        assert_same(found[part], expected[part])
    assert rows == expected_rows
    best = [torch.load(f / "run" / "best.ckpt", weights_only=True) for f in (folder, whole)]
    assert_same(best[0]["state_dict"], best[1]["state_dict"])
    assert {p.name for p in (folder / "run").iterdir()} == {
        "best.ckpt", "last.ckpt", "config.yaml", "hparams.yaml", "metrics.csv"
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    code, said = launch(folder, write_config(folder, config(mask_root, folder)))
    assert code == 0, said
    return folder


@pytest.mark.parametrize(
    "moment",
    [
        "train",
        "in_checkpoint",
        "after_checkpoint",
        "interrupt",
        pytest.param("validation", marks=pytest.mark.slow),
        pytest.param("before_checkpoint", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_as_if_never_stopped(
    moment: Moment, whole: Path, mask_root: Path, tmp_path: Path
) -> None:
    code, said = launch(tmp_path, write_config(tmp_path, config(mask_root, tmp_path), moment))
    assert code == (130 if moment == "interrupt" else -signal.SIGKILL), said
    assert "Traceback" not in said
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"]
    # Ctrl-C: the step in which it comes is finished, and the next one tells all processes
    assert saved == {"after_checkpoint": 8, "interrupt": 6}.get(moment, 4)
    again = write_config(tmp_path, config(mask_root, tmp_path))
    resume = ["--ckpt_path=last"] if moment == "train" else ["--resume=auto"]
    code, said = launch(tmp_path, [*again, *resume])
    assert code == 0, said
    assert_same_run(tmp_path, whole)


class TinyNetwork(nn.Module):
    """A convolution with dropout."""

    num_classes = 5

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Conv2d(8, 5, 1)
        )
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores


class TinyModule(MaskModule):
    def __init__(self) -> None:
        super().__init__(TinyNetwork(), None, torch.optim.Adam, 0.01, freeze_bn=False)

    def describe_network(self) -> dict[str, Any]:
        return {"network": "TinyNetwork"}


def tiny_data(root: Path, workers: int = 0, batch_size: int = 6) -> FaceMaskDataModule:
    return FaceMaskDataModule(
        str(root), clip_length=None, size=16, batch_size=batch_size, num_workers=workers,
        augmentation=ClipAugmentation(),
    )  # fmt: skip


def fit_tiny(
    root: Path,
    folder: Path,
    checkpoint: str | None = None,
    workers: int = 0,
    callbacks: Sequence[Callback] = (),
    batch_size: int = 6,
    **options: Any,  # noqa: ANN401
) -> TinyModule:
    seed_everything(5 if checkpoint is None else 6)  # a resumed run must not depend on it
    options = {"max_epochs": 3, "limit_train_batches": 4, "limit_val_batches": 1} | options
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=CSVLogger(folder, "", "log"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[ResumableRun(), TrainingGuard(), *callbacks],
        **options,
    )
    module, data = TinyModule(), tiny_data(root, workers, batch_size)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    return module


@pytest.fixture(scope="module")
def tiny(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyModule]:
    """Whole runs by what limits them, with a checkpoint after every step and every epoch."""
    modules = {}
    for limit in LIMITS:
        folder = tmp_path_factory.getbasetemp() / limit
        savers = [
            ModelCheckpoint(folder, "step{step}", every_n_train_steps=1, save_top_k=-1,
                            auto_insert_metric_name=False),
            ModelCheckpoint(folder, "epoch{epoch}", save_top_k=-1, save_last=True,
                            auto_insert_metric_name=False),
        ]  # fmt: skip
        modules[limit] = fit_tiny(mask_root, folder, callbacks=savers, **LIMITS[limit])
        shutil.copy(folder / "log/metrics.csv", folder / "whole.csv")
    return modules


LIMITS: dict[str, dict[str, Any]] = {
    "max_epochs": {"max_epochs": 3},
    "max_steps": {"max_epochs": -1, "max_steps": 12},
    "accumulate": {"accumulate_grad_batches": 2},
}


@pytest.mark.parametrize(
    ("limit", "name", "workers"),
    [
        ("max_epochs", "step2", 0),
        ("max_epochs", "step7", 1),
        ("max_epochs", "step4", 0),  # the last of an epoch
        ("max_epochs", "epoch1", 0),
        ("max_steps", "step3", 0),
        ("max_steps", "step8", 0),
        ("max_steps", "epoch0", 0),
        ("accumulate", "step3", 0),
        ("accumulate", "epoch0", 1),
    ],
)
def test_any_checkpoint_goes_on_with_the_next_batch(
    limit: str,
    name: str,
    workers: int,
    tiny: dict[str, TinyModule],
    mask_root: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp() / limit
    (tmp_path / "log").mkdir()
    shutil.copy(
        folder / "whole.csv", tmp_path / "log" / "metrics.resumed.csv"
    )  # all rows, too many
    module = fit_tiny(mask_root, tmp_path, str(folder / f"{name}.ckpt"), workers, **LIMITS[limit])
    assert_same(dict(module.state_dict()), dict(tiny[limit].state_dict()))
    found, expected = read_rows(tmp_path / "log/metrics.csv"), read_rows(folder / "whole.csv")
    if name not in ("step4", "step8"):  # these have the epoch's end behind them, unlogged
        assert found == expected
    else:
        assert [r for r in found if r["train/loss_step"]] == [
            r for r in expected if r["train/loss_step"]
        ]


def test_other_batches_in_the_middle_of_an_epoch_are_refused(
    tiny: dict[str, TinyModule],
    mask_root: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "max_epochs"
    with pytest.raises(InputError, match=r"after batch 2 of an epoch with data\.batch_size 6"):
        fit_tiny(mask_root, tmp_path, str(folder / "step2.ckpt"), batch_size=5)
    fit_tiny(mask_root, tmp_path, str(folder / "epoch1.ckpt"), batch_size=5)  # between epochs


def test_random_state_round_trip() -> None:
    saved = io.BytesIO()
    torch.save(random_state(), saved)
    drawn = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002
    saved.seek(0)
    set_random_state(torch.load(saved, weights_only=True))
    again = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002
    assert drawn == again
