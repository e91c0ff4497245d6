"""Networks of somebody else, and subclasses of ours, as a user writes them."""

from typing import Any

import segmentation_models_pytorch as smp
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn

from facemask.data import FaceMaskDataModule
from facemask.models.fcn import FCN
from facemask.training.cascade_module import CascadeModule
from facemask.training.mask_module import MaskModule


class Unet(nn.Module):
    """A network of images from elsewhere, in a wrapper."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.unet = smp.Unet(
            "resnet18", encoder_depth=3, encoder_weights=None,
            decoder_channels=(4 * width, 2 * width, width), classes=5,
        )  # fmt: skip
        self.num_classes = 5
        self.mean, self.std = (0.4, 0.5, 0.6), [0.25, 0.2, 0.3]

    def forward(self, images: Tensor) -> Tensor:
        assert images.ndim == 4
        scores: Tensor = self.unet(images)
        return scores


class ClipNetwork(nn.Module):
    """A network of clips whose scores of a frame come from the frames before it, too."""

    num_classes = 5
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 1)
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1))
        self.register_buffer("std", torch.full((3, 1, 1), 0.5))

    def forward(self, clips: Tensor) -> tuple[Tensor, str]:
        count = torch.arange(1, clips.shape[1] + 1, device=clips.device).view(-1, 1, 1, 1)
        means = clips.cumsum(dim=1) / count
        return self.layer(means.flatten(0, 1)).unflatten(0, clips.shape[:2]), "and something else"


class OwnFCN(FCN):
    """One of ours, changed without a change to its tensors."""

    def forward(self, images: Tensor) -> Tensor:
        return -super().forward(images)


class OwnCascade(CascadeModule):
    """A subclass that is called differently."""


class OwnData(FaceMaskDataModule):
    """A subclass that is called differently."""


class PlainData(LightningDataModule):
    """A data module that is none of ours, but hands out such batches."""

    def __init__(self, data: FaceMaskDataModule) -> None:
        super().__init__()
        self.data = data

    def setup(self, stage: str) -> None:
        self.data.setup(stage)

    def train_dataloader(self) -> Any:  # noqa: ANN401
        return self.data._whole("train")

    def val_dataloader(self) -> Any:  # noqa: ANN401
        return self.data.val_dataloader()


class UnetModule(MaskModule):
    """A module that makes its network itself."""

    def __init__(self, width: int = 8, learning_rate: float = 1e-3) -> None:
        super().__init__(Unet(width), learning_rate=learning_rate)
        self.save_hyperparameters()
