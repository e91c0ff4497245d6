"""Two gloo processes against one, each with one thread, through the command line."""

import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from facemask.cli import main
from facemask.data import FaceMaskDataModule
from facemask.data.datamodule import ClipBatch
from facemask.data.loaders import EpochSampler, WholeBatches
from facemask.errors import InputError
from facemask.models.backbone import Encoder
from facemask.training.callbacks import SyncBatchNorm
from facemask.training.means import WeightedMeans
from facemask.training.modules import ConvLSTMFCNModule, FCNModule
from tests.training.test_carried_state import fit_carried
from tests.training.test_resume import BACKBONE, LIMITS, TinyModule, fit_tiny

MODULES = {
    "fcn": ("facemask.training.modules.FCNModule", None),
    "convlstm": ("facemask.training.modules.ConvLSTMFCNModule", 5),
    "cascade": ("facemask.training.cascade_module.CascadeModule", 5),
}
# batches of 5 do not divide by two; 16 and more frames leave a process without any
TESTS = [("fcn", 4), ("fcn", 500), ("convlstm", 3), ("convlstm", 100), ("cascade", 2)]


class Names(Callback):
    """Writes which clips a process trains on, by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, list[str]] = {}

    def on_train_batch_start(
        self, trainer: Trainer, _module: LightningModule, batch: ClipBatch, _index: int
    ) -> None:
        if self.names and trainer.world_size > 1:
            reducer = trainer.strategy.model
            assert isinstance(reducer, nn.parallel.DistributedDataParallel)
            assert not reducer.find_unused_parameters
        names = self.names.setdefault(trainer.current_epoch, [])
        names += [clip[0] for clip in batch["names"]]

    def on_train_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        Path(f"names{trainer.global_rank}.json").write_text(json.dumps(self.names))


class BadRank(Callback):
    """Gives one process a loss that is not finite."""

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: ClipBatch, index: int
    ) -> None:
        assert isinstance(module, TinyModule)
        if trainer.current_epoch == 1 and index == 1 and trainer.global_rank == 1:
            module.loss = nn.CrossEntropyLoss(weight=torch.full((5,), torch.inf), ignore_index=255)
            Path("bad.txt").write_text(", ".join(n for clip in batch["names"] for n in clip))


def options(root: Path, devices: int) -> list[str]:
    return [
        f"--data.root={root}", "--data.size=32", "--data.num_workers=0",
        "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", f"--trainer.devices={devices}",
        f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
    ]  # fmt: skip


def write_yaml(name: str, kind: str, **model: Any) -> str:  # noqa: ANN401
    module, clip_length = MODULES[kind]
    content = {
        "model": {"class_path": module, "init_args": model},
        "data": {"class_path": "facemask.data.FaceMaskDataModule",
                 "init_args": {"clip_length": clip_length,
                               "original_images": kind == "cascade"}},
    }  # fmt: skip
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump(content))
    return str(path)


def score(root: Path, weights: Path, devices: int) -> None:
    for kind, batch_size in TESTS:
        model: dict[str, Any] = {"backbone": BACKBONE}
        checkpoint = [f"--ckpt_path={weights}/{kind}.ckpt"]
        if kind == "cascade":
            model, checkpoint = {"primary": f"{weights}/fcn.ckpt",
                                 "eyes": f"{weights}/eyes.ckpt",
                                 "settings": {"size": 32}}, []  # fmt: skip
        file = write_yaml(kind, kind, **model)
        main(["test", "-c", file, *options(root, devices), *checkpoint, "--record.flow=none",
              f"--data.batch_size={batch_size}", "--trainer.logger=false",
              f"--record.folder={kind}_{batch_size}"])  # fmt: skip
    file = write_yaml("predict", "fcn", backbone=BACKBONE)
    main(["predict", "-c", file, *options(root, devices), f"--ckpt_path={weights}/fcn.ckpt",
          "--data.batch_size=6", "--trainer.logger=false"])  # fmt: skip


def train(root: Path, weights: Path) -> None:
    """Frozen layers, and validation in the middle; two epochs of all clips."""
    frozen = {"backbone": BACKBONE, "gamma": 0.0, "init_from": str(weights / "fcn.ckpt")}
    file = write_yaml("train", "convlstm", **frozen)
    with pytest.raises(SystemExit) as stop:
        main(["fit", "-c", file, *options(root, 2), "--trainer.sync_batchnorm=true"])
    assert "over processes on GPUs only" in str(stop.value.__cause__)
    main(["fit", "-c", file, *options(root, 2), "--trainer.max_epochs=2", "--trainer.logger=false",
          "--trainer.val_check_interval=0.5", "--data.batch_size=3",
          "--trainer.callbacks=tests.training.test_ddp.Names",
          "--trainer.callbacks+=ModelCheckpoint",
          "--trainer.callbacks.dirpath=run"])  # fmt: skip


def resume(root: Path) -> None:
    """A whole run, and one resumed in the middle of an epoch; then one that goes wrong."""
    both: dict[str, Any] = {"devices": 2, "strategy": "ddp", "limit_train_batches": 3}
    steps = ModelCheckpoint("steps", "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = fit_tiny(root, Path("whole"), callbacks=[steps], **LIMITS["max_epochs"] | both)
    resumed = fit_tiny(root, Path("again"), "steps/step=4.ckpt", **LIMITS["max_epochs"] | both)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    steps = ModelCheckpoint("carried", "{step}", every_n_train_steps=1, save_top_k=-1)
    two: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
    carried = fit_carried(root, Path("carried"), callbacks=(steps,), **two)
    again = fit_carried(root, Path("carried_again"), "carried/step=5.ckpt", **two)
    for name, value in carried.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    states = torch.load("carried/step=5.ckpt", weights_only=True)["facemask_states"]
    assert not torch.equal(states[0]["numbers"], states[1]["numbers"])
    with pytest.raises(InputError) as stop:
        fit_tiny(root, Path("bad"), callbacks=[BadRank()], **both)
    Path(f"stop{torch.distributed.get_rank()}.txt").write_text(str(stop.value))


def run(rank: int | None, port: int, folder: Path, root: Path, weights: Path) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["facemask"]
    with Path(f"log{rank}.txt").open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if rank is None:
        score(root, weights, devices=1)
        return
    # as torchrun does
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    score(root, weights, devices=2)
    train(root, weights)
    resume(root)


@pytest.fixture(scope="module")
def folders(mask_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process wrote, and what two did."""
    weights, one, two = (tmp_path_factory.mktemp(name) for name in ("weights", "one", "two"))
    torch.manual_seed(0)
    for name, module, clip_length in (
        ("fcn", FCNModule(BACKBONE), None),
        ("eyes", FCNModule(BACKBONE, region="eyes"), None),
        ("convlstm", ConvLSTMFCNModule(BACKBONE), 5),
    ):
        data = FaceMaskDataModule(str(mask_root), clip_length=clip_length, size=32, num_workers=0,
                                  region=module.region)  # fmt: skip
        trainer = Trainer(default_root_dir=weights, accelerator="cpu", max_epochs=1, logger=False,
                          limit_train_batches=1, limit_val_batches=0, enable_checkpointing=False,
                          enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
        trainer.fit(module, data)
        trainer.save_checkpoint(weights / f"{name}.ckpt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["facemask.training.cli", "tests.training.test_resume", "tests.training.test_ddp"]
    )
    processes = [
        context.Process(target=run, args=(rank, port, folder, mask_root, weights))
        for rank, folder in ((None, one), (0, two), (1, two))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
        process.kill()
    logs = [path.read_text()[-5000:] for folder in (one, two) for path in folder.glob("log*.txt")]
    assert [process.exitcode for process in processes] == [0, 0, 0], "\n".join(logs)
    return one, two


@pytest.mark.parametrize(("kind", "batch_size"), TESTS)
def test_a_test_is_the_same_to_the_last_bit(
    kind: str, batch_size: int, folders: tuple[Path, Path], mask_root: Path
) -> None:
    one, two = (folder / f"{kind}_{batch_size}" for folder in folders)
    frames = (one / "frames.csv").read_bytes()
    assert (two / "frames.csv").read_bytes() == frames
    lines = (mask_root / "data_splits/split_1/test_per10.txt").read_text().splitlines()
    assert frames.count(b"\n") == len(lines) + 1
    records = [json.loads((folder / "record.json").read_text()) for folder in (one, two)]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert "miou" in records[0]["metrics"]
    assert ("eyes_found" if kind == "cascade" else "loss") in records[0]["metrics"]
    for label in (one / "labels").iterdir():
        assert (two / "labels" / label.name).read_bytes() == label.read_bytes()


def test_predictions_are_the_same(folders: tuple[Path, Path]) -> None:
    one, two = ({p.name: p.read_bytes() for p in (f / "predictions").iterdir()} for f in folders)
    assert one
    assert one == two


def test_training_shares_the_clips(folders: tuple[Path, Path], mask_root: Path) -> None:
    ranks = [json.loads((folders[1] / f"names{rank}.json").read_text()) for rank in (0, 1)]
    data = FaceMaskDataModule(str(mask_root))
    data.setup("fit")
    clips = {clip[0].image.stem for clip in data.datasets["train"].clips}
    for epoch in ("0", "1"):
        first, second = (rank[epoch] for rank in ranks)
        assert len(first) == len(second) == len(clips) // 2
        assert len({*first, *second}) == len(first) + len(second)
        assert {*first, *second} <= clips
    assert ranks[0]["0"] != ranks[0]["1"]


def test_a_bad_loss_of_one_process_stops_both(folders: tuple[Path, Path]) -> None:
    said = {(folders[1] / f"stop{rank}.txt").read_text() for rank in (0, 1)}
    assert len(said) == 1
    names = (folders[1] / "bad.txt").read_text()
    assert f"in epoch 1, step 1 (both count from 0), in the batch of {names}: look" in said.pop()


@pytest.mark.parametrize(("length", "batch_size"), [(0, 2), (1, 4), (7, 2), (8, 2), (9, 2), (5, 1)])
@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
def test_whole_batches(length: int, batch_size: int, replicas: int) -> None:
    single = list(WholeBatches(length, batch_size))
    assert [i for batch in single for i in batch] == list(range(length))
    ranks = [list(WholeBatches(length, batch_size, replicas, rank)) for rank in range(replicas)]
    assert len({len(batches) for batches in ranks}) == 1
    dealt = [batches[turn] for turn in range(len(ranks[0])) for batches in ranks]
    assert [batch for batch in dealt if batch] == single


def test_more_processes_than_clips(mask_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FaceMaskDataModule(str(mask_root), num_workers=0)
    data.setup("fit")
    monkeypatch.setattr("facemask.data.rows.processes", lambda: (1000, 0))
    with pytest.raises(InputError, match=r"has \d+ clips for 1000 processes: train on at most"):
        data.train_dataloader()
    monkeypatch.setattr("facemask.data.datamodule.processes", lambda: (1000, 999))
    loader: DataLoader[Any] = data.val_dataloader()
    (batch,) = loader
    assert batch["images"].shape == (0, 5, 3, 320, 320)
    assert batch["masks"].shape == (0, 5, 320, 320)
    assert batch["names"] == []


def test_epoch_sampler_goes_on_in_an_epoch(mask_root: Path) -> None:
    def make() -> EpochSampler:
        return EpochSampler(11, 3, replicas=2, rank=1)

    whole, resumed = make(), make()
    resumed.first_epoch, resumed.skip = 4, 3
    for epoch in (4, 5):
        whole.set_epoch(epoch)
        resumed.set_epoch(epoch)
        expected = list(whole)
        assert len(expected) == len(resumed) == 5
        assert list(resumed) == (expected[3:] if epoch == 4 else expected)


def test_weighted_means_do_not_depend_on_the_order() -> None:
    values = (torch.rand(300, generator=torch.Generator().manual_seed(0)) - 0.5) * 10.0 ** (
        torch.arange(300) % 9
    )
    found = []
    for order in (range(300), reversed(range(300))):
        means = WeightedMeans(["a", "b"])
        means.update({}, 0)
        for i in order:
            means.update({"a": values[i], "b": torch.tensor(2.0)}, 1 + i % 5)
        found.append(means.compute())
    assert torch.equal(found[0]["a"], found[1]["a"])
    weights = 1 + torch.arange(300) % 5
    expected = (values.double() * weights).sum() / weights.sum()
    torch.testing.assert_close(found[0]["a"].double(), expected, rtol=1e-6, atol=0)
    assert found[0]["b"] == 2
    empty = WeightedMeans(["a"])
    empty.update({}, 0)
    assert empty.compute()["a"].isnan()
    empty.update({"a": torch.tensor(torch.inf)}, 2)
    assert empty.compute()["a"].isinf()


def test_sync_batchnorm_keeps_activations() -> None:
    encoder = Encoder(BACKBONE, False, 16).eval()
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = encoder(images)
    converted = SyncBatchNorm().apply(encoder)
    assert any(isinstance(module, nn.SyncBatchNorm) for module in converted.modules())
    torch.testing.assert_close(converted(images), expected, rtol=0, atol=0)
