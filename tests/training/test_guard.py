"""Trainings that are stopped, refused or run out of disk, and those that go on by themselves."""

import math
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from facemask.cli import main
from facemask.data.datamodule import ClipBatch
from facemask.errors import InputError
from facemask.training.checkpointing import AtomicCheckpointIO
from facemask.training.resume import is_finished
from tests.training.test_resume import TinyModule, config, final, fit_tiny, write_config


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
    assert "resume is 'always', expected one of 'auto'; --help" in always
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
    assert "model: there is no option 'backbon' of FCNModule; did you mean backbone?" in wrong
    Path("wrong.yaml").write_text("modell: 3")
    assert "no option 'modell'; did you mean model?" in error_of(
        [*quick, "-c", "wrong.yaml"], capsys
    )
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
    assert "cannot write there: " in folder
    assert "file is a file." in folder
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


def test_a_run_that_stopped_early_is_finished() -> None:
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
