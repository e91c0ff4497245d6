"""Writing videos: pictures as H.264, label images without loss as FFV1."""

import warnings
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias, cast

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.reformatter import VideoReformatter

from facemask.video.colors import Colors, assumed_colors
from facemask.video.frames import FrameSource
from facemask.video.muxing import EncodedVideo, Encoder, Image

Codec: TypeAlias = Literal["h264", "mpeg4"]

_LARGEST_ASPECT: Final = 32767
_QUALITY: Final = 118 * 3  # of MPEG-4 part 2: quantiser 3 in FFmpeg's units


class VideoWriter(EncodedVideo):
    """Writes RGB pictures as a video that plays everywhere: H.264, 4:2:0, in MP4 (or MOV, MKV).

    Every frame keeps its time, and the source's first sound track comes along (copied as it is
    where the format takes its codec, else as AAC). Odd heights and widths, which H.264 in 4:2:0
    cannot hold, grow by one row or column that repeats the edge. The colours have the source's
    matrix, primaries and transfer and are tagged so; those of other sources than video files are
    of BT.709 from 720 rows or 1280 columns on and of BT.601 below. If FFmpeg lacks libx264, the
    video is MPEG-4 part 2, which is larger, and a warning says so.

    Args:
        path: The file: .mp4, .m4v, .mov or .mkv.
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
        path: Path,
        source: FrameSource,
        *,
        codec: Codec = "h264",
        audio: bool = True,
        crf: int = 18,
        preset: str = "veryfast",
    ) -> None:
        super().__init__(path, source, _lossy(codec, crf, preset), audio=audio)
        self._reformatter = VideoReformatter()

    def _convert(self, picture: Image) -> av.VideoFrame:
        matrix = self._colors(self._stream.width, self._stream.height).name
        return self._reformatter.reformat(
            av.VideoFrame.from_ndarray(_even(picture), format="rgb24"),
            format=self._encoder.pixels,
            dst_colorspace=matrix,  # type: ignore[arg-type]  # PyAV 14 takes names only
            dst_color_range="MPEG",
        )


class GreyVideoWriter(EncodedVideo):
    """Writes grey pictures, such as a mask's opacity, as an H.264 video without colour.

    Black is 0 and white 255 when it is read as RGB (the file holds them as 16 and 235, as players
    expect). No sound.

    Args:
        path: The file: .mp4, .m4v, .mov or .mkv.
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
        path: Path,
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
        path: The file, .mkv.
        source: Where the frames come from.

    Raises:
        InputError: It cannot be written there; `write` raises it too, for labels that are not
            uint8 (H, W) of the first one's size.
    """

    _formats: ClassVar[dict[str, str]] = {".mkv": "matroska"}

    def __init__(self, path: Path, source: FrameSource) -> None:
        options = {"level": "3", "slicecrc": "1"}
        super().__init__(path, source, Encoder("ffv1", "gray", options))
        self._shaped: Graph | None = None

    def _size(self, picture: Image) -> tuple[int, int]:
        return (picture.shape[0], picture.shape[1])

    def _convert(self, picture: Image) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
        return frame if self._source.pixel_aspect == 1 else self._with_aspect(frame)

    def _with_aspect(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with the pixels' shape: FFV1 writes each frame's own, MKV none for it."""
        if self._shaped is None:
            aspect = self._source.pixel_aspect.limit_denominator(_LARGEST_ASPECT)
            graph = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=self._tick
            )
            shape = graph.add(
                "setsar", f"{aspect.numerator}/{aspect.denominator}:max={_LARGEST_ASPECT}"
            )
            sink = graph.add("buffersink")
            source.link_to(shape)
            shape.link_to(sink)
            graph.configure()
            self._shaped = graph
        self._shaped.push(frame)
        return cast("av.VideoFrame", self._shaped.pull())


def _lossy(codec: Codec, crf: int, preset: str) -> Encoder:
    if codec == "h264" and "libx264" not in av.codecs_available:
        warnings.warn(
            "FFmpeg has no libx264 here: videos are written as MPEG-4 part 2, which is larger.",
            stacklevel=3,
        )
        codec = "mpeg4"
    if codec == "h264":
        return Encoder("libx264", "yuv420p", {"crf": str(crf), "preset": preset})
    return Encoder("mpeg4", "yuv420p", {"flags": "+qscale", "global_quality": str(_QUALITY)})


def _even(picture: Image) -> Image:
    """A picture with its last row and column repeated where their number is odd."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(picture)
    grown = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(grown, dtype=np.uint8)
