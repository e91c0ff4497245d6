"""What all written videos share: the source's times, pixel aspect and sound."""

import warnings
from abc import abstractmethod
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from facemask.errors import InputError
from facemask.video.colors import Colors, assumed_colors
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.last_packet import PacketQueue
from facemask.video.matroska import write_pixel_aspect
from facemask.video.output import FrameWriter
from facemask.video.probing import url_of
from facemask.video.sound import Sound

Image: TypeAlias = npt.NDArray[np.uint8]

_FORMATS: Final = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LEAST_TICKS: Final = 30_000  # a second; 0.03 ms
_MOST_TICKS: Final = 65_535  # what MPEG-4 part 2 can say
_SOUND_AHEAD: Final = 0.5  # seconds
_LIMITED: Final = 1  # FFmpeg's code of the range


@dataclass(frozen=True)
class Encoder:
    """An FFmpeg encoder, the pixel format it gets, and its options."""

    name: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)


class EncodedVideo(FrameWriter[Image]):
    """Writes pictures of one size with their times and, where asked for, the source's sound."""

    _formats: ClassVar[dict[str, str]] = _FORMATS
    _layout: ClassVar[str] = "(H, W)"

    def __init__(
        self, path: Path, source: FrameSource, encoder: Encoder, *, audio: bool = False
    ) -> None:
        if path.suffix.lower() not in self._formats:
            raise InputError(f"{path}: the name must end in {' or '.join(self._formats)}.")
        super().__init__(path)
        self._source, self._encoder = source, encoder
        self._rate = rate_of(source)
        self._tick = 1 / ticks_a_second(self._rate)
        self._with_sound = audio and source.has_audio
        self._container: OutputContainer | None = None
        self._sound: Sound | None = None
        self._delay, self._latest = 0.0, -1
        self._lasting = round(1 / self._rate / self._tick)  # of a packet: counts for the last alone
        self._queue: PacketQueue
        self._shape: tuple[int, ...] = ()
        self._stream: VideoStream

    @abstractmethod
    def _convert(self, picture: Image) -> av.VideoFrame:
        """A picture in the encoder's pixel format and size."""

    def _size(self, picture: Image) -> tuple[int, int]:
        """Height and width in the file."""
        height, width = picture.shape[:2]
        return (height + height % 2, width + width % 2)

    def _start(self, picture: Image) -> None:
        """Open the file for pictures like this one."""
        self._shape = picture.shape
        path = self._source.path if self._with_sound else None
        try:
            self._open_container(self._size(picture), path)
        except FFmpegError as error:
            if path is None or isinstance(error, OSError):
                raise
            warnings.warn(f"{path}: its sound is damaged and left out.", stacklevel=5)
            self._discard()
            self._open_container(self._size(picture), None)

    def _open_container(self, size: tuple[int, int], sound: Path | None) -> None:
        suffix = self.path.suffix.lower()
        options = {} if suffix == ".mkv" else mp4_options(self._tick)
        self._container = av.open(
            url_of(self._temporary), mode="w", format=self._formats[suffix], options=options
        )
        stream = self._container.add_stream(
            self._encoder.name, self._rate, options=self._encoder.options
        )
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = size
        stream.pix_fmt = self._encoder.pixels
        stream.time_base = stream.codec_context.time_base = self._tick
        if self._source.pixel_aspect != 1:
            stream.codec_context.sample_aspect_ratio = self._source.pixel_aspect
        if self._encoder.pixels == "yuv420p":
            self._tag_colors(stream)
        self._queue = PacketQueue(self._container)
        self._stream, self._sound, self._delay = stream, None, 0.0
        if sound is not None:
            self._sound = Sound(sound, self._container, self._source.start)
            self._delay = self._sound.delay
        self._container.start_encoding()

    def _colors(self, width: int, height: int) -> Colors:
        """Those of the source, so that players show both alike."""
        return self._source.colors or assumed_colors(width, height)

    def _tag_colors(self, stream: VideoStream) -> None:
        context, colors = stream.codec_context, self._colors(stream.width, stream.height)
        context.colorspace, context.color_range = colors.matrix, _LIMITED
        context.color_primaries, context.color_trc = colors.primaries, colors.transfer

    def _write(self, frame: VideoFrame, item: Image) -> None:
        self._check(item)
        if self._container is None:
            self._start(item)
        time = frame.time + self._delay
        self._latest = max(round(time / self._tick), self._latest + 1)
        converted = self._convert(item)
        converted.pts, converted.time_base = self._latest, self._tick
        self._mux(self._stream.encode(converted))
        if self._sound is not None:
            self._sound.write_until(time + _SOUND_AHEAD)

    def _check(self, picture: Image) -> None:
        axes = len(self._layout.split(","))
        right_shape = picture.shape == self._shape if self._shape else picture.ndim == axes
        if picture.dtype != np.uint8 or not right_shape or (axes == 3 and picture.shape[2] != 3):
            raise InputError(
                f"{self.path}: a picture is {picture.dtype} {picture.shape}, expected uint8 "
                f"{self._shape or self._layout}."
            )

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            packet.duration = self._lasting
            self._queue.write(packet)

    def _complete(self) -> None:
        if self._container is None:
            raise InputError(f"{self.path}: not written, because there was no frame.")
        self._mux(self._stream.encode(None))
        self._queue.finish(self._source.last_duration)
        if self._sound is not None:
            self._sound.finish()
        self._discard()
        if self.path.suffix.lower() == ".mkv" and self._source.pixel_aspect != 1:
            write_pixel_aspect(self._temporary, self._source.pixel_aspect)

    def _discard(self) -> None:
        if self._sound is not None:
            self._sound.close()
        if self._container is not None:
            self._container.close()


def rate_of(source: FrameSource) -> Fraction:
    """Frames a second of what is written of a source."""
    return source.fps.limit_denominator(1001) or Fraction(25)


def mp4_options(tick: Fraction) -> dict[str, str]:
    """FFmpeg's options of an MP4 or MOV whose pictures' times are counted in `tick` seconds.

    Its index lies at the start, as browsers want it. The gap before a part's first picture is
    stored in units of the whole file, which are milliseconds unless they are made finer.
    """
    return {"movflags": "+faststart", "movie_timescale": str(round(1 / tick))}


def ticks_a_second(rate: Fraction) -> Fraction:
    """Ticks of a clock on which frames of a constant rate fall exactly, if there is one.

    Examples:
        >>> ticks_a_second(Fraction(25)), ticks_a_second(Fraction(24000, 1001))
        (Fraction(30000, 1), Fraction(48000, 1))
        >>> ticks_a_second(Fraction(65537, 1001))  # too fine
        Fraction(60000, 1)
    """
    ticks = rate.numerator * -(-_LEAST_TICKS // rate.numerator)
    return Fraction(ticks if ticks <= _MOST_TICKS else 60_000)
