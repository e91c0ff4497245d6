"""Painted faces, and a network that reads them."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facemask.classes import EYES, INNER_MOUTH, LIPS, NUM_CLASSES, PALETTE, SKIN
from facemask.models import Cascade, CascadeSettings
from facemask.models.convlstm_fcn import ConvLSTMFCN
from facemask.video import FrameSource, VideoFrame, VideoWriter, open_source

Image = npt.NDArray[np.uint8]


class PaletteReader(nn.Module):
    """Scores each pixel by how near its colour is to each class's."""

    num_classes = NUM_CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))
        self.register_buffer("colors", torch.from_numpy(PALETTE.copy()).float() / 255)

    def forward(self, images: Tensor) -> Tensor:
        colors = self.get_buffer("colors").reshape(NUM_CLASSES, 3, 1, 1)
        distance = (images.unsqueeze(-4) - colors).square().sum(dim=-3)
        return -20 * distance


def reader(size: int = 96) -> Cascade:
    return Cascade(PaletteReader(), settings=CascadeSettings(size=size, temperature=1.0)).eval()


def random_cascade(size: int = 32, seed: int = 0) -> Cascade:
    """A ConvLSTM-FCN with random weights, large enough to tell frames apart."""
    torch.manual_seed(seed)
    network = ConvLSTMFCN("mobilenetv3_small_050", cell_activation="tanh")
    for parameter in network.convlstm.parameters():
        nn.init.normal_(parameter, std=0.5)
    return Cascade(network, settings=CascadeSettings(size=size)).eval()


def paint_labels(height: int, width: int, x: float, y: float, side: float) -> Image:
    """Class ids of a frame with a face whose crop is the square of this side around (x, y)."""
    labels = np.zeros((height, width), dtype=np.uint8)

    def ellipse(dx: float, dy: float, a: float, b: float, value: int) -> None:
        center = (round(x + dx * side), round(y + dy * side))
        axes = (round(a * side), round(b * side))
        cv2.ellipse(labels, center, axes, 0, 0, 360, value, -1)

    ellipse(0, 0, 0.38, 0.38, SKIN)
    for dx in (-0.17, 0.17):
        ellipse(dx, -0.1, 0.08, 0.04, EYES)
    ellipse(0, 0.2, 0.14, 0.07, LIPS)
    ellipse(0, 0.2, 0.09, 0.03, INNER_MOUTH)
    return labels


def paint(labels: Image) -> Image:
    return PALETTE[labels]


def write_video(path: Path, images: list[Image], fps: int = 25) -> Path:
    """Write frames without visible loss."""
    folder = path.parent / f"{path.stem}_frames"
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:04d}.png"), image[..., ::-1])
    with open_source(folder, fps) as source, VideoWriter(path, source, crf=4) as writer:
        for frame in source:
            writer.write(frame, frame.image)
    return path


class Frames(FrameSource):
    """Frames from memory."""

    def __init__(self, images: list[Image]) -> None:
        self.name, self.path, self.frame_count = "memory", None, len(images)
        self.height, self.width = images[0].shape[:2]
        self._images = images

    def _frames(self) -> Iterator[VideoFrame]:
        for index, image in enumerate(self._images):
            yield VideoFrame(index, index / 25, image)

    def close(self) -> None:
        pass


def random_images(count: int, size: int = 40, seed: int = 0) -> list[Image]:
    """Pictures that change, so that what a network remembers matters, but never cut."""
    rng = np.random.default_rng(seed)
    base = rng.integers(60, 196, (1, 6, 6, 3))
    pictures = (base + rng.integers(-8, 9, (count, 6, 6, 3))).astype(np.uint8)
    return [cv2.resize(p, (size, size), interpolation=cv2.INTER_CUBIC) for p in pictures]
