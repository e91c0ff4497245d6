"""A ConvLSTM's new weights are fitted to the features, once, and only where they are new."""

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateFinder
from torch import Tensor

from facemask.data.clips import ClipBatch
from facemask.errors import InputError
from facemask.models import FCN, ConvLSTM, ConvLSTMFCN
from facemask.training.input_scale import is_new
from facemask.training.modules import ConvLSTMModule
from tests.training.feature_runs import BACKBONE, Run

SHORT: dict[str, Any] = {"max_epochs": 1, "limit_train_batches": 1, "limit_val_batches": 0}
PLAIN = {"input_deviation": None}


class Start(Callback):
    """Keeps the weights and the random numbers that training begins with, and its first batch."""

    weights: Tensor
    random: Tensor
    batch: Any = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, ConvLSTMModule)
        self.weights = module.network.convlstm.weight_input.detach().clone()
        self.statistics = {k: v.clone() for k, v in module.state_dict().items() if "running" in k}
        self.random = torch.get_rng_state()

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: ClipBatch, index: int
    ) -> None:
        if self.batch is None:
            self.batch = batch


def start(run: Run, checkpoint: Path | None = None) -> Start:
    found = Start()
    run.trainer.callbacks.append(found)  # type: ignore[attr-defined]
    run.fit(checkpoint)
    return found


def mean_square(run: Run, batch: Any) -> float:  # noqa: ANN401
    """That of a batch's features, one frame after the other."""
    if "features" in batch:
        return float((batch["features"].double() ** 2).mean())
    network = run.module.network.eval()
    values = []
    for frame in batch["images"].flatten(0, 1):
        pixels = (frame[None] / 255 - network.mean) / network.std
        values.append(float((network.encoder(pixels).double() ** 2).mean()))
    return sum(values) / len(values)


@pytest.mark.parametrize("kind", ["images", "cached", "bf16-mixed", "fast_dev_run"])
def test_new_weights_are_divided_by_the_features_deviation(
    kind: str, mask_root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cache = tmp_path if kind == "cached" else None
    trainer = dict(SHORT)
    if kind == "bf16-mixed":
        trainer["precision"] = kind
    if kind == "fast_dev_run":
        trainer["fast_dev_run"] = True
    before = start(Run(mask_root, cache, PLAIN, trainer))
    assert "deviate" not in caplog.text
    run = Run(mask_root, cache, {"input_deviation": 0.5}, trainer)
    after = start(run)
    deviation = mean_square(run, after.batch) ** 0.5
    rough = 0.02 if kind == "bf16-mixed" else 1e-4
    torch.testing.assert_close(after.weights, before.weights * 0.5 / deviation, rtol=rough, atol=0)
    assert f"deviate from 0 by {deviation:.2g}"[:-1] in caplog.text
    # training sees the same batches and random numbers as without
    assert after.batch["names"] == before.batch["names"]
    assert torch.equal(after.random, before.random)


def test_small_weights_are_the_default(mask_root: Path) -> None:
    run = Run(mask_root, None, None, SHORT)
    found = start(run)
    plain = start(Run(mask_root, None, PLAIN, SHORT))
    deviation = mean_square(run, found.batch) ** 0.5
    torch.testing.assert_close(found.weights, plain.weights * 0.1 / deviation, rtol=1e-4, atol=0)


def test_batchnorm_that_trains_is_measured_as_it_trains(mask_root: Path) -> None:
    run = Run(mask_root, None, {"freeze_bn": False}, SHORT)
    untouched = {k: v.clone() for k, v in run.module.state_dict().items() if "running" in k}
    found = start(run)
    assert untouched
    assert all(torch.equal(v, found.statistics[k]) for k, v in untouched.items())
    frozen = start(Run(mask_root, None, None, SHORT))
    assert not torch.allclose(found.weights, frozen.weights, rtol=0.01)


def test_a_learning_rate_finder_divides_them_once(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, None, None, {**SHORT, "default_root_dir": tmp_path})
    finder = LearningRateFinder(num_training_steps=3)
    run.trainer.callbacks.append(finder)  # type: ignore[attr-defined]
    found = start(run)
    assert torch.equal(found.weights, start(Run(mask_root, None, None, SHORT)).weights)


def test_trained_weights_stay(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, None, None, SHORT)
    run.trainer.validate(run.module, run.data, verbose=False)  # changes nothing
    first = start(run)
    assert torch.equal(first.weights, start(Run(mask_root, None, None, SHORT)).weights)
    weights = run.module.network.convlstm.weight_input.detach().clone()
    run.trainer.save_checkpoint(tmp_path / "a.ckpt")
    resumed = Run(mask_root, None, None, {**SHORT, "max_epochs": 2})
    assert torch.equal(start(resumed, tmp_path / "a.ckpt").weights, weights)
    given = Run(mask_root, None, None, SHORT)  # weights put in by hand
    given.module.network.load_state_dict(run.module.network.state_dict())
    assert torch.equal(start(given).weights, weights)
    again = Run(mask_root, None, None, SHORT)  # a second training of the same module
    again.module = run.module
    assert torch.equal(start(again).weights, weights)
    loaded = Run(mask_root, None, None, SHORT)
    loaded.module = type(run.module).load_from_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(start(loaded).weights, weights)


def test_an_untrained_checkpoint_is_taken_as_it_is(mask_root: Path, tmp_path: Path) -> None:
    run = Run(mask_root, None, None, SHORT)
    run.trainer.strategy.connect(run.module)
    run.trainer.save_checkpoint(tmp_path / "new.ckpt")
    weights = run.module.network.convlstm.weight_input.detach().clone()
    loaded = Run(mask_root, None, None, SHORT)
    loaded.module = type(run.module).load_from_checkpoint(tmp_path / "new.ckpt")
    assert torch.equal(start(loaded).weights, weights)


def test_a_start_from_the_classifier_stays(mask_root: Path) -> None:
    network = ConvLSTMFCN.from_fcn(FCN(BACKBONE, output_stride=8), classifier_scale=1.0)
    run = Run(mask_root, None, None, SHORT)
    run.module = ConvLSTMModule(network, gamma=0)  # type: ignore[assignment]
    weights = network.convlstm.weight_input.detach().clone()
    assert torch.equal(start(run).weights, weights)


def test_new_layers() -> None:
    layer = ConvLSTM(4, 3, activation="linear")
    assert is_new(layer)
    assert is_new(ConvLSTM.authors_cell(4, 3))
    layer.weight_co.data[1] = 0.1  # type: ignore[union-attr]
    assert not is_new(layer)
    layer.reset_parameters()
    layer.bias.data[0] = 1e-6
    assert not is_new(layer)


def test_nothing_to_train_on(mask_root: Path) -> None:
    Run(mask_root, None, None, {**SHORT, "limit_train_batches": 0}).fit()


def test_useless_features_and_numbers_are_refused(mask_root: Path) -> None:
    run = Run(mask_root, None, None, SHORT)
    for parameter in run.module.network.encoder.parameters():
        parameter.data.zero_()
    with pytest.raises(InputError, match=r"features have a root mean square of 0\.0 in the first"):
        run.fit()
    network = run.module.network
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match=r"model\.input_deviation is .*, expected a number"):
            ConvLSTMModule(network, input_deviation=wrong)


def _as_rank(rank: int, port: int, root: Path, folder: Path) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2", LOCAL_RANK=str(rank),
        RANK=str(rank), GROUP_RANK="0", LOCAL_WORLD_SIZE="2", TORCHELASTIC_RUN_ID="test",
    )  # fmt: skip
    torch.set_num_threads(1)
    settings = {**SHORT, "devices": 2, "strategy": "ddp", "use_distributed_sampler": False}
    run = Run(root, None, None, settings)
    found = start(run)
    torch.save((found.weights, mean_square(run, found.batch)), folder / f"{rank}.pt")


def test_two_processes_agree(mask_root: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["facemask.training.cli"])  # mends torchvision first
    processes = [
        context.Process(target=_as_rank, args=(rank, port, mask_root, tmp_path)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    (one, square), (other, another) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert square != another
    assert torch.equal(one, other)
    plain = start(Run(mask_root, None, PLAIN, SHORT)).weights
    deviation = ((square + another) / 2) ** 0.5
    torch.testing.assert_close(one, plain * 0.1 / deviation, rtol=1e-4, atol=0)
