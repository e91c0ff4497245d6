"""Networks that read the truth out of the pictures that they are shown."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from facemask.classes import CLASS_NAMES, SKIN
from facemask.data.masks import landmarks_to_mask
from facemask.metrics import MaskIoU
from facemask.models import Cascade, CascadeOutput, CascadeSettings
from tests.faces import face_points

# A colour channel says "face", one "eyes or inner mouth", one "lips or inner mouth". A blend of
# two neighbouring classes changes from one to the other half way and never to a third.
COLORS = 255 * torch.tensor(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=torch.uint8
)


def paint(mask: Tensor) -> Tensor:
    """An image, uint8 (3, H, W), whose colours are the classes of a mask."""
    return COLORS[mask.long()].permute(2, 0, 1).contiguous()


class Oracle(nn.Module):
    """Reads the region's classes off the colours of `paint`, exactly.

    Args:
        region: "face", "eyes" or "mouth".
        edit: Changes the scores (B, T, C, S, S), to make mistakes.
    """

    def __init__(self, region: str, edit: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.region = region
        self.num_classes = {"face": 5, "eyes": 2, "mouth": 3}[region]
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))
        self.edit = edit
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        self.seen.append(tuple(images.shape))
        r, g, b = (images - 0.5).unbind(-3)
        if self.region == "face":
            scores = [-r + g.abs() + b.abs(), r - g - b, r + g - b, r - g + b, r + g + b]
        elif self.region == "eyes":
            scores = [-torch.minimum(g, -b), torch.minimum(g, -b)]
        else:
            scores = [g.abs() - b, b - g, b + g]
        out = torch.stack(scores, dim=-3)
        return (out if self.edit is None else self.edit(out)), None  # a state, as ConvLSTM-FCNs


def all_background(scores: Tensor) -> Tensor:
    scores = scores.clone()
    scores[..., 0, :, :] = 9
    return scores


def without(*classes: int) -> Callable[[Tensor], Tensor]:
    """Scores that take these classes for skin."""

    def edit(scores: Tensor) -> Tensor:
        scores = scores.clone()
        lost = scores[..., list(classes), :, :].amax(dim=-3)
        scores[..., SKIN, :, :] = torch.maximum(scores[..., SKIN, :, :], lost)
        scores[..., list(classes), :, :] = -9
        return scores

    return edit


def make_clip(
    height: int, width: int, frames: int = 5, seed: int = 0
) -> tuple[list[Tensor], list[Tensor]]:
    """Images and masks of a face that moves; the frames differ by a pixel or two in size."""
    masks = []
    for t in range(frames):
        h, w = height + t % 3 - 1, width - t % 2
        points = face_points(
            np.random.default_rng(seed),
            size=0.7 * min(height, width),
            center=(w / 2 + 0.008 * t * width, h / 2),
            jitter=0.005,
        )
        masks.append(torch.from_numpy(landmarks_to_mask(points, h, w)))
    return [paint(mask) for mask in masks], masks


def oracles(
    primary: Callable[[Tensor], Tensor] | None = None,
    eyes: Callable[[Tensor], Tensor] | None = None,
    mouth: Callable[[Tensor], Tensor] | None = None,
    options: CascadeSettings | None = None,
) -> Cascade:
    return Cascade(
        Oracle("face", primary), Oracle("eyes", eyes), Oracle("mouth", mouth), options
    ).eval()


def check_truth(output: CascadeOutput, truth: list[list[Tensor]]) -> None:
    iou = MaskIoU()
    for labels, masks in zip(output.labels, truth, strict=True):
        for label, mask in zip(labels, masks, strict=True):
            assert label.dtype == torch.uint8
            iou.update(label, mask)
    values = {name: float(value) for name, value in iou.compute().items()}
    for name in CLASS_NAMES:
        assert values[f"iou_{name}"] >= 0.98, values
