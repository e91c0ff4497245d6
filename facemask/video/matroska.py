"""The shape of pixels in Matroska's header, which FFmpeg's muxer leaves out for PyAV's streams."""

import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

_HEADER: Final = 1 << 16  # bytes; the tracks are described at the start
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_PIXEL_WIDTH, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0xB0, 0x54B0, 0x54BA, 0x54B2
_CHECKSUM: Final = b"\xbf\x84"  # id and length
_VOID, _MOST_ADDITIONS = 0xEC, 0x55EE


def write_pixel_aspect(path: Path, aspect: Fraction) -> None:
    """Let a Matroska file's header say how wide its pictures are shown.

    The element takes the place of others that say nothing; where there is no such place, the file
    stays as it is.

    Args:
        path: A file written by FFmpeg.
        aspect: Width of a pixel over its height.
    """
    with path.open("r+b") as file:
        data = file.read(_HEADER)
        place = tracks = 0, len(data)
        for wanted in (_SEGMENT, _TRACKS, _TRACK):
            found = [(s, e) for kind, _, s, e in _elements(data, *place) if kind == wanted]
            if not found:
                return
            place = found[0]
            tracks = place if wanted == _TRACKS else tracks
        children = list(_elements(data, *place))
        at = next((n for n, child in enumerate(children) if child[0] == _VIDEO), None)
        if at is None:
            return
        _, begin, start, end = children[at]
        kept, width = b"", 0
        for kind, first, inner, last in _elements(data, start, end):
            if kind == _PIXEL_WIDTH:
                width = int.from_bytes(data[inner:last], "big")
            if kind not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT):
                kept += data[first:last]
        shown = min(max(round(width * aspect), 1), 0xFFFF)
        kept += _DISPLAY_WIDTH.to_bytes(2, "big") + b"\x82" + shown.to_bytes(2, "big")
        video = bytes([_VIDEO, 0x80 | len(kept)]) + kept
        for kind, _, inner, last in children[at + 1 :]:
            if kind != _VOID and (kind != _MOST_ADDITIONS or any(data[inner:last])):
                break
            end = last
        spare = end - begin - len(video)
        if width == 0 or len(kept) > 126 or spare < 0 or spare == 1 or spare > 128:
            return
        void = bytes([_VOID, 0x80 | (spare - 2)]).ljust(spare, b"\0") if spare else b""
        data = data[:begin] + video + void + data[end:]
        file.seek(tracks[0])
        file.write(_with_checksum(data[slice(*tracks)]))


def _with_checksum(content: bytes) -> bytes:
    """An element's content with its CRC-32, if it has one, which comes first, made anew."""
    if not content.startswith(_CHECKSUM):
        return content
    rest = content[len(_CHECKSUM) + 4 :]
    return _CHECKSUM + zlib.crc32(rest).to_bytes(4, "little") + rest


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Id, first byte, first and last byte of the content of each EBML element in a stretch."""
    while start < end:
        first = start
        kind, start = _number(data, start, keep_mark=True)
        size, start = _number(data, start, keep_mark=False)
        last = min(start + size, end)
        yield kind, first, start, last
        start = last


def _number(data: bytes, start: int, *, keep_mark: bool) -> tuple[int, int]:
    """An EBML number of variable length, and where it ends."""
    if start >= len(data) or data[start] == 0:
        return 0, len(data)
    length = 9 - data[start].bit_length()
    value = int.from_bytes(data[start : start + length], "big")
    return (value if keep_mark else value & ((1 << 7 * length) - 1)), start + length
