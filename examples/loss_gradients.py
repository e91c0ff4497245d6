"""What each loss asks for on a toy image: draws docs/images/loss_gradients.png.

A face of three classes and a prediction that is shifted, blurred and misses half an eye. Run from
the root of the checkout; needs matplotlib (`pip install -e '.[plot]'`).
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap, TwoSlopeNorm
from torch import Tensor

from facemask.losses import cross_entropy, iou_loss, segmentation_loss

SIZE = 64
CLASSES = ("background", "skin", "eyes")
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": lambda s, y: cross_entropy(s, y),
    "IoU loss (Eq. 3)": lambda s, y: iou_loss(s, y),
    "segmentation loss\nEq. 8, g = 1": lambda s, y: segmentation_loss(s, y, "hinge"),
    "segmentation loss\nEq. 9 of softmax, g = 1": lambda s, y: segmentation_loss(s, y, "linear"),
}


def draw_mask(shift: int, right_eye: bool) -> np.ndarray:
    """A face and its eyes as ellipses, uint8 (64, 64)."""
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    cv2.ellipse(mask, (32 + shift, 33), (20, 26), 0, 0, 360, 1, -1)
    cv2.ellipse(mask, (24 + shift, 27), (6, 3), 0, 0, 360, 2, -1)
    if right_eye:
        cv2.ellipse(mask, (40 + shift, 27), (6, 3), 0, 0, 360, 2, -1)
    return mask


def main() -> None:
    """Compute the gradients and draw them."""
    truth = draw_mask(shift=0, right_eye=True)
    guess = np.eye(3, dtype=np.float32)[draw_mask(shift=3, right_eye=False)]
    scores = torch.from_numpy(1.8 * cv2.GaussianBlur(guess, (0, 0), 1.5) - 0.9)  # in (-1, 1)
    scores = scores.permute(2, 0, 1)[None].contiguous()
    target = torch.from_numpy(truth)[None]

    figure, axes = plt.subplots(
        len(LOSSES), 2 + len(CLASSES), figsize=(11, 9.2), layout="constrained"
    )
    colors = ListedColormap(["#20242b", "#e0483e", "#3fbf5f"])
    for row, (name, loss) in zip(axes, LOSSES.items(), strict=True):
        leaf = scores.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, target), leaf)
        push = -gradient[0].numpy()
        row[0].imshow(truth, cmap=colors, vmin=0, vmax=2)
        row[1].imshow(scores[0].argmax(0), cmap=colors, vmin=0, vmax=2)
        for axis, plane in zip(row[2:], push, strict=True):
            norm = TwoSlopeNorm(0, -np.abs(push).max(), np.abs(push).max())
            axis.imshow(plane, cmap="RdBu_r", norm=norm)
            axis.contour(truth, levels=[0.5, 1.5], colors="black", linewidths=0.5)
        row[0].set_ylabel(name)
    for axis, title in zip(axes[0], ("truth", "prediction", *CLASSES), strict=True):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(Path("docs") / "images" / "loss_gradients.png", dpi=90)


if __name__ == "__main__":
    main()
