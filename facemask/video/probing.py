"""Opening a video file, and what its header promises."""

import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from facemask.errors import InputError

_DEFAULT: Final = 0x1  # FFmpeg's AV_DISPOSITION_DEFAULT: the track that players take
_PICTURES: Final = ("bmp", "gif", "mjpeg", "png", "tiff", "webp")  # codecs of covers
_ENOUGH: Final = 250  # packets of a film beside a single picture
_COVERS: Final = 0x400 | 0x800  # and ATTACHED_PIC, TIMED_THUMBNAILS: a song's cover, chapters'
_NO_TIMES: Final = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS
_USUAL_FPS: Final = Fraction(25)  # of files that do not tell theirs
_BOX_HEADER: Final = 8  # bytes of an MP4 box's header: length and type
_MP4_STARTS: Final = (b"ftyp", b"wide", b"mdat", b"free", b"skip")
_MP4_INDEXES: Final = (b"moov", b"moof")


class Rational(Protocol):
    """PyAV's rational numbers: Fractions, from release 19 on a class of their own."""

    @property
    def numerator(self) -> int: ...  # noqa: D102
    @property
    def denominator(self) -> int: ...  # noqa: D102


def fraction(value: Rational | None) -> Fraction | None:
    """A rational number; None where it is unset, for which newer releases say 0.

    Examples:
        >>> fraction(Fraction(30000, 1001)), fraction(Fraction(0)), fraction(None)
        (Fraction(30000, 1001), None, None)
    """
    if value is None or not (value.numerator and value.denominator):
        return None
    return Fraction(value.numerator, value.denominator)


def url_of(path: Path) -> str:
    """A path as FFmpeg takes it whatever characters it holds (`a:b.mp4` is no protocol)."""
    return f"file:{path}"


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file, with threads, at the stream of pictures that players take.

    That is one marked as default, not a single picture beside a film.

    Raises:
        InputError: It cannot be read, is empty, cut off before its index, no video, or has only
            sound.
    """
    _check_file(path)
    try:
        container = av.open(url_of(path), mode="r")
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: {_why_not(path)}") from error
    streams = [each for each in container.streams.video if not _disposition(each) & _COVERS]
    if container.format.name == "tty" or not (streams or container.streams.audio):
        reason = _why_not(path)  # FFmpeg takes a text for a film of a terminal
    elif not streams:
        reason = "holds sound but no pictures; give a video."
    # typed as if it were always there
    elif not (known := [stream for stream in streams if stream.codec_context]):
        reason = "its video codec is unknown here; convert it to H.264 first."
    else:
        stream = _chosen(container, known)
        stream.thread_type = "AUTO"
        return container, stream
    container.close()
    raise InputError(f"{path}: {reason}")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot read the file: {error.strerror}.") from error
    if empty:
        raise InputError(f"{path}: the file is empty (0 bytes).")


def is_default(stream: VideoStream | AudioStream) -> bool:
    """Whether a file marks a stream as one that players take; False where PyAV does not tell."""
    return bool(_disposition(stream) & _DEFAULT)


def _disposition(stream: VideoStream | AudioStream) -> int:
    return int(stream.disposition.value)  # no number itself before PyAV 18


def _chosen(container: InputContainer, streams: list[VideoStream]) -> VideoStream:
    """The one that players take: of films before single pictures, a default one, FFmpeg's best."""
    single = _single_pictures(container, streams) if len(streams) > 1 else set()
    films = [stream for stream in streams if stream.index not in single] or streams
    marked = [stream for stream in films if is_default(stream)] or films
    best = container.streams.best("video")  # knows streams of which it saw but one picture
    return next((stream for stream in marked if best and stream.index == best.index), marked[0])


def _single_pictures(container: InputContainer, streams: list[VideoStream]) -> set[int]:
    """Indices of the streams that hold one picture, such as a cover that is not marked as one."""
    single = {stream.index for stream in streams if stream.frames == 1}
    # where the header does not count, as in MKV, the packets of the first seconds do
    unsure = [
        stream
        for stream in streams
        if stream.frames == 0 and stream.codec_context.name in _PICTURES
    ]
    if not unsure:
        return single
    seen = dict.fromkeys((stream.index for stream in streams), 0)
    with suppress(FFmpegError), av.open(container.name, mode="r") as probe:
        for packet in probe.demux([probe.streams[index] for index in seen]):
            seen[packet.stream.index] += packet.size > 0
            if max(seen.values()) > _ENOUGH or all(seen[s.index] > 1 for s in unsure):
                break
    return single | {stream.index for stream in unsure if seen[stream.index] == 1}


def _why_not(path: Path) -> str:
    if lacks_index(path):
        return (
            "the file is cut off: its index (moov), which is written last, is missing, as when "
            "recording or copying was interrupted; copy it again or mend it with the original."
        )
    return "not a video, or damaged at its very start; expected a video file that FFmpeg reads."


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without its whole index, so that nothing can be decoded."""
    size, offset = path.stat().st_size, 0
    kinds: list[bytes] = []
    with path.open("rb") as file:
        while offset + _BOX_HEADER <= size and len(kinds) < 1000:
            file.seek(offset)
            header = file.read(2 * _BOX_HEADER)
            length = int.from_bytes(header[:4], "big")
            kinds.append(header[4:8])
            if length == 1:  # a 64-bit length follows
                length = int.from_bytes(header[8:], "big")
            if length == 0:  # up to the end of the file
                length = size - offset
            if length < _BOX_HEADER:
                break
            offset += length
            if kinds[-1] in _MP4_INDEXES and offset <= size:
                return False
    return bool(kinds) and kinds[0] in _MP4_STARTS


def stores_no_times(container: InputContainer, *, told: bool = False) -> bool:
    """Whether a file is a raw stream of pictures whose times are their numbers over the rate.

    Args:
        container: The open file.
        told: Whether the rate is known from elsewhere; without, MPEG-2 pictures that tell how long
            they are shown (film on television) keep the times that FFmpeg makes of it.
    """
    return _is_raw(container) and (told or container.format.name != "mpegvideo")


def _is_raw(container: InputContainer) -> bool:
    return bool(int(container.format.flags) & _NO_TIMES)


def frame_rate(container: InputContainer, stream: VideoStream) -> Fraction:
    """Frames a second; of raw streams what the pictures' header says, if it does."""
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    # FFmpeg reads raw streams at 25, and calls that their average
    first, second = (guessed, average) if _is_raw(container) else (average, guessed)
    return first or second or _USUAL_FPS


def promised_seconds(container: InputContainer, stream: VideoStream, fps: Fraction) -> float | None:
    """How long a file's pictures last by its header; None where the format does not tell.

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
