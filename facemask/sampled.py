"""Maps of an upright face, sampled at pixels of the image: at all of them, or where it matters."""

import math
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box, Crop
from facemask.turned import TurnedBox


class Sampled(Protocol):
    """Maps of an upright face, sampled at the image's pixels where they are asked for."""

    crop: Crop
    """Pixels of the image that there are samples for."""
    maps: Tensor
    """What is sampled: (C, h, w), float32."""

    def at(self, part: Crop) -> Tensor:
        """Return the samples (C, h, w) at pixels inside the crop."""

    def at_points(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the samples (C, n) at n pixels inside the crop."""


class Straight:
    """Maps of a face that is not turned; they have been resized to the image's pixels."""

    def __init__(self, maps: Tensor, left: int, top: int) -> None:
        self.maps = maps
        self.crop = Crop(left, top, left + maps.shape[-1], top + maps.shape[-2])

    def at(self, part: Crop) -> Tensor:
        """Return the samples (C, h, w) at pixels inside the crop."""
        rows, columns = part.shifted(-self.crop.left, -self.crop.top).pixels
        return self.maps[:, rows, columns]

    def at_points(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the samples (C, n) at n pixels inside the crop."""
        return self.maps[:, rows - self.crop.top, columns - self.crop.left]


class Turned:
    """Maps (C, h, w) of a box of a turned face, sampled bilinearly, edges repeated."""

    def __init__(self, maps: Tensor, crop: Crop, place: TurnedBox, box: Box) -> None:
        self.maps, self.crop = maps, crop
        # from places in the crop to places in the box, both from -1 to 1
        edges = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        there = edges * (crop.width, crop.height) + (crop.left, crop.top)
        relative = (place.to_upright(there) - (box.left, box.top)) / (box.width, box.height)
        first, right, below = 2 * relative - 1
        across, down = (right - first) / 2, (below - first) / 2
        theta = np.stack([across, down, first + across + down])  # (3, 2)
        self._theta = torch.from_numpy(theta).to(maps)
        self._x, self._y = _relative(crop.width, maps), _relative(crop.height, maps)

    def at(self, part: Crop) -> Tensor:
        """Return the samples (C, h, w) at pixels inside the crop."""
        rows, columns = part.shifted(-self.crop.left, -self.crop.top).pixels
        x, y = self._x[None, columns], self._y[rows, None]
        return self._at(x.expand(part.height, -1), y.expand(-1, part.width))

    def at_points(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the samples (C, n) at n pixels inside the crop."""
        x, y = self._x[columns - self.crop.left], self._y[rows - self.crop.top]
        return self._at(x[None], y[None])[:, 0]

    def _at(self, x: Tensor, y: Tensor) -> Tensor:
        """Sample at places (h, w) of the crop, from -1 to 1: (C, h, w)."""
        if x.numel() == 0:
            return self.maps.new_zeros(len(self.maps), *x.shape)
        with torch.autocast(self.maps.device.type, enabled=False):
            # as `F.affine_grid`, which knows no parts
            places = torch.stack([x, y, torch.ones_like(x)], dim=-1).flatten(0, 1)
            grid = (places[None] @ self._theta[None]).view(1, *x.shape, 2)
            maps = self.maps[None]
            return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)[0]


def _relative(count: int, like: Tensor) -> Tensor:
    """Return the centres of `count` pixels in a row, from -1 at its start to 1 at its end."""
    if count <= 1:
        return like.new_zeros(count)
    return torch.linspace(-1, 1, count, dtype=like.dtype, device=like.device) * (count - 1) / count


def reduced(maps: Tensor, box: Box) -> Tensor:
    """Return maps (C, h, w) of a box with no more pixels than the image has there."""
    least = (math.ceil(box.height), math.ceil(box.width))
    if least[0] >= maps.shape[-2] and least[1] >= maps.shape[-1]:
        return maps
    shape = tuple(min(pair) for pair in zip(least, maps.shape[-2:], strict=True))
    return F.interpolate(maps[None], shape, mode="bilinear", antialias=True)[0]
