"""Trainings behind a frozen encoder, with and without cached features."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from facemask.data import FaceMaskDataModule
from facemask.data.clips import ClipBatch
from facemask.training.modules import ConvLSTMFCNModule

BACKBONE = "test_resnet"


class Recorder(Callback):
    """Keeps the loss and the names of each training batch, and what it was made of."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.names: list[list[str]] = []
        self.kinds: set[str] = set()

    def on_train_batch_end(
        self,
        _trainer: Trainer,
        _module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: ClipBatch,
        _index: int,
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        self.names.append([clip[0] for clip in batch["names"]])
        self.kinds |= {"features", "images"} & batch.keys()


class Run:
    """One training and what it did."""

    def __init__(
        self,
        root: Path,
        folder: Path | None,
        model: dict[str, Any] | None = None,
        trainer: dict[str, Any] | None = None,
        **data: Any,  # noqa: ANN401
    ) -> None:
        torch.manual_seed(0)
        self.module = ConvLSTMFCNModule(
            BACKBONE,
            gamma=0,
            output_stride=8,
            feature_cache=None if folder is None else str(folder),
            **(model or {}),
        )
        generator = torch.Generator().manual_seed(0)  # the same encoder in every run
        for parameter in self.module.network.encoder.parameters():
            with torch.no_grad():
                parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
        self.encoded = 0
        self.module.network.encoder.register_forward_hook(self._count)
        self.seen = Recorder()
        settings = {"max_epochs": 2, "limit_train_batches": 3, "limit_val_batches": 2}
        self.trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            callbacks=[self.seen],
            num_sanity_val_steps=0,
            **{**settings, **(trainer or {})},
        )
        options = {"clip_length": 5, "size": 32, "batch_size": 3, "num_workers": 0, **data}
        self.data = FaceMaskDataModule(str(root), **options)

    def _count(self, *_: object) -> None:
        self.encoded += 1

    def fit(self, checkpoint: Path | None = None) -> "Run":
        self.trainer.fit(self.module, self.data, ckpt_path=checkpoint, weights_only=True)
        return self

    @property
    def logged(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.trainer.callback_metrics.items()}


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))
