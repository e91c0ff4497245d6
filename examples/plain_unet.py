"""A plain Unet of segmentation_models.pytorch trained from scratch with each loss as it comes.

A toy of two seconds a training: discs with two rare marks, each 1 to 2 % of the pixels. Prints the
table of docs/losses.md; needs `pip install segmentation-models-pytorch`.
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import facemask.losses as fl

# isort: split
import segmentation_models_pytorch as smp  # after facemask, which mends torchvision

SEEDS = range(3)
COLORS = np.array([[0.2, 0.3, 0.4], [0.7, 0.5, 0.4], [0.1, 0.8, 0.7], [0.6, 0.2, 0.9]])
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "CrossEntropyLoss()": fl.CrossEntropyLoss,
    "IoULoss()": fl.IoULoss,
    "both, 1 : 1": lambda: fl.CompositeLoss({"ce": fl.CrossEntropyLoss(), "iou": fl.IoULoss()}),
    "SegmentationLoss()": fl.SegmentationLoss,
    'SegmentationLoss("linear")': lambda: fl.SegmentationLoss("linear"),
}


def draw(*seed: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Noisy images (N, 3, 32, 32) and class ids (N, 32, 32)."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, 32, 32), dtype=np.uint8)
    for mask in masks:
        x, y = (int(value) for value in rng.integers(12, 20, size=2))
        cv2.circle(mask, (x, y), 9, 1, -1)
        cv2.ellipse(mask, (x - 3, y - 3), (3, 2), 0, 0, 360, 2, -1)
        cv2.rectangle(mask, (x - 2, y + 3), (x + 3, y + 4), 3, -1)
    images = COLORS[masks] + rng.normal(0, 0.1, size=(*masks.shape, 3))
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(images), torch.from_numpy(masks)


def train(loss: nn.Module, seed: int) -> list[float]:
    """Train for 100 steps; return each class's IoU on images not seen."""
    torch.manual_seed(seed)
    network = smp.Unet(
        "mobilenet_v2", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 16),
        classes=4,
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(100):
        images, masks = draw(seed, step)
        optimizer.zero_grad()
        torch.autograd.backward(loss(network(images), masks.long()))
        optimizer.step()
    network.eval()
    images, masks = draw(seed, 1000, count=64)
    with torch.no_grad():
        labels = network(images).argmax(dim=1)
    hits = [((labels == c) & (masks == c)).sum() for c in range(4)]
    unions = [((labels == c) | (masks == c)).sum() for c in range(4)]
    return [float(hit / union) for hit, union in zip(hits, unions, strict=True)]


def main() -> None:
    """Train all and print the mean IoU of each seed, and each class's."""
    for name, loss in LOSSES.items():
        ious = 100 * np.array([train(loss(), seed) for seed in SEEDS])
        seeds = " ".join(f"{value:5.1f}" for value in ious.mean(axis=1))
        classes = " ".join(f"{value:5.1f}" for value in ious.mean(axis=0))
        print(f"{name:<30} seeds {seeds}   mean {ious.mean():5.1f}   classes {classes}")


if __name__ == "__main__":
    main()
