"""What Lightning does not document and the library relies on: these fail when it changes."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch.utils.data import DataLoader

from facemask.training import private_api
from facemask.training.callbacks import SyncBatchNorm

PACKAGE = Path(__file__).parents[2] / "facemask"


class Line(LightningModule):
    """Fits a line to four batches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, _index: int) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch).square().mean()
        self.log("loss", loss, on_step=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(folder: Path, **options: Any) -> Trainer:  # noqa: ANN401
    return Trainer(
        default_root_dir=folder, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False,
        **{"devices": 1, "logger": False, "enable_checkpointing": False} | options,
    )  # fmt: skip


def fit(run: Trainer) -> None:
    run.fit(Line(), DataLoader(torch.ones(4, 1)))  # type: ignore[arg-type]  # a tensor is a data set


def test_a_checkpoint_says_where_its_run_was(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=3, save_top_k=-1, filename="{step}")
    run = trainer(tmp_path, max_epochs=2, callbacks=[saver], enable_checkpointing=True)
    fit(run)
    run.save_checkpoint(tmp_path / "end.ckpt")
    middle, end = (
        torch.load(tmp_path / name, weights_only=True) for name in ("step=6.ckpt", "end.ckpt")
    )
    assert private_api.epochs_done(middle) == 1
    assert not private_api.between_epochs(middle)
    assert private_api.last_logged_step(middle) == 5
    assert private_api.epochs_done(end) == 2
    assert private_api.between_epochs(end)
    assert private_api.last_logged_step(end) == 7
    private_api.end_with_a_batch(end)
    assert not private_api.between_epochs(end)
    assert private_api.epochs_done(end) == 1
    assert private_api.last_logged_step(end) == 7


def test_counts_of_an_epoch_that_has_ended(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_epochs=2)
    fit(run)
    before = run.fit_loop.epoch_progress.state_dict()
    with private_api.epoch_counted_back(run, begun=0):
        run.save_checkpoint(tmp_path / "a.ckpt")
    assert run.fit_loop.epoch_progress.state_dict() == before
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert saved["loops"]["fit_loop"]["epoch_progress"]["total"]["completed"] == 1
    assert private_api.epochs_done(saved) == 2


def test_a_csv_logger_writes_through_what_it_is_given(tmp_path: Path) -> None:
    class Writer(ExperimentWriter):
        rows = 0

        def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
            self.rows += 1
            super().log_metrics(metrics_dict, step)

    logger = CSVLogger(tmp_path)
    writer = Writer(logger.log_dir)
    private_api.use_csv_writer(logger, writer)
    fit(trainer(tmp_path, max_epochs=1, logger=logger, log_every_n_steps=1))
    assert logger.experiment is writer
    assert writer.rows == 4


def test_what_converts_batchnorm(tmp_path: Path) -> None:
    assert private_api.layer_sync(trainer(tmp_path)) is None
    run = trainer(tmp_path, sync_batchnorm=True, strategy="ddp", devices=2)
    assert isinstance(private_api.layer_sync(run), TorchSyncBatchNorm)
    ours = SyncBatchNorm()
    private_api.use_layer_sync(run, ours)
    assert private_api.layer_sync(run) is ours


def private_names(tree: ast.AST) -> set[str]:
    """The names with an underscore that a module gives to something of its own."""
    nodes = list(ast.walk(tree))
    found = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    found |= {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }
    return found | {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
OWN = set[str]().union(*map(private_names, TREES.values()))
DOCUMENTED = {"_replace", "_asdict", "_fields", "_exit"}  # of named tuples and os


@pytest.mark.parametrize("path", sorted(TREES), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_else_is_private(path: Path) -> None:
    if path.name == "private_api.py":
        return
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            assert node.attr in OWN | DOCUMENTED, f"{path}:{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("facemask"):
            names = [node.module or "", *(alias.name for alias in node.names)]
            assert not any(re.search(r"(^|\.)_[A-Za-z]", name) for name in names), node.lineno


@pytest.mark.parametrize("path", sorted(TREES), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_private_method_of_others_is_overridden(path: Path) -> None:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    if path.name == "__main__.py" or "app" in path.parts:  # Gradio is an extra
        return
    for kind in vars(importlib.import_module(name.removesuffix(".__init__"))).values():
        if not inspect.isclass(kind) or not kind.__module__.startswith("facemask"):
            continue
        others = [base for base in kind.__mro__ if not base.__module__.startswith("facemask")]
        for method, function in vars(kind).items():
            if inspect.isfunction(function) and re.match(r"_[a-z]", method):
                assert not any(method in vars(base) for base in others), f"{name}: {method}"
