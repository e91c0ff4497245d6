"""Resizing images, masks and scores, cutting boxes out of them and pasting maps back.

Coordinates are pixel edges: pixel j covers [j, j + 1) and has its centre at j + 0.5. A box may
leave the image. Training and the cascade zoom with the same functions.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.argmax import first_argmax
from facemask.boxes import Box

PixelBox = Box
"""The former name of boxes in pixels."""
RelativeBox = Box
"""The former name of boxes relative to the image."""


def resize_image(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resize an image, bilinear and antialiased when reducing, with pixel centres kept straight.

    Args:
        image: uint8 (H, W, 3).
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        uint8 (height, width, 3).
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W), channels last
    resized = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def resize_whole(frame: Tensor, size: int) -> Tensor:
    """Resize a whole frame to uint8 (3, size, size), like `resize_image`."""
    if frame.device.type == "cpu":
        return F.interpolate(frame[None], (size, size), mode="bilinear", antialias=True)[0]
    return resize_in_steps(frame, size)


def resize_in_steps(frame: Tensor, size: int) -> Tensor:
    """Resize like `resize_whole` where torch cannot resize bytes, as on GPUs, and round alike.

    There torch resizes bytes across and then down, and rounds after both; rounded once at the end,
    one pixel in seven would be another, and a mask's edges with it.
    """
    pixels = frame[None].float()
    for shape in ((frame.shape[-2], size), (size, size)):
        pixels = F.interpolate(pixels, shape, mode="bilinear", antialias=True)
        pixels = pixels.add_(0.5).floor_().clamp_(0, 255)
    return pixels[0].byte()


def resize_mask(mask: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Resize a label image to the nearest pixel centres; uint8 (H, W) to (height, width)."""
    # in whole numbers: OpenCV's INTER_NEAREST_EXACT differs between releases, torch's rounds
    old_height, old_width = mask.shape
    rows = (2 * np.arange(height) + 1) * old_height // (2 * height)
    columns = (2 * np.arange(width) + 1) * old_width // (2 * width)
    return np.ascontiguousarray(mask[rows][:, columns])


def scores_at_size(scores: Tensor, height: int, width: int) -> Tensor:
    """Resize the scores of one frame bilinearly, pixel centres kept straight.

    Args:
        scores: Floating point (C, h, w). Half precision is resized in float32.
        height: New height in pixels.
        width: New width.

    Returns:
        (C, height, width); the scores themselves where they have that size already.
    """
    if tuple(scores.shape[1:]) == (height, width):
        return scores
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    size = (height, width)
    return F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0]


def labels_at_size(scores: Tensor, height: int, width: int) -> Tensor:
    """Resize the scores of one frame to its original size, then take the best class (section 4.2).

    Args:
        scores: Floating point (C, h, w). Half precision is resized in float32.
        height: Height of the label image in pixels.
        width: Its width.

    Returns:
        Class ids (height, width); uint8, or int64 for more than 256 classes. Resized bilinearly
        with pixel centres kept straight (`align_corners=False`); equal scores give the lower id.

    Examples:
        >>> import torch
        >>> labels_at_size(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]), 1, 4)
        tensor([[0, 0, 1, 1]], dtype=torch.uint8)
    """
    scores = scores_at_size(scores, height, width)
    labels = first_argmax(scores)[1][0]
    return labels.byte() if len(scores) <= 256 else labels


def crop_and_resize(images: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """Cut a box out of images and resize it, bilinear and antialiased when reducing.

    With the whole image as box this is `F.interpolate(mode="bilinear", antialias=True)`.

    Args:
        images: Floating point or bytes (..., H, W).
        box: The box in pixels of these images; right > left, bottom > top.
        size: Height and width of the result.

    Returns:
        Floating point (..., *size); 0 where a pixel's centre lies outside the image.

    Examples:
        >>> row = torch.tensor([[[0.0, 10.0, 20.0, 30.0]]])
        >>> crop_and_resize(row, Box(1, 0, 5, 1), (1, 4)).tolist()  # the last one is outside
        [[[10.0, 20.0, 30.0, 0.0]]]
    """
    height, width = images.shape[-2:]
    across, columns = sampling_matrix(width, size[1], box.left, box.right, images)
    down, rows = sampling_matrix(height, size[0], box.top, box.bottom, images)
    with torch.autocast(images.device.type, enabled=False):
        return (down @ images[..., rows, columns].to(down.dtype)) @ across.T


def crop_pixels(image: Tensor, box: Box, size: tuple[int, int]) -> Tensor:
    """Cut a box out of images of bytes and resize it: uint8 (..., H, W) to (..., *size).

    Training and the cascade cut with this, so that a model sees the same in both.
    """
    return crop_and_resize(image, box, size).round_().clamp_(0, 255).byte()


def paste_back(maps: Tensor, box: Box, size: tuple[int, int]) -> tuple[Tensor, tuple[slice, slice]]:
    """Resize what `crop_and_resize` cut out, or maps computed from it, to the image again.

    Args:
        maps: Floating point (..., h, w), the box's content.
        box: The box in pixels of the image.
        size: Height and width of the image.

    Returns:
        The maps of the pixels whose centres lie inside the box, (..., rows, columns), and where
        these pixels are in the image.
    """
    height, width = maps.shape[-2:]
    rows, columns = _inside(box.top, box.bottom, size[0]), _inside(box.left, box.right, size[1])
    scale_y, scale_x = height / box.height, width / box.width
    # edges of these pixels, in pixels of the maps
    source = Box(
        (columns.start - box.left) * scale_x,
        (rows.start - box.top) * scale_y,
        (columns.stop - box.left) * scale_x,
        (rows.stop - box.top) * scale_y,
    )
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in shape:
        return maps.new_zeros(*maps.shape[:-2], *shape), (rows, columns)
    return crop_and_resize(maps, source, shape), (rows, columns)


def crop_labels(labels: Tensor, box: Box, size: tuple[int, int], outside: int) -> Tensor:
    """Cut a box out of label images and resize it to the nearest pixels.

    Args:
        labels: (..., H, W), any dtype.
        box: The box in pixels of these images.
        size: Height and width of the result.
        outside: Value where a pixel's centre lies outside the image.

    Returns:
        (..., *size).
    """
    height, width = labels.shape[-2:]
    y = _centres(box.top, box.bottom, size[0]).floor().long().to(labels.device)
    x = _centres(box.left, box.right, size[1]).floor().long().to(labels.device)
    cut = labels[..., y.clamp(0, height - 1)[:, None], x.clamp(0, width - 1)]
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    return cut.masked_fill(~inside, outside)


def sampling_matrix(
    length: int, new_length: int, start: float, stop: float, like: Tensor
) -> tuple[Tensor, slice]:
    """Return the matrix that resamples [start, stop) of a row of pixels.

    Each of its rows is a triangle around its pixel's centre, as wide as one pixel of the coarser
    side, cut off at the image's edges and normalised; 0 where the centre lies outside the image.

    Args:
        length: Pixels of the row.
        new_length: Pixels of the result.
        start: Begin of the result, in pixel edges of the row; may be below 0.
        stop: End of the result, above `start`; may be beyond `length`.
        like: Tensor whose dtype (at least float32) and device the matrix gets.

    Returns:
        The matrix (new_length, n), and the n pixels of the row that it multiplies; the others
        have no weight.
    """
    radius = max(1.0, (stop - start) / new_length)
    first = min(length - 1, max(0, math.floor(start - radius)))
    last = max(first + 1, min(length, math.ceil(stop + radius)))
    centres = _centres(start, stop, new_length)[:, None]
    # few pixels lie under a triangle: weigh these alone, then spread them over the matrix
    pixels = (centres - radius).floor() + torch.arange(math.ceil(2 * radius) + 1)
    weights = (1 - (pixels + 0.5 - centres).abs() / radius).clamp_(min=0)
    weights *= (pixels >= 0) & (pixels < length) & (centres >= 0) & (centres < length)
    weights /= weights.sum(dim=1, keepdim=True).clamp_(min=1e-12)
    dtype = torch.promote_types(like.dtype, torch.float32)
    matrix = torch.zeros(new_length, last - first, dtype=dtype)
    columns = (pixels - first).long().clamp_(0, last - first - 1)  # beyond them all weigh nothing
    return matrix.scatter_add_(1, columns, weights.to(dtype)).to(like.device), slice(first, last)


def _centres(start: float, stop: float, count: int) -> Tensor:
    steps = torch.arange(count, dtype=torch.float64) + 0.5
    return start + steps * ((stop - start) / count)


def _inside(start: float, stop: float, length: int) -> slice:
    """Return the pixels whose centres lie in [start, stop)."""
    first, last = (max(0, min(length, -int(-(edge - 0.5) // 1))) for edge in (start, stop))
    return slice(first, max(first, last))
