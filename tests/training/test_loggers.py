"""Logins, scalars, panels and revisions: loggers without a whole run."""

import io
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import wandb
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipDataset
from facemask.data.vw300_mask import Frame
from facemask.errors import InputError
from facemask.training.loggers import (
    CheckedWandbLogger,
    RunInfo,
    TrainingScalars,
    ValidationPanels,
    check_login,
    git_revision,
    names,
    scalars,
)
from facemask.training.loggers.clips import LabelledClip, comparison, following_clips, to_gif
from facemask.training.modules import FCNModule
from tests.training.test_run_log import (
    CONFIGS,
    SIZE,
    _in_a_folder_of_its_own,  # noqa: F401  # applies to all tests
    commit,
    fit_convlstm,
    read_metrics,
)


@pytest.fixture
def _logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Online, with nobody logged in."""
    os.environ.pop("WANDB_SERVICE", None)  # of a process that ends with the teardown below
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in (("HOME", "home"), ("NETRC", "netrc"), ("WANDB_CONFIG_DIR", "config"),
                        ("WANDB_CACHE_DIR", "cache")):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / value))
    wandb.teardown()  # it has read the environment already
    yield
    wandb.teardown()


@pytest.mark.usefixtures("_logged_out")
def test_a_missing_login_is_one_sentence_before_training(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        fit_convlstm(mask_root, "-c", str(CONFIGS / "logging/wandb.yaml"))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1] == (
        "facemask: error: W&B cannot log online: no API key is configured; run `wandb login`, set "
        "WANDB_API_KEY, or train with WANDB_MODE=offline (or disabled)."
    )
    assert not list(tmp_path.rglob("*.ckpt"))
    for mode in ("offline", "disabled"):
        check_login(mode)


@pytest.mark.usefixtures("_logged_out")
def test_login_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(InputError, match=r"W&B cannot log online: .*40"):
        check_login()
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_login()
    with pytest.raises(InputError, match="W&B cannot log online"):
        check_login("online")


def test_wandb_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logger = CheckedWandbLogger(save_dir=str(tmp_path / "file"), mode="offline")
    with pytest.raises(InputError, match="file: cannot write there"):
        _ = logger.experiment


def quick_trainer(folder: Path, callbacks: list[Callback], logger: Any, **options: Any) -> Trainer:  # noqa: ANN401
    defaults = {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 2}
    return Trainer(
        accelerator="cpu", default_root_dir=folder, callbacks=callbacks, logger=logger,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        **(defaults | options),
    )  # fmt: skip


def quick_data(root: Path) -> FaceMaskDataModule:
    return FaceMaskDataModule(str(root), clip_length=None, size=SIZE, num_workers=0, batch_size=4)


def test_training_is_the_same_with_panels(mask_root: Path, tmp_path: Path) -> None:
    def fit(callbacks: list[Callback]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        seed_everything(1, verbose=False)
        module = FCNModule("test_resnet")
        logger = WandbLogger(mode="disabled", save_dir=tmp_path)
        quick_trainer(tmp_path, callbacks, logger).fit(module, quick_data(mask_root))
        return module.state_dict(), torch.get_rng_state()

    weights, random = fit([])
    shown, same = fit([RunInfo(), TrainingScalars(), ValidationPanels()])
    assert all(torch.equal(weights[name], value) for name, value in shown.items())
    assert torch.equal(random, same)


def test_only_the_first_process_logs(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = quick_trainer(
        tmp_path,
        [RunInfo(), TrainingScalars(), ValidationPanels()],
        [CSVLogger(tmp_path / "csv"), CheckedWandbLogger(save_dir=str(tmp_path / "wandb"))],
    )
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setattr(type(trainer.strategy), "is_global_zero", False)
    monkeypatch.setenv("WANDB_MODE", "online")  # without a login: not even looked at
    trainer.fit(FCNModule("test_resnet"), quick_data(mask_root))
    assert trainer.current_epoch == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_gradient_norm_is_that_before_clipping(mask_root: Path, tmp_path: Path) -> None:
    class Measure(Callback):
        norms: list[float]

        def on_after_backward(self, _trainer: Trainer, pl_module: LightningModule) -> None:
            squares = [
                float((p.grad**2).sum()) for p in pl_module.parameters() if p.grad is not None
            ]
            self.norms.append(math.sqrt(sum(squares)))

    measure = Measure()
    measure.norms = []
    logger = CSVLogger(tmp_path)
    quick_trainer(tmp_path, [TrainingScalars(), measure], logger, gradient_clip_val=1e-3,
                  log_every_n_steps=1, limit_val_batches=0).fit(
        FCNModule("test_resnet"), quick_data(mask_root)
    )  # fmt: skip
    metrics = read_metrics(Path(logger.log_dir) / "metrics.csv")
    assert metrics["train/gradient_norm_step"] == pytest.approx(measure.norms, rel=1e-4)
    assert min(measure.norms) > 0.01


class Clock:
    """Seconds as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """Stands for a trainer of two processes and for a module that keeps what is logged."""

    world_size = 2
    log_every_n_steps = 2

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def log(self, name: str, value: float, **_options: object) -> None:
        self.values[name] = value


def test_speed_and_waiting_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log, callback = Clock(), Log(), TrainingScalars()
    monkeypatch.setattr(scalars, "perf_counter", clock)
    trainer, module = cast("Trainer", log), cast("LightningModule", log)

    def batch(wait: float, work: float, frames: int) -> None:
        clips = {"names": [["a"] * (frames - 1), ["b"]]}
        clock.now += wait
        callback.on_train_batch_start(trainer, module, clips, 0)
        clock.now += work
        callback.on_train_batch_end(trainer, module, None, clips, 0)

    callback.on_train_epoch_start(trainer, module)
    batch(wait=8.0, work=2.0, frames=5)
    batch(wait=1.0, work=2.0, frames=10)
    batch(wait=0.0, work=2.0, frames=5)
    # over the last two batches, twice as many frames with two processes
    assert log.values["train/frames_per_second_step"] == pytest.approx(2 * 15 / 5)
    assert log.values["train/data_wait_step"] == pytest.approx(1 / 5)
    callback.on_validation_start(trainer, module)
    batch(wait=100.0, work=2.0, frames=5)  # the validation's time is no waiting
    callback.on_train_epoch_end(trainer, module)
    assert log.values["train/frames_per_second_epoch"] == pytest.approx(20 / 15)
    assert log.values["train/data_wait_epoch"] == pytest.approx(9 / 15)
    with pytest.raises(InputError, match="got a batch of type list without names"):
        callback.on_train_batch_end(trainer, module, None, [1], 0)


def test_best_epoch_is_kept_over_a_resume() -> None:
    first, second = RunInfo(), RunInfo()
    first._best = 0.75
    second.load_state_dict(first.state_dict())
    assert second._best == 0.75


def test_git_revision(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    revision = commit(tmp_path)
    assert git_revision(tmp_path) == (revision, False)
    (tmp_path / "file").write_text("1")
    assert git_revision(tmp_path) == (revision, False)  # untracked: a run's own output
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    assert git_revision(tmp_path) == (revision, True)


def test_following_clips_stop_at_a_gap(mask_root: Path) -> None:
    folder = mask_root / "images_orig"
    frames = [Frame("001", n, folder / f"001_{n:06d}.jpg", None) for n in (1, 2, 3, 4, 6, 7)]
    dataset = ClipDataset(frames, 2, SIZE)
    assert [[f.number for f in clip] for clip in dataset.clips] == [[1, 2], [3, 4], [6, 7]]
    assert following_clips(dataset, 0, 30) == [0, 1]
    assert following_clips(dataset, 0, 2) == [0]
    assert following_clips(dataset, 2, 30) == [2]


def test_pictures_have_the_palettes_colours() -> None:
    truth, guess = np.zeros((2, 1, 8, 8), dtype=np.uint8)
    truth[0, :, 4:], guess[0, :4] = 2, 1  # a mouth's inner mouth, and lips
    images = np.full((1, 8, 8, 3), 100, dtype=np.uint8)
    shown = comparison(LabelledClip(("a",), images, truth, guess), "mouth")
    blue, cyan = [55, 55, 170], [55, 170, 170]  # 0.55 * 100 + 0.45 * colour, rounded
    assert (shown == blue).all(axis=-1).sum() == 32
    assert (shown == cyan).all(axis=-1).sum() == 32
    left = np.flatnonzero((shown == blue).all(axis=-1).any(axis=0)).max()
    assert left < np.flatnonzero((shown == cyan).all(axis=-1).any(axis=0)).min()  # side by side


def test_the_video_keeps_the_colours_of_few_pixels() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)  # as many colours as there are
    guess = np.ones((3, 64, 64), dtype=np.uint8)
    guess[:, 10:14, 20:24] = 2  # eyes
    images[:, 10:14, 20:24] = 100
    gif = to_gif(LabelledClip(("a", "b", "c"), images, guess, guess), "face")
    with Image.open(io.BytesIO(gif)) as video:
        assert getattr(video, "n_frames", 1) == 3
        video.seek(2)
        shown = np.asarray(video.convert("RGB")).astype(int)
    assert shown.shape == (64, 128, 3)
    assert np.abs(shown[10:14, 84:88] - [55, 169, 55]).max() <= 8  # 0.55 * 100 + 0.45 * green
    assert np.abs(shown[10:14, 20:24] - 100).max() <= 60  # the plain frame has it too


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": -1}, "ValidationPanels.clips is -1, expected at least 0"),
        ({"every_n_epochs": 0}, "every_n_epochs is 0, expected at least 1"),
        ({"video_frames": -2}, "video_frames is -2"),
        ({"seed": -3}, "seed is -3"),
    ],
)
def test_wrong_numbers(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ValidationPanels(**options)


def test_panels_need_our_modules(mask_root: Path, tmp_path: Path) -> None:
    loader = torch.utils.data.DataLoader(cast("Any", [0]))
    with pytest.raises(InputError, match="got a FCNModule and a NoneType: give a MaskModule and"):
        quick_trainer(tmp_path, [ValidationPanels()], False).fit(FCNModule("test_resnet"), loader)


def test_docs_list_every_name() -> None:
    text = (CONFIGS.parent / "docs/wandb.md").read_text()
    for name in vars(names):
        if name.isupper():
            assert getattr(names, name) in text, name
