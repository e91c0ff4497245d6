"""What users switch on in trainings: precision, accumulation, compilation, rate finder, overfit."""

import functools
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LearningRateFinder
from pytorch_lightning.tuner.tuning import Tuner
from torch.optim import SGD, Optimizer

from facemask.cli import main
from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.errors import InputError
from facemask.files import write_image
from facemask.losses import CrossEntropyLoss
from facemask.training.mask_module import MaskModule
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training import feature_runs
from tests.training.runs import quiet_trainer

BACKBONE = "test_resnet"


class Recorder(feature_runs.Recorder):
    """Keeps what the steps saw, and at which learning rates."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[list[float]] = []

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])


def trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:  # noqa: ANN401
    settings = {"limit_val_batches": 1, "num_sanity_val_steps": 0, **options}
    return quiet_trainer(folder, callbacks=list(callbacks), **settings)


def data(root: Path, **options: Any) -> FaceMaskDataModule:  # noqa: ANN401
    settings = {"clip_length": 5, "size": 32, "batch_size": 2, "num_workers": 0, **options}
    return FaceMaskDataModule(str(root), **settings)


def make(kind: type[MaskModule], **options: Any) -> MaskModule:  # noqa: ANN401
    torch.manual_seed(0)
    return kind(**{"backbone": BACKBONE, "output_stride": 8, **options})


KINDS = pytest.mark.parametrize("kind", [FCNModule, ConvLSTMFCNModule])


@KINDS
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(
    kind: type[MaskModule], precision: Any, mask_root: Path, tmp_path: Path  # noqa: ANN401
) -> None:  # fmt: skip
    losses = []
    for given in ("32-true", precision):
        seen = Recorder()
        run = trainer(tmp_path, seen, limit_train_batches=2, precision=given)
        run.fit(make(kind), data(mask_root))
        losses.append(seen.losses)
        assert 0 <= float(run.callback_metrics["val/miou"]) <= 1
    assert run.precision == "bf16-mixed"  # Lightning's stand-in for 16-mixed on a CPU
    assert losses[1] != losses[0]
    assert losses[1] == pytest.approx(losses[0], rel=0.03)


@KINDS
def test_accumulated_gradients_are_those_of_the_large_batch(
    kind: type[MaskModule], mask_root: Path, tmp_path: Path
) -> None:
    # a sum over pixels: accumulation divides by the number of batches, not of labelled pixels
    loss = torch.nn.CrossEntropyLoss(ignore_index=255, reduction="sum")
    # a ConvLSTM's start is fitted to the first batch, which is half as large with accumulation
    as_drawn: dict[str, Any] = {"input_deviation": None} if kind is ConvLSTMFCNModule else {}
    modules = []
    for batch_size, accumulate in ((4, 1), (2, 2)):
        rate = 1e-6 * accumulate
        module = make(
            kind, loss=loss, optimizer=SGD, learning_rate=rate, freeze_bn=True, **as_drawn
        )
        run = trainer(
            tmp_path, limit_train_batches=2 * accumulate, accumulate_grad_batches=accumulate
        )
        run.fit(module, data(mask_root, batch_size=batch_size))
        assert run.global_step == 2
        assert run.optimizers[0].param_groups[0]["lr"] == 0  # the end of the linear decay
        modules.append(module.state_dict())
    for name, weight in modules[0].items():
        torch.testing.assert_close(modules[1][name], weight, rtol=1e-3, atol=1e-5)


@pytest.fixture
def eager_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.compile` that records the graph, and runs it without a C++ compiler."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch.compiler.reset()


@KINDS
@pytest.mark.usefixtures("eager_compiler")
def test_compiled_networks_train_alike_and_leave_plain_checkpoints(
    kind: type[MaskModule], mask_root: Path, tmp_path: Path
) -> None:
    plain, compiled = make(kind, compile_network=False), make(kind, compile_network=True)
    losses = []
    for module in (plain, compiled):
        seen = Recorder()
        run = trainer(tmp_path, seen, limit_train_batches=2)
        run.fit(module, data(mask_root))
        losses.append(seen.losses)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    run.save_checkpoint(tmp_path / "compiled.ckpt")
    loaded = kind.load_from_checkpoint(tmp_path / "compiled.ckpt", weights_only=True)
    for name, weight in compiled.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)
    trainer(tmp_path).test(make(kind, compile_network=False), data(mask_root),
                           ckpt_path=tmp_path / "compiled.ckpt", weights_only=True)  # fmt: skip


@pytest.mark.slow
def test_compile_by_inductor(mask_root: Path, tmp_path: Path) -> None:
    torch.compiler.reset()
    losses = []
    for compile_network in (False, True):
        seen = Recorder()
        module = make(ConvLSTMFCNModule, compile_network=compile_network)
        trainer(tmp_path, seen, limit_train_batches=2, limit_val_batches=0).fit(
            module, data(mask_root)
        )
        losses.append(seen.losses)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_compile_without_a_compiler(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match=r"there is no C\+\+ compiler, which torch.compile calls"):
        trainer(tmp_path).fit(make(FCNModule, compile_network=True), data(mask_root))


class Searched(ConvLSTMFCNModule):
    """Keeps the rates and the encoder that each optimiser step used."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(BACKBONE, gamma=0.1, output_stride=8, **options)
        self.used: list[list[float]] = []
        self.first_encoder = torch.zeros(0)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        super().on_before_optimizer_step(optimizer)
        if not self.used:
            self.first_encoder = next(self.network.encoder.parameters()).detach().clone()
        self.used.append([group["lr"] for group in optimizer.param_groups])


@pytest.fixture(scope="module")
def fcn_checkpoint(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fcn")
    run = trainer(folder, limit_train_batches=2, limit_val_batches=0)
    run.fit(make(FCNModule), data(mask_root, clip_length=None))
    run.save_checkpoint(folder / "fcn.ckpt")
    return folder / "fcn.ckpt"


@pytest.mark.parametrize("how", ["callback", "tuner"])
def test_learning_rate_finder(
    how: str, fcn_checkpoint: Path, mask_root: Path, tmp_path: Path
) -> None:
    saved = torch.load(fcn_checkpoint, weights_only=True)["state_dict"]
    first = next(key for key in saved if key.startswith("network.encoder"))

    def fit(search: bool) -> tuple[Searched, Recorder]:
        torch.manual_seed(0)
        module, seen = Searched(init_from=str(fcn_checkpoint), learning_rate=2e-3), Recorder()
        options = {"min_lr": 1e-4, "max_lr": 0.1, "early_stop_threshold": None}
        finder = LearningRateFinder(num_training_steps=20, **options)  # type: ignore[arg-type]
        callbacks = [seen, finder] if search and how == "callback" else [seen]
        # enough epochs for the search, which ends with them
        run = trainer(tmp_path, *callbacks, max_epochs=5, limit_train_batches=4)
        clips = data(mask_root, augmentation=ClipAugmentation())
        if search and how == "tuner":
            Tuner(run).lr_find(module, clips, num_training=20, **options)  # type: ignore[arg-type]
            seen.rates, seen.names, seen.losses = [], [], []
        run.fit(module, clips)
        return module, seen

    module, seen = fit(search=True)
    assert len(module.used) == 20 + 20
    assert torch.equal(module.first_encoder, saved[first])  # the search began with the FCN
    for fast, slow in module.used:  # γ holds in the search and after
        assert slow == pytest.approx(0.1 * fast)
    assert module.used[0][0] == pytest.approx(1e-4)
    assert module.learning_rate != 2e-3  # what the search found
    expected = [module.learning_rate * (1 - step / 20) for step in range(20)]
    assert [rates[0] for rates in seen.rates] == pytest.approx(expected)

    _, plain = fit(search=False)
    assert plain.names == seen.names  # the search left the order of the data alone
    assert plain.losses[0] == pytest.approx(seen.losses[0], rel=1e-6)  # and weights and draws


def test_finder_and_overfit_through_the_command_line(
    mask_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["facemask"])
    (tmp_path / "find.yaml").write_text(
        yaml.safe_dump(
            {
                "trainer": {
                    "callbacks+": [
                        {
                            "class_path": "LearningRateFinder",
                            "init_args": {"num_training_steps": 15, "min_lr": 1e-4},
                        }
                    ]
                }
            }
        )
    )
    config = Path(__file__).parents[2] / "configs" / "demo" / "fcn.yaml"
    options = [f"--data.root={mask_root}", "--data.size=32", "--data.num_workers=0",
               "--trainer.enable_progress_bar=false", "--data.batch_size=4"]  # fmt: skip
    main(["fit", "-c", str(config), "-c", "find.yaml", *options, "--trainer.max_epochs=2"])
    assert list(tmp_path.rglob("best.ckpt"))  # the file's own callbacks stay
    assert not list(tmp_path.rglob(".lr_find*"))
    main(["fit", "-c", str(config), *options, "--trainer.max_epochs=3",
          "--trainer.overfit_batches=1"])  # fmt: skip
    checkpoint = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    assert checkpoint["global_step"] == 3


def test_overfit_batches_repeats_one_batch(mask_root: Path, tmp_path: Path) -> None:
    seen = Recorder()
    run = trainer(tmp_path, seen, max_epochs=3, overfit_batches=1)
    run.fit(make(ConvLSTMFCNModule), data(mask_root, augmentation=ClipAugmentation()))
    assert len(seen.names) == 3
    assert seen.names[0] == seen.names[1] == seen.names[2]
    cached, again = Recorder(), trainer(tmp_path, max_epochs=3, overfit_batches=1)
    again.callbacks.append(cached)  # type: ignore[attr-defined]
    module = make(ConvLSTMFCNModule, gamma=0, feature_cache=str(tmp_path / "cache"))
    again.fit(module, data(mask_root, augmentation=ClipAugmentation()))
    assert cached.names == seen.names
    assert cached.losses[0] == pytest.approx(seen.losses[0], rel=2e-3)


@pytest.fixture
def one_clip(tmp_path: Path) -> Path:
    """A moving figure of five large parts, each of a colour of its own."""
    colors = np.array(
        [(40, 60, 90), (200, 150, 120), (30, 200, 60), (180, 40, 60), (250, 240, 230)], np.uint8
    )
    lines = []
    for number in range(1, 6):
        label, x = np.zeros((128, 128), dtype=np.uint8), 4 * (number - 1)
        for part, top, bottom, left, right in (
            (1, 8, 128, 0, 112),
            (2, 24, 56, 8, 48),
            (2, 24, 56, 64, 104),
            (3, 72, 120, 16, 96),
            (4, 84, 108, 32, 80),
        ):
            label[top:bottom, left + x : right + x] = part
        name = f"001_{number:06d}"
        for folder, suffix, image in (("images", "jpg", colors[label]), ("labels", "png", label)):
            path = tmp_path / f"{folder}_orig" / f"{name}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            write_image(path, image)
        lines.append(f"/images_orig/{name}.jpg /labels_orig/{name}.png\n")
    split = tmp_path / "data_splits" / "split_1"
    split.mkdir(parents=True)
    for side in ("train", "val"):
        (split / f"{side}_per10.txt").write_text("".join(lines))
    return tmp_path


def test_one_clip_is_learnt(one_clip: Path) -> None:
    module = make(
        ConvLSTMFCNModule,
        gamma=1.0,
        loss=CrossEntropyLoss(temperature=0.1),
        learning_rate=0.01,
        freeze_bn=False,
    )
    run = trainer(one_clip, max_epochs=80, overfit_batches=1, check_val_every_n_epoch=1000)
    run.fit(module, data(one_clip, size=128, batch_size=1))
    assert float(run.callback_metrics["train/miou"]) > 0.95
