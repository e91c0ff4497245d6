"""Upright views of turned faces: what networks see of an image, and the way back into it.

A view that is not turned is a part of the image as it is, and is resized like all images. A turned
one is sampled once, from the image's own pixels at the places of the network's input, and what the
network says is sampled once at the centres of the image's pixels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box, Crop
from facemask.errors import InputError
from facemask.resample import crop_pixels, paste_back, resize_whole, scores_at_size
from facemask.turned import TurnedBox


@dataclass(frozen=True, eq=False)
class View:
    """A face in an image, looked at upright.

    Attributes:
        pixels: The image, or the part of it around the box, uint8 (3, H, W).
        place: The box in pixel edges of `pixels`. One without roll is all of `pixels`.
    """

    pixels: Tensor
    place: TurnedBox

    @classmethod
    def whole(cls, pixels: Tensor) -> "View":
        """Return a whole image uint8 (3, H, W) as it is."""
        height, width = pixels.shape[-2:]
        return cls(pixels, TurnedBox(Box(0.0, 0.0, float(width), float(height))))

    @property
    def is_turned(self) -> bool:
        """True if there is a roll."""
        return self.place.roll != 0

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the upright box in pixels of the image."""
        if self.is_turned:
            return self.place.box.height, self.place.box.width
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def resized(self, size: int) -> Tensor:
        """Return the upright face as uint8 (3, size, size)."""
        if self.is_turned:
            return self.cut(Box(0.0, 0.0, 1.0, 1.0), size)
        return resize_whole(self.pixels, size)

    def cut(self, box: Box, size: int) -> Tensor:
        """Cut a part out, enlarge or reduce it as in training.

        Args:
            box: Relative to the upright box; right > left, bottom > top.
            size: Side of the result in pixels.

        Returns:
            uint8 (3, size, size); 0 outside the upright box and outside the image.
        """
        pixels = self.pixels
        height, width = self.size
        upright = box.scaled(width, height)
        if not self.is_turned:
            return crop_pixels(pixels, upright, (size, size))
        # as many samples as the image has pixels, and a whole number of them for each one wanted
        across, down = (size * math.ceil(side / size) for side in (upright.width, upright.height))
        u, v = _centres(upright, down, across, pixels.device)
        x, y = _turned(u - width / 2, v - height / 2, self.place.roll)
        x, y = x + self.place.box.center[0], y + self.place.box.center[1]
        sampled = _sample(pixels[None].float(), x / pixels.shape[-1], y / pixels.shape[-2])
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        inside &= (x >= 0) & (x < pixels.shape[-1]) & (y >= 0) & (y < pixels.shape[-2])
        sampled = sampled * inside
        if sampled.shape[-2:] != (size, size):
            with torch.autocast(pixels.device.type, enabled=False):
                sampled = F.interpolate(sampled, (size, size), mode="bilinear", antialias=True)
        return sampled[0].round_().clamp_(0, 255).byte()

    def scores(self, scores: Tensor) -> Tensor:
        """Return scores (C, h, w) of the upright face at the image's pixels, float32 (C, H, W)."""
        height, width = self.pixels.shape[-2:]
        if not self.is_turned:
            return scores_at_size(scores.float(), height, width)
        u, v = self._upright(Crop(0, 0, width, height))
        return _sample(scores[None].float(), u / self.size[1], v / self.size[0])[0]

    def inside(self, box: Box) -> Tensor:
        """Tell which pixels' centres lie in a box, bool (H, W).

        Args:
            box: In upright coordinates, in pixels.
        """
        height, width = self.pixels.shape[-2:]
        u, v = self._upright(Crop(0, 0, width, height))
        return (u >= box.left) & (u < box.right) & (v >= box.top) & (v < box.bottom)

    def paste(self, maps: Tensor, box: Box) -> tuple[Tensor, tuple[slice, slice], Tensor | None]:
        """Bring maps of a part of the upright face to the image's pixels.

        Args:
            maps: Floating point (C, h, w), the part's content.
            box: The part in upright coordinates, in pixels.

        Returns:
            The maps at the image's pixels around the part, (C, rows, columns); where these pixels
            are in the image; and which of them lie in the part, bool (rows, columns), None where
            all do.
        """
        height, width = self.pixels.shape[-2:]
        if not self.is_turned:
            return *paste_back(maps, box, (height, width)), None
        crop = self.place.part(box).bounds.covering(height, width)
        u, v = self._upright(crop)
        inside = (u >= box.left) & (u < box.right) & (v >= box.top) & (v < box.bottom)
        if crop.width == 0 or crop.height == 0:
            return maps.new_zeros(maps.shape[0], crop.height, crop.width), crop.pixels, inside
        least = (math.ceil(box.height), math.ceil(box.width))
        if least[0] < maps.shape[-2] or least[1] < maps.shape[-1]:  # else pixels would skip some
            shape = tuple(min(pair) for pair in zip(least, maps.shape[-2:], strict=True))
            maps = F.interpolate(maps[None], shape, mode="bilinear", antialias=True)[0]
        x, y = (u - box.left) / box.width, (v - box.top) / box.height
        return _sample(maps[None], x, y)[0], crop.pixels, inside

    def _upright(self, crop: Crop) -> tuple[Tensor, Tensor]:
        """Return the upright coordinates of the centres of the image's pixels."""
        x, y = _centres(Box(*map(float, crop)), crop.height, crop.width, self.pixels.device)
        center_x, center_y = self.place.box.center
        u, v = _turned(x - center_x, y - center_y, -self.place.roll)
        return u + self.place.box.width / 2, v + self.place.box.height / 2


def view_of(frame: Tensor | View, name: str) -> View:
    """Return a frame as a view.

    Args:
        frame: uint8 (3, H, W), RGB, or a view.
        name: The frame's name in the error message.

    Raises:
        InputError: It has another shape or dtype.
    """
    pixels = frame.pixels if isinstance(frame, View) else frame
    shape = tuple(pixels.shape)
    if pixels.dtype != torch.uint8 or len(shape) != 3 or shape[0] != 3 or 0 in shape:
        raise InputError(
            f"{name} is {str(pixels.dtype).removeprefix('torch.')} {shape}: "
            "give clips of frames uint8 (3, H, W), RGB."
        )
    return frame if isinstance(frame, View) else View.whole(frame)


def _centres(box: Box, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return x (1, columns) and y (rows, 1) of the centres of a box's cells."""
    x = (torch.arange(columns, device=device) + 0.5) * (box.width / max(columns, 1)) + box.left
    y = (torch.arange(rows, device=device) + 0.5) * (box.height / max(rows, 1)) + box.top
    return x[None, :], y[:, None]


def _turned(x: Tensor, y: Tensor, degrees: float) -> tuple[Tensor, Tensor]:
    """Return x and y turned clockwise on the screen about the origin."""
    radians = math.radians(degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    return x * cos - y * sin, x * sin + y * cos


def _sample(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample maps (1, C, h, w) bilinearly at relative places (H, W) in [0, 1], edges repeated."""
    grid = torch.stack([2 * x - 1, 2 * y - 1], dim=-1)[None].to(maps.dtype)
    with torch.autocast(maps.device.type, enabled=False):
        return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
