"""Upright views of turned faces: what networks see of an image, and the way back into it.

A view that is not turned is a part of the image as it is, and is resized like all images. A turned
one is sampled once, from the image's own pixels at the places of the network's input, and what the
network says is sampled once at the centres of the image's pixels.
"""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.boxes import Box, Crop
from facemask.errors import InputError
from facemask.resample import crop_pixels, paste_back, resize_whole, scores_at_size
from facemask.sampled import Sampled, Straight, Turned, reduced
from facemask.turned import Points, TurnedBox

Indices: TypeAlias = npt.NDArray[np.intp]
Coordinates: TypeAlias = npt.NDArray[np.float32]
Along = TypeVar("Along", Tensor, Coordinates)

_APART: Final = 1.25
"""Pixels of the image by which samples may lie apart."""


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
        height, width = self.size
        upright = box.scaled(width, height)
        if not self.is_turned:
            return crop_pixels(self.pixels, upright, (size, size))
        # about as many samples as the image has pixels, a whole number of them for each one wanted
        across, down = (
            size * max(1, math.ceil(side / (size * _APART)))
            for side in (upright.width, upright.height)
        )
        sampled = _warped(self.pixels, self._to_image(upright, across, down), down, across)
        if not 0 <= box.left <= box.right <= 1 or not 0 <= box.top <= box.bottom <= 1:
            u, v = _centres(upright, down, across, self.pixels.device)
            sampled = sampled * ((u >= 0) & (u < width) & (v >= 0) & (v < height))
        return sampled if across == down == size else resize_whole(sampled, size)

    def scores(self, scores: Tensor) -> Tensor:
        """Return scores (C, h, w) of the upright face at the image's pixels, float32 (C, H, W)."""
        sampled = self.sampled(scores)
        return sampled.at(sampled.crop)

    def sampled(self, maps: Tensor, box: Box | None = None) -> Sampled:
        """Return what brings maps of the upright face, or of a part of it, to pixels of the image.

        Args:
            maps: Floating point (C, h, w), the part's content.
            box: The part in upright coordinates, in pixels; None for all of it.
        """
        height, width = self.pixels.shape[-2:]
        if self.is_turned:
            whole = Box(0.0, 0.0, self.size[1], self.size[0])
            crop = Crop(0, 0, width, height)
            if box is not None:
                crop = self.place.part(box).bounds.covering(height, width)
                maps = reduced(maps, box)
            return Turned(maps.float(), crop, self.place, box or whole)
        if box is None:
            return Straight(scores_at_size(maps.float(), height, width), 0, 0)
        pasted, (rows, columns) = paste_back(maps, box, (height, width))
        return Straight(pasted, columns.start, rows.start)

    def inside(self, box: Box, crop: Crop | None = None) -> Tensor:
        """Tell which pixels' centres lie in a box, bool (H, W).

        Args:
            box: In upright coordinates, in pixels.
            crop: The pixels asked about; None for all.
        """
        height, width = self.pixels.shape[-2:]
        return _in_box(box, *self._upright(crop or Crop(0, 0, width, height)))

    def upright_points(self, rows: Indices, columns: Indices) -> tuple[Coordinates, Coordinates]:
        """Return the upright coordinates x, y of n pixels' centres, float32 (n,); see `inside`."""
        x, y = (along.astype(np.float32) + np.float32(0.5) for along in (columns, rows))
        return self._turned_back(x, y)

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
        sampled = self.sampled(maps, box)
        inside = self.inside(box, sampled.crop) if self.is_turned else None
        return sampled.at(sampled.crop), sampled.crop.pixels, inside

    def _to_image(self, upright: Box, columns: int, rows: int) -> Points:
        """Return the affine map (2, 3) of a box's samples to pixels, both counted from centres."""
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # columns and rows of samples
        steps = np.array([upright.width / columns, upright.height / rows])
        here = (corners + 0.5) * steps + (upright.left, upright.top)
        first, right, below = self.place.to_image(here) - 0.5
        return np.stack([right - first, below - first, first], axis=1)

    def _upright(self, crop: Crop) -> tuple[Tensor, Tensor]:
        """Return the upright coordinates of the centres of the image's pixels."""
        x, y = _centres(Box(*map(float, crop)), crop.height, crop.width, self.pixels.device)
        return self._turned_back(x, y)

    def _turned_back(self, x: Along, y: Along) -> tuple[Along, Along]:
        center_x, center_y = self.place.box.center
        u, v = _turned(x - center_x, y - center_y, -self.place.roll)
        return u + self.place.box.width / 2, v + self.place.box.height / 2


def _in_box(box: Box, u: Tensor, v: Tensor) -> Tensor:
    return (u >= box.left) & (u < box.right) & (v >= box.top) & (v < box.bottom)


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


def _turned(x: Along, y: Along, degrees: float) -> tuple[Along, Along]:
    """Return x and y turned clockwise on the screen about the origin."""
    radians = math.radians(degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    return x * cos - y * sin, x * sin + y * cos


def _warped(pixels: Tensor, to_image: Points, rows: int, columns: int) -> Tensor:
    """Sample bytes (3, H, W) bilinearly: uint8 (3, rows, columns), 0 outside the image.

    Args:
        pixels: The image.
        to_image: The affine map (2, 3) from samples to the image's pixels, both by their centres.
        rows: Number of rows of samples.
        columns: Number of samples in a row.
    """
    if pixels.device.type == "cpu":  # eight times as fast as torch
        image = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(image, to_image, (columns, rows), flags=flags)
        return torch.from_numpy(np.asarray(warped, dtype=np.uint8)).permute(2, 0, 1)
    return warp_on_device(pixels, to_image, rows, columns)


def warp_on_device(pixels: Tensor, to_image: Points, rows: int, columns: int) -> Tensor:
    """Sample bytes like OpenCV, where the image is, such as on a GPU; see `View.cut`."""
    image = np.array(pixels.shape[:0:-1])  # width and height
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2, 1.0])  # of the samples
    from_middle = to_image[:, :2] * (columns, rows) / image[:, None]
    shift = (2 * (to_image @ middle) + 1) / image - 1
    theta = torch.from_numpy(np.concatenate([from_middle, shift[:, None]], axis=1)[None])
    size = [1, pixels.shape[0], rows, columns]
    with torch.autocast(pixels.device.type, enabled=False):
        grid = F.affine_grid(theta.to(pixels.device, torch.float32), size, align_corners=False)
        sampled = F.grid_sample(pixels[None].float(), grid, align_corners=False)
    return sampled[0].round_().byte()
