"""Writing results, one item a frame: videos, label images, arrays, tables.

Every writer is a [`FrameWriter`][facemask.video.writing.FrameWriter]: `write(frame, item)` for
each frame, then `finish()`, or `abort()` to leave nothing behind; as a context manager it does so
by itself. Pictures are written as H.264, label images without loss as FFV1.
"""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from facemask.errors import InputError
from facemask.threads import codec_threads
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.muxing import FORMATS, Muxer
from facemask.video.probing import Colors, assumed_colors
from facemask.video.results import ArrayWriter, FrameWriter, LabelFolderWriter, TableWriter

__all__ = [
    "ArrayWriter",
    "FrameWriter",
    "GreyVideoWriter",
    "LabelFolderWriter",
    "LabelVideoWriter",
    "TableWriter",
    "VideoWriter",
]

Codec: TypeAlias = Literal["h264", "mpeg4"]
Image: TypeAlias = npt.NDArray[np.uint8]
Encoder: TypeAlias = tuple[str, dict[str, str]]
"""Name of an FFmpeg encoder, and its options."""

_QUALITY: Final = 118 * 3  # of MPEG-4 part 2: quantiser 3 in FFmpeg's units


class EncodedVideo(FrameWriter[Image]):
    """Base of writers of videos: pictures of one size with their times, and the source's sound."""

    _suffixes: ClassVar[Sequence[str]] = tuple(FORMATS)
    _layout: ClassVar[str] = "(H, W)"

    def __init__(
        self, path: str | Path, source: FrameSource, encoder: Encoder, *, audio: bool = False
    ) -> None:
        if Path(path).suffix.lower() not in self._suffixes:
            raise InputError(f"{path}: the name must end in {' or '.join(self._suffixes)}.")
        super().__init__(path)
        self._source, self._encoder, self._audio = source, encoder, audio and source.has_audio
        self._muxer: Muxer | None = None
        self._stream: VideoStream
        self._shape: tuple[int, ...] = ()
        self._latest = -1  # time of the latest picture, in ticks

    @abstractmethod
    def _convert(self, picture: Image) -> av.VideoFrame:
        """Return a picture as the file holds it."""

    def _colors(self, width: int, height: int) -> Colors | None:
        """Return the colours to tag pictures of this size with; None where they are data."""
        del width, height
        return None

    def _start(self, picture: av.VideoFrame) -> Muxer:
        """Open the file for pictures like this one."""
        try:
            return self._open_file(picture, self._audio)
        except FFmpegError as error:
            if not self._audio or isinstance(error, OSError):
                raise
            warnings.warn(f"{self._source.path}: its sound is damaged and left out.", stacklevel=5)
            self._close()
            return self._open_file(picture, audio=False)

    def _open_file(self, picture: av.VideoFrame, audio: bool) -> Muxer:
        muxer = self._muxer = Muxer(self._temporary, self.path.suffix.lower(), self._source)
        name, options = self._encoder
        stream = muxer.output.add_stream(name, muxer.rate, options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        stream.height, stream.width = picture.height, picture.width
        stream.pix_fmt = picture.format.name
        context.thread_count = codec_threads()
        stream.time_base = context.time_base = muxer.tick
        if self._source.pixel_aspect != 1:
            context.sample_aspect_ratio = self._source.pixel_aspect
        if colors := self._colors(picture.width, picture.height):
            context.colorspace, context.color_range = colors.matrix, ColorRange.MPEG
            context.color_primaries, context.color_trc = colors.primaries, colors.transfer
        if audio:
            muxer.add_sound()
        muxer.output.start_encoding()
        self._stream = stream
        return muxer

    def _write(self, frame: VideoFrame, item: Image) -> None:
        self._check(item)
        picture = self._convert(item)
        muxer = self._muxer or self._start(picture)
        self._shape = item.shape
        time = frame.time + muxer.delay
        self._latest = max(round(time / muxer.tick), self._latest + 1)
        picture.pts, picture.time_base = self._latest, muxer.tick
        self._mux(muxer, self._stream.encode(picture))
        muxer.write_sound(time)

    def _check(self, picture: Image) -> None:
        axes = len(self._layout.split(","))
        right_shape = picture.shape == self._shape if self._shape else picture.ndim == axes
        if picture.dtype != np.uint8 or not right_shape or (axes == 3 and picture.shape[2] != 3):
            raise InputError(
                f"{self.path}: a picture is {picture.dtype} {picture.shape}, expected uint8 "
                f"{self._shape or self._layout}."
            )

    @staticmethod
    def _mux(muxer: Muxer, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            packet.duration = round(1 / muxer.rate / muxer.tick)  # counts for the last alone
            muxer.write(packet)

    def _complete(self) -> None:
        if self._muxer is None:
            raise InputError(f"{self.path}: not written, because there was no frame.")
        self._mux(self._muxer, self._stream.encode(None))
        self._muxer.finish()

    def _close(self) -> None:
        if self._muxer is not None:
            self._muxer.close()


class VideoWriter(EncodedVideo):
    """Writes RGB pictures as a video that plays everywhere: H.264, 4:2:0, in MP4 (or MOV, MKV).

    Every frame keeps its time, and the source's first sound track comes along (copied as it is
    where the format takes its codec, else as AAC). Odd heights and widths, which H.264 in 4:2:0
    cannot hold, grow by one row or column that repeats the edge. The colours have the source's
    matrix, primaries and transfer and are tagged so; those of other sources than video files are
    of BT.709 from 720 rows or 1280 columns on and of BT.601 below. If FFmpeg lacks libx264, the
    video is MPEG-4 part 2, which is larger, and a warning says so.

    Args:
        path: File to write: .mp4, .m4v, .mov or .mkv.
        source: Where the frames come from: gives frame rate, pixel aspect and sound.
        codec: `h264`, or `mpeg4` for MPEG-4 part 2.
        audio: Keep the sound.
        crf: Quality of H.264, 0 (lossless) to 51; 18 cannot be told from the original.
        preset: Speed of x264, `ultrafast` to `veryslow`.

    Raises:
        InputError: It cannot be written there; `write` raises it too, for a picture that is not
            uint8 (H, W, 3) of the first one's size.
    """

    _layout = "(H, W, 3)"

    def __init__(
        self,
        path: str | Path,
        source: FrameSource,
        *,
        codec: Codec = "h264",
        audio: bool = True,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        super().__init__(path, source, _lossy(codec, crf, preset), audio=audio)
        self._reformatter = VideoReformatter()

    def _colors(self, width: int, height: int) -> Colors:
        return self._source.colors or assumed_colors(width, height)

    def _convert(self, picture: Image) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=self._colors(frame.width, frame.height).conversion,
            dst_color_range=ColorRange.MPEG,
        )


class GreyVideoWriter(EncodedVideo):
    """Writes grey pictures, such as a mask's opacity, as an H.264 video without colour.

    Black is 0 and white 255 when it is read as RGB (the file holds them as 16 and 235, as players
    expect). No sound.

    Args:
        path: File to write: .mp4, .m4v, .mov or .mkv.
        source: Where the frames come from.
        codec: `h264`, or `mpeg4` for MPEG-4 part 2.
        crf: Quality of H.264, 0 to 51.
        preset: Speed of x264.

    Raises:
        InputError: It cannot be written there; `write` raises it too, for a picture that is not
            uint8 (H, W) of the first one's size.
    """

    _LUMA: Final = np.rint(16 + np.arange(256) * (219 / 255)).astype(np.uint8)

    def __init__(
        self,
        path: str | Path,
        source: FrameSource,
        *,
        codec: Codec = "h264",
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        super().__init__(path, source, _lossy(codec, crf, preset))

    def _colors(self, width: int, height: int) -> Colors:
        return assumed_colors(width, height)  # no light of the source

    def _convert(self, picture: Image) -> av.VideoFrame:
        grey = _even(picture)
        height, width = grey.shape
        planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)  # no colour
        planes[:height] = cv2.LUT(grey, self._LUMA)
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")


class LabelVideoWriter(EncodedVideo):
    """Writes label images without loss: FFV1 in MKV, one grey plane whose values are class ids.

    MKV counts milliseconds. Players show it as black: it is data.

    Args:
        path: File to write, .mkv.
        source: Where the frames come from.

    Raises:
        InputError: It cannot be written there; `write` raises it too, for labels that are not
            uint8 (H, W) of the first one's size.
    """

    _suffixes = (".mkv",)

    def __init__(self, path: str | Path, source: FrameSource) -> None:
        super().__init__(path, source, ("ffv1", {"level": "3", "slicecrc": "1"}))

    def _convert(self, picture: Image) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")


def _lossy(codec: Codec, crf: int, preset: str) -> Encoder:
    if codec == "h264" and "libx264" not in av.codecs_available:
        warnings.warn(
            "FFmpeg has no libx264 here: videos are written as MPEG-4 part 2, which is larger.",
            stacklevel=3,
        )
        codec = "mpeg4"
    if codec == "h264":
        return "libx264", {"crf": str(crf), "preset": preset}
    return "mpeg4", {"flags": "+qscale", "global_quality": str(_QUALITY)}


def _even(picture: Image) -> Image:
    """Return a picture with its last row and column repeated where their number is odd."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(picture)
    grown = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, dtype=np.uint8)
