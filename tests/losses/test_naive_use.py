"""A plain segmentation_models.pytorch network trained with each loss as it comes."""

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from facemask.losses import CrossEntropyLoss, SegmentationLoss

COLORS = np.array([[0.2, 0.3, 0.4], [0.7, 0.5, 0.4], [0.1, 0.8, 0.7], [0.6, 0.2, 0.9]])


def draw(*seed: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Noisy images (N, 3, 32, 32) of a disc with two marks of 1 to 2 % of the pixels; ids."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, 32, 32), dtype=np.uint8)
    for mask in masks:
        x, y = (int(value) for value in rng.integers(12, 20, size=2))
        cv2.circle(mask, (x, y), 9, 1, -1)
        cv2.ellipse(mask, (x - 3, y - 3), (3, 2), 0, 0, 360, 2, -1)
        cv2.rectangle(mask, (x - 2, y + 3), (x + 3, y + 4), 3, -1)
    images = COLORS[masks] + rng.normal(0, 0.1, size=(*masks.shape, 3))
    return torch.from_numpy(images.transpose(0, 3, 1, 2)).float(), torch.from_numpy(masks)


def mean_iou(loss: nn.Module, seed: int) -> float:
    """Train for 100 steps; return the mean IoU of all classes on images not seen."""
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
    ious = [
        ((labels == c) & (masks == c)).sum() / ((labels == c) | (masks == c)).sum()
        for c in range(4)
    ]
    return float(torch.stack(ious).mean())


def test_the_segmentation_loss_as_it_comes_is_near_cross_entropy() -> None:
    # with this seed Eq. 9 of softmax never finds the last class: 0.73
    usual, ours = mean_iou(CrossEntropyLoss(), 3), mean_iou(SegmentationLoss(), 3)
    assert usual > 0.95
    assert ours > usual - 0.01
