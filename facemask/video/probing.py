"""Opening a video file; what its header promises, which colours it has and which way is up."""

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from facemask.errors import InputError
from facemask.threads import codec_threads

_PICTURES: Final = ("bmp", "gif", "mjpeg", "png", "tiff", "webp")  # codecs of covers
_ENOUGH: Final = 250  # packets of a film beside a single picture
_COVERS: Final = Disposition.attached_pic | Disposition.timed_thumbnails  # a song's, chapters'
_NO_TIMES: Final = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS
_USUAL_FPS: Final = Fraction(25)  # of files that do not tell theirs
_BOX_HEADER: Final = 8  # bytes of an MP4 box's header: length and type
_MP4_STARTS: Final = (b"ftyp", b"wide", b"mdat", b"free", b"skip")
_MP4_INDEXES: Final = (b"moov", b"moof")

# ITU-T H.273's codes of matrix, primaries and transfer
_BT709, _BT470BG, _BT601, _BT2020, _BT2020_CONSTANT, _BT2020_TRANSFER = 1, 5, 6, 9, 10, 14
_UNKNOWN: Final = (0, 2, 3)  # RGB's (of pictures that are not), unspecified, reserved
# matrices that PyAV converts to: BT.2020 from 18 on; another one it takes for BT.601 without a word
_CONVERTED: Final = {_BT601, *map(int, Colorspace.__members__.values())}
_WHITES: Final = {16: 148, 18: 191}  # 58 % in PQ and 75 % in HLG are 203 cd/m²


def fraction(value: Fraction | None) -> Fraction | None:
    """Return a rational number of PyAV's; None where it is unset, for which newer releases say 0.

    From release 19 on they are no Fractions but of a class of their own.

    Examples:
        >>> fraction(Fraction(30000, 1001)), fraction(Fraction(0)), fraction(None)
        (Fraction(30000, 1001), None, None)
    """
    if value is None or not (value.numerator and value.denominator):
        return None
    return Fraction(value.numerator, value.denominator)


def url_of(path: Path) -> str:
    """Write a path as FFmpeg takes it whatever characters it holds (`a:b.mp4` is no protocol)."""
    return f"file:{path}"


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file, with threads, at the stream of pictures that players take.

    That is one marked as default, not a single picture beside a film.

    Raises:
        InputError: It cannot be read, is empty, cut off before its index, no video, or has only
            sound.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror}.") from error
    if empty:
        raise InputError(f"{path}: the file is empty (0 bytes).")
    try:
        container = av.open(url_of(path), mode="r")
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: {_why_not(path)}") from error
    streams = [each for each in container.streams.video if not each.disposition & _COVERS]
    if container.format.name == "tty" or not (streams or container.streams.audio):
        reason = _why_not(path)  # FFmpeg takes a text for a film of a terminal
    elif not streams:
        reason = "holds sound but no pictures; give a video."
    # typed as if it were always there
    elif not (known := [stream for stream in streams if stream.codec_context]):
        reason = "its video codec is unknown here; convert it to H.264 first."
    else:
        stream = _chosen(container, known)
        stream.thread_type, stream.codec_context.thread_count = "AUTO", codec_threads()
        return container, stream
    container.close()
    raise InputError(f"{path}: {reason}")


def _chosen(container: InputContainer, streams: list[VideoStream]) -> VideoStream:
    """Choose as players do: films before single pictures, a default one, FFmpeg's best."""
    single = _single_pictures(container, streams) if len(streams) > 1 else set()
    films = [stream for stream in streams if stream.index not in single] or streams
    marked = [stream for stream in films if stream.disposition & Disposition.default] or films
    best = container.streams.best("video")  # knows streams of which it saw but one picture
    return next((stream for stream in marked if best and stream.index == best.index), marked[0])


def _single_pictures(container: InputContainer, streams: list[VideoStream]) -> set[int]:
    """Find the streams that hold one picture, such as a cover that is not marked as one."""
    single = {stream.index for stream in streams if stream.frames == 1}
    # where the header does not count, as in MKV, the packets of the first seconds do
    unsure = [
        stream.index
        for stream in streams
        if stream.frames == 0 and stream.codec_context.name in _PICTURES
    ]
    if not unsure:
        return single
    seen = dict.fromkeys((stream.index for stream in streams), 0)
    with suppress(FFmpegError), av.open(container.name, mode="r") as probe:
        for packet in probe.demux([probe.streams[index] for index in seen]):
            seen[packet.stream.index] += packet.size > 0
            if max(seen.values()) > _ENOUGH or all(seen[index] > 1 for index in unsure):
                break
    return single | {index for index in unsure if seen[index] == 1}


def _why_not(path: Path) -> str:
    if _lacks_index(path):
        return (
            "the file is cut off: its index (moov), which is written last, is missing, as when "
            "recording or copying was interrupted; copy it again or mend it with the original."
        )
    return "not a video, or damaged at its very start; expected a video file that FFmpeg reads."


def _lacks_index(path: Path) -> bool:
    """Tell whether a file is an MP4 or MOV without its whole index: nothing can be decoded."""
    size, offset = path.stat().st_size, 0
    kinds: list[bytes] = []
    with path.open("rb") as file:
        while offset + _BOX_HEADER <= size and len(kinds) < 1000:
            file.seek(offset)
            short, kind, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            kinds.append(kind)
            length = {0: size - offset, 1: long}.get(short, short)  # 0: up to the file's end
            if length < _BOX_HEADER:
                break
            offset += length
            if kind in _MP4_INDEXES and offset <= size:
                return False
    return bool(kinds) and kinds[0] in _MP4_STARTS


def stores_no_times(container: InputContainer, *, told: bool = False) -> bool:
    """Tell whether a file is a raw stream of pictures: times are their numbers over the rate.

    Args:
        container: The open file.
        told: Whether the rate is known from elsewhere; without, MPEG-2 pictures that tell how long
            they are shown (film on television) keep the times that FFmpeg makes of it.
    """
    raw = bool(int(container.format.flags) & _NO_TIMES)
    return raw and (told or container.format.name != "mpegvideo")


def frame_rate(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return frames a second; of raw streams what the pictures' header says, if it does."""
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    # FFmpeg reads raw streams at 25, and calls that their average
    raw = stores_no_times(container, told=True)
    first, second = (guessed, average) if raw else (average, guessed)
    return first or second or _USUAL_FPS


def promised_seconds(container: InputContainer, stream: VideoStream, fps: Fraction) -> float | None:
    """Return how long a file's pictures last by its header; None where the format does not tell.

    Of other formats FFmpeg guesses from the size of the file.
    """
    kind = container.format.name
    if "avi" in kind:
        return float(stream.frames / fps) or None
    if "mov" in kind or "matroska" in kind:
        if stream.duration:
            return float(stream.duration * (fraction(stream.time_base) or 0)) or None
        if tag := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tag.groups())
            return 3600 * hours + 60 * minutes + seconds
        return container.duration / av.time_base if container.duration else None
    return None


class Colors(NamedTuple):
    """Colours of a video, in codes of ITU-T H.273.

    Attributes:
        matrix: From RGB to luma and chroma.
        primaries: What red, green and blue are.
        transfer: From light to numbers.
    """

    matrix: int
    primaries: int
    transfer: int

    @property
    def conversion(self) -> int:
        """FFmpeg's number of the matrix to convert by."""
        return _BT470BG if self.matrix == _BT601 else self.matrix

    @property
    def white(self) -> int:
        """The value, of 255, of white paper: below 255 in high dynamic range (ITU-R BT.2408)."""
        return _WHITES.get(self.transfer, 255)


def assumed_colors(width: int, height: int) -> Colors:
    """Return what players assume of a video without tags: BT.709 of a large one, else BT.601."""
    code = _BT709 if width >= 1280 or height >= 720 else _BT601
    return Colors(code, code, code)


def assumed_matrix(frame: av.VideoFrame) -> int | None:
    """Return the matrix to convert an untagged frame by; None for a tagged one, or RGB."""
    if frame.colorspace not in _UNKNOWN or frame.format.is_rgb or frame.format.has_palette:
        return None
    return assumed_colors(frame.width, frame.height).conversion


def colors_to_write(frame: av.VideoFrame, primaries: int, transfer: int) -> Colors:
    """Return the colours to write a frame's RGB with, so that players show it as they do its file.

    Args:
        frame: A decoded frame; its matrix stays if FFmpeg can write it.
        primaries: Those of its file; what is unspecified follows from the matrix.
        transfer: That of its file.
    """
    matrix = _BT2020 if frame.colorspace == _BT2020_CONSTANT else int(frame.colorspace)
    if matrix in _UNKNOWN:
        matrix = assumed_colors(frame.width, frame.height).matrix
    if primaries in _UNKNOWN:
        primaries = matrix if matrix in (_BT470BG, _BT601, _BT2020) else _BT709
    if transfer in _UNKNOWN:
        usual = {_BT470BG: _BT601, _BT601: _BT601, _BT2020: _BT2020_TRANSFER}
        transfer = usual.get(matrix, _BT709)
    return Colors(matrix if matrix in _CONVERTED else _BT709, primaries, transfer)


class Orientation(NamedTuple):
    """Turn of stored frames that makes them upright.

    Attributes:
        transposed: Whether rows become columns, first.
        flip: OpenCV's code of the mirroring that follows: 0 of top and bottom, 1 of left and
            right, -1 of both; None for none.
    """

    transposed: bool
    flip: int | None


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return what a decoded frame's display matrix asks for, to the nearest 90 degrees.

    The matrix (a, b, u, c, d, v, x, y, w; the track header of ISO/IEC 14496-12) takes a stored
    point to x' = a x + c y, y' = b x + d y.
    """
    matrix = cast("Mapping[str, bytes]", frame.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation(transposed=False, flip=None)
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    transposed = abs(a) + abs(d) < abs(b) + abs(c)
    mirrored = (c < 0, b < 0) if transposed else (a < 0, d < 0)
    flips = {(False, False): None, (False, True): 0, (True, False): 1, (True, True): -1}
    return Orientation(transposed, flips[mirrored])
