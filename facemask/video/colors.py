"""Which colours a video's numbers stand for: its tags, and what players assume without them."""

from dataclasses import dataclass
from typing import Final

import av
from av.video.reformatter import Colorspace

BT709: Final = 1  # ITU-T H.273's code of matrix, primaries and transfer, as the ones below
BT601: Final = 6
_BT470BG, _BT2020, _BT2020_CONSTANT, _BT2020_TRANSFER = 5, 9, 10, 14
_UNKNOWN: Final = (0, 2, 3)  # RGB's (of pictures that are not), unspecified, reserved
_WHITES: Final = {16: 148, 18: 191}  # 58 % in PQ and 75 % in HLG are 203 cd/m²
_HD: Final = (1280, 720)
# PyAV's names of the matrices that FFmpeg converts by; older releases lack some
_NAMES: Final = {
    BT709: "ITU709",
    4: "FCC",
    5: "ITU601",
    BT601: "ITU601",
    7: "SMPTE240M",
    9: "BT2020",
}


@dataclass(frozen=True)
class Colors:
    """What a video's colours are, in codes of ITU-T H.273.

    Attributes:
        matrix: From RGB to luma and chroma.
        primaries: What red, green and blue are.
        transfer: From light to numbers.
    """

    matrix: int
    primaries: int
    transfer: int

    @property
    def name(self) -> str:
        """PyAV's name of the matrix."""
        return _NAMES[self.matrix]

    @property
    def white(self) -> int:
        """The value, of 255, of white paper: below 255 in high dynamic range (ITU-R BT.2408)."""
        return _WHITES.get(self.transfer, 255)


def is_hd(width: int, height: int) -> bool:
    """Whether players take an untagged video of this size for BT.709, else for BT.601."""
    return width >= _HD[0] or height >= _HD[1]


def assumed_colors(width: int, height: int) -> Colors:
    """What players assume of a video without tags."""
    code = BT709 if is_hd(width, height) else BT601
    return Colors(code, code, code)


def assumed_matrix(frame: av.VideoFrame) -> str | None:
    """PyAV's name of the matrix to read an untagged frame by; None for a tagged one, or RGB."""
    if frame.colorspace not in _UNKNOWN or frame.format.is_rgb or frame.format.has_palette:
        return None
    return assumed_colors(frame.width, frame.height).name


def colors_to_write(frame: av.VideoFrame, primaries: int, transfer: int) -> Colors:
    """The colours to write a decoded frame's RGB with, so that players show it as they do its file.

    Args:
        frame: Its matrix stays if FFmpeg can write it.
        primaries: Those of its file; what is unspecified follows from the matrix.
        transfer: That of its file.
    """
    matrix = _BT2020 if frame.colorspace == _BT2020_CONSTANT else int(frame.colorspace)
    if matrix in _UNKNOWN:
        matrix = assumed_colors(frame.width, frame.height).matrix
    usual = matrix
    if _NAMES.get(matrix) not in Colorspace.__members__:
        matrix = BT709
    if primaries in _UNKNOWN:
        primaries = usual if usual in (BT709, _BT470BG, BT601, _BT2020) else BT709
    if transfer in _UNKNOWN:
        transfer = {_BT470BG: BT601, BT601: BT601, _BT2020: _BT2020_TRANSFER}.get(usual, BT709)
    return Colors(matrix, primaries, transfer)
