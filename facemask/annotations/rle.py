"""Run lengths of binary masks as COCO, CVAT and Label Studio write them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.errors import InputError

Mask = npt.NDArray[np.bool_]
_LENGTH_BITS: Final = (3, 4, 8, 16)


def to_runs(pixels: Mask) -> list[int]:
    """Return lengths of runs of equal values, the first of False (0 where it begins with True).

    Args:
        pixels: bool (n,).
    """
    edges = np.flatnonzero(np.diff(pixels, prepend=False))
    return [int(n) for n in np.diff(edges, prepend=0, append=len(pixels))]


def from_runs(runs: Sequence[int], size: int) -> Mask:
    """Return the pixels of run lengths, bool (size,).

    Raises:
        InputError: A length is negative, or they do not add up to the size.
    """
    if any(n < 0 for n in runs) or sum(runs) != size:
        raise InputError(
            f"run lengths add up to {sum(runs)} pixels, expected {size} and none negative: export "
            "the annotations again."
        )
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def to_coco(mask: Mask) -> str:
    """Return the compressed run lengths that pycocotools writes, column by column.

    Args:
        mask: bool (height, width).
    """
    runs = to_runs(mask.ravel(order="F"))
    text = []
    for place, run in enumerate(runs):
        value, more = run - (runs[place - 2] if place > 2 else 0), True
        while more:
            five, value = value & 31, value >> 5
            more = value != (-1 if five & 16 else 0)
            text.append(chr(48 + five + 32 * more))
    return "".join(text)


def from_coco(counts: str | Sequence[int], height: int, width: int) -> Mask:
    """Return the mask of COCO's run lengths, compressed or a list, bool (height, width).

    Raises:
        InputError: They do not fit the size, or are no run lengths.
    """
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    return from_runs(runs, height * width).reshape(height, width, order="F")


def _decompressed(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise InputError(f"{letter!r} is no letter of COCO's run lengths: export them again.")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def to_brush(mask: Mask) -> list[int]:
    """Return the bytes of Label Studio's brush, row by row, four equal channels a pixel.

    Args:
        mask: bool (height, width).
    """
    bits = [f"{mask.size * 4:032b}{7:05b}", *(f"{n - 1:04b}" for n in _LENGTH_BITS)]
    for place, run in enumerate(to_runs(mask.ravel())):
        left = run * 4
        while left:
            part = min(left, 2**16)
            left -= part
            index = next(i for i, n in enumerate(_LENGTH_BITS) if part <= 2**n)
            value = 255 * (place % 2)
            bits.append(f"1{index:02b}{part - 1:0{_LENGTH_BITS[index]}b}{value:08b}")
    whole = "".join(bits)
    whole += "0" * (-len(whole) % 8)
    return list(int(whole, 2).to_bytes(len(whole) // 8, "big"))


def from_brush(rle: Sequence[int], height: int, width: int) -> Mask:
    """Return the mask of Label Studio's brush, bool (height, width): pixels of alpha 128 or more.

    Raises:
        InputError: The bytes end early, or do not fit the size.
    """
    bits = "".join(f"{byte:08b}" for byte in rle)
    place = 0

    def number(count: int) -> int:
        nonlocal place
        place += count
        if place > len(bits):
            raise InputError("a brush's bytes end too early: export the annotations again.")
        return int(bits[place - count : place], 2)

    size, word = number(32), number(5) + 1
    if size != height * width * 4:
        raise InputError(
            f"a brush has {size} values, expected 4 x {height} x {width}: export it again."
        )
    lengths = [number(4) + 1 for _ in range(4)]
    values = np.zeros(size, np.uint8)
    start = 0
    while start < size:
        is_run = number(1)
        end = start + 1 + number(lengths[number(2)])
        if is_run:
            values[start:end] = number(word) & 255
        else:
            for index in range(start, min(end, size)):
                values[index] = number(word) & 255
        start = end
    return values.reshape(height, width, 4)[..., 3] >= 128
