"""Lightning callbacks."""

# ruff: noqa: ARG002  # Lightning decides what its hooks are given

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_info
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from facemask.data.masks import mask_to_color
from facemask.files import make_folder, write_image


class LabelWriter(BasePredictionWriter):
    """Writes predicted label images as PNG files, one a frame, named as the frame's picture.

    Args:
        folder: Where to; made when needed.
        color: Write palette colours (RGB) instead of class ids.
    """

    def __init__(self, folder: str = "predictions", color: bool = False) -> None:
        """See the class."""
        super().__init__(write_interval="batch")
        self.folder = Path(folder)
        self.color = color

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the folder, before anything is computed.

        Raises:
            InputError: It cannot be made.
        """
        make_folder(self.folder)

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: dict[str, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write one batch."""
        for name, label in prediction.items():
            mask = label.cpu().numpy()
            write_image(self.folder / f"{name}.png", mask_to_color(mask) if self.color else mask)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the label images are."""
        rank_zero_info(f"Label images are in {self.folder}.")
