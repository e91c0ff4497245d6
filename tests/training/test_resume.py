"""Runs killed at several moments, resumed, and compared with one that was left alone."""

import csv
import io
import math
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
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from facemask.cli import main
from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.data.datamodule import ClipBatch
from facemask.errors import InputError
from facemask.training.callbacks import TrainingGuard
from facemask.training.checkpointing import AtomicCheckpointIO, ResumableRun
from facemask.training.mask_module import MaskModule
from facemask.training.random_state import random_state, set_random_state
from facemask.training.resume import is_finished

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


class Poison(Callback):
    """Makes the network give NaN from a step on."""

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: ClipBatch, _index: int
    ) -> None:
        if trainer.global_step == 5:
            assert isinstance(module, TinyModule)
            module.loss = nn.CrossEntropyLoss(weight=torch.full((5,), math.nan), ignore_index=255)
            self.names = [clip[0] for clip in batch["names"]]


def test_a_loss_that_is_not_finite_stops_the_run(mask_root: Path, tmp_path: Path) -> None:
    poison = Poison()
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_last=True)
    with pytest.raises(InputError, match=r"loss is nan in epoch 1, step 1 \(both") as stop:
        fit_tiny(mask_root, tmp_path, callbacks=[poison, saver])
    assert f"in the batch of {', '.join(poison.names)}: look" in str(stop.value)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 5


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_at_once_after_a_second_one(mask_root: Path, tmp_path: Path) -> None:
    class Twice(Callback):
        def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    saver = ModelCheckpoint(tmp_path)  # no save_last: there is one after Ctrl-C
    with pytest.raises(SystemExit) as stop:
        fit_tiny(mask_root, tmp_path, callbacks=[Twice(), saver])
    assert stop.value.code == 130
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("heeds_ctrl_c")  # sets the handler back
def test_ignored_ctrl_c_stays_ignored(mask_root: Path, tmp_path: Path) -> None:
    class Interrupted(Callback):
        def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fit_tiny(mask_root, tmp_path, callbacks=[Interrupted()])  # to its end
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_checkpoint_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": 1}, path)

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"No space left on device; the checkpoints written bef"):
        AtomicCheckpointIO().save_checkpoint({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["a.ckpt"]


@pytest.fixture
def quick(mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a run of one epoch of two steps, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    content = config(mask_root, tmp_path, epochs=1)
    content["trainer"] |= {"limit_train_batches": 2}
    content["model"]["init_args"].pop("loss")
    return write_config(tmp_path, content)


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run, expect one sentence and exit status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("facemask: error: ")
    assert not [line for line in lines if "usage:" in line or "Traceback" in line]
    return lines[-1]


def test_resume_auto(
    quick: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert "there is no last.ckpt in" in error_of([*quick, "--ckpt_path=last"], capsys)
    main([*quick, "--resume=auto"])
    assert "a new run starts" in caplog.text
    last = Path("run/last.ckpt")
    written = last.stat().st_mtime_ns
    with pytest.raises(SystemExit) as stop:
        main([*quick, "--resume=auto"])
    assert stop.value.code == 0
    assert "is finished (epoch 1, step 2): nothing is left to do" in caplog.text
    assert last.stat().st_mtime_ns == written
    assert len(Path("run/metrics.csv").read_text().splitlines()) > 3

    # a newer one that is damaged is passed over
    Path("run/last-v1.ckpt").write_bytes(last.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"Passed over: .*last-v1\.ckpt: .*damaged"):
        main([*quick, "--resume=auto", "--trainer.max_epochs=2"])
    assert torch.load(last, weights_only=True)["epoch"] == 1
    _, rows = final(Path())
    assert [row["epoch"] for row in rows if row["val/loss"]] == ["0", "1"]
    assert not list(Path("run").glob("metrics.*.csv"))

    kept = Path("run/metrics.csv").read_bytes()
    main([*quick, f"--ckpt_path={last}"])  # has nothing left to do
    assert "holds backbone" in error_of(
        [*quick, f"--ckpt_path={last}", "--model.backbone=resnet18"], capsys
    )
    assert Path("run/metrics.csv").read_bytes() == kept
    main(quick)  # without --resume a new run; the old one's log is kept
    assert len(list(Path("run").glob("metrics.1.csv"))) == 1
    assert torch.load(last, weights_only=True)["epoch"] == 0


def test_resume_refuses(quick: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    both = error_of([*quick, "--resume=auto", "--ckpt_path=a.ckpt"], capsys)
    assert "--resume auto and --ckpt_path a.ckpt are both given" in both
    always = error_of([*quick, "--resume=always"], capsys)
    assert "resume is always, expected one of: Literal['auto'], null; --help" in always
    nowhere = [*quick, "--resume=auto", "--trainer.callbacks=LearningRateMonitor"]
    assert "give one with `dirpath` and `save_last: true`" in error_of(nowhere, capsys)
    torch.save({"state_dict": {}}, "weights.ckpt")
    weights = error_of([*quick, "--ckpt_path=weights.ckpt"], capsys)
    assert "weights.ckpt: holds no state of a training to go on with" in weights


def test_unknown_keys_and_missing_devices(
    quick: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--trainer.divices" in error_of([*quick, "--trainer.divices=1"], capsys)
    Path("wrong.yaml").write_text("model: {init_args: {backbon: x}}")
    wrong = error_of([*quick, "-c", "wrong.yaml"], capsys)
    assert "Option 'backbon' is not accepted" in wrong
    Path("wrong.yaml").write_text("modell: 3")
    assert "Option 'modell' is not accepted" in error_of([*quick, "-c", "wrong.yaml"], capsys)
    assert "value is not a valid" in error_of([*quick, "--trainer.devices=0"], capsys)
    if not torch.cuda.is_available():
        gpu = error_of([*quick, "--trainer.accelerator=cuda"], capsys)
        assert "trainer.accelerator is 'cuda', but torch finds no GPU here" in gpu
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    devices = error_of([*quick, "--trainer.accelerator=gpu", "--trainer.devices=4"], capsys)
    assert "trainer.devices is 4, but this machine has 2 GPUs" in devices


def test_output_folders_are_checked_first(
    quick: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("")
    folder = error_of([*quick, "--trainer.logger.init_args.save_dir=file/a"], capsys)
    assert "file/a: cannot write there: Not a directory" in folder
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_500_000))
    assert "2 MB are free, but three checkpoints of this model take" in error_of(quick, capsys)


def test_a_disk_that_fills_during_training(
    quick: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes
    main(quick)

    def full(path: Path, data: bytes) -> int:
        if ".ckpt" in path.name:
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    with monkeypatch.context() as context:
        context.setattr(Path, "write_bytes", full)
        said = error_of([*quick, "--resume=auto", "--trainer.max_epochs=2"], capsys)
    assert "No space left on device; the checkpoints written before are whole" in said
    assert torch.load("run/last.ckpt", weights_only=True)["epoch"] == 0


def test_a_run_that_stopped_earlyis_finished() -> None:
    def finished(epochs: int, steps: int, stopped: int, **limits: int) -> bool:
        checkpoint = {
            "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}},
            "global_step": steps,
            "callbacks": {"EarlyStopping{'monitor': 'val/loss'}": {"stopped_epoch": stopped}},
        }
        return is_finished(checkpoint, Trainer(accelerator="cpu", logger=False, **limits))  # type: ignore[arg-type]

    assert finished(3, 30, 0, max_epochs=3)
    assert not finished(2, 20, 0, max_epochs=3)
    assert finished(2, 20, 1, max_epochs=3)
    assert finished(2, 20, 0, max_epochs=-1, max_steps=20)
    assert not finished(2, 19, 0, max_epochs=-1, max_steps=20)
