"""Recordings with a beep a second, and where pictures and beeps are in a file."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from facemask.video.reading import open_source
from facemask.video.writing import VideoWriter
from tests.video.videos import RATE, picture


def beep(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """880 Hz from 0.5 to 0.56 s of every second."""
    on = (seconds % 1 >= 0.5) & (seconds % 1 < 0.56)
    return (on * 0.8 * np.sin(2 * np.pi * 880 * seconds)).astype(np.float32)


def record(
    path: Path,
    times: Sequence[float] | npt.NDArray[np.float64],
    *,
    fps: int = 25,
    codec: str = "libx264",
    sound: str | None = "aac",
    sound_from: float = 0.0,
    sound_to: float = 0.0,
    clock: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write pictures at these times, with sound whose beeps are at 0.5, 1.5 ... s of that clock.

    Args:
        path: The file.
        times: Seconds of the pictures.
        fps: Their nominal rate.
        codec: Of the pictures.
        sound: Codec of the sound; None for none.
        sound_from: When the sound begins.
        sound_to: How much later than the last picture ends.
        clock: What to add to all times.
        options: Of the pictures' encoder.
    """
    tick = Fraction(1, fps)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, fps, options=options or {})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.time_base = 12, tick
        track = None if sound is None else container.add_stream(sound, 48_000, layout="mono")
        packets = []
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index, 48, 64), format="rgb24")
            frame.pts, frame.time_base = round((time + clock) * fps), tick
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if track is not None:
            until = times[-1] + 1 / fps + sound_to
            samples = beep(np.arange(round(sound_from * 48_000), round(until * 48_000)) / 48_000)
            resampler = av.AudioResampler(track.format, "mono", 48_000)
            for begin in range(0, len(samples), 960):
                block = samples[None, begin : begin + 960]
                sounding = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                sounding.sample_rate, sounding.time_base = 48_000, Fraction(1, 48_000)
                sounding.pts = begin + round((sound_from + clock) * 48_000)
                for part in resampler.resample(sounding):
                    packets += track.encode(part)
            packets += track.encode(None)

        def when(packet: "av.Packet[av.VideoStream] | av.Packet[av.AudioStream]") -> float:
            assert packet.dts is not None
            assert packet.time_base is not None
            return float(packet.dts * packet.time_base)

        for packet in sorted(packets, key=when):
            container.mux(packet)
    return path


def encode_raw(path: Path, codec: str) -> Path:
    """Write 30 pictures at 30 a second, nothing but what the encoder gives (or an IVF)."""
    if path.suffix == ".ivf":
        return record(path, np.arange(30) / 30, fps=30, codec=codec, sound=None)
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = 64, 48
    encoder.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(30), Fraction(1, 30)
    if codec == "libx265":
        encoder.options = {"x265-params": "log-level=none"}
    packets = []
    for index in range(30):
        frame = av.VideoFrame.from_ndarray(picture(index, 48, 64), format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    path.write_bytes(b"".join(bytes(packet) for packet in [*packets, *encoder.encode(None)]))
    return path


def packed_avi(path: Path, count: int = 21) -> Path:
    """MPEG-4 ASP as DivX writes it: a B-frame in one chunk with the frame after it, then a stub."""
    encoder = av.CodecContext.create("mpeg4", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.gop_size = 64, 48, "yuv420p", 100
    encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
    encoder.options = {"bf": "1", "b_strategy": "0", "sc_threshold": "1000000000"}
    packets = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(picture(index, 48, 64), format="rgb24")
        frame.pts = index
        packets += encoder.encode(frame)
    first, *rest = [*packets, *encoder.encode(None)]
    header, start, vop = bytes(first).partition(b"\x00\x00\x01\xb6")
    chunks = [header + b"\x00\x00\x01\xb2DivX503b1393p" + start + vop]
    for later, earlier in zip(rest[::2], rest[1::2], strict=True):
        assert later.pts is not None
        bits = f"0101{later.pts % 25:05b}10"  # a predicted picture that is not coded
        bits += "0" + "1" * (15 - len(bits))
        chunks += [bytes(later) + bytes(earlier), start + int(bits, 2).to_bytes(2, "big")]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 25), stream
            container.mux(packet)
    return path


def join(path: Path, *parts: Path) -> Path:
    """Append recordings to each other, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def times_of(path: Path, fps: Fraction | int | None = None) -> npt.NDArray[np.float64]:
    """Seconds of the frames that are read; nothing may be wrong with them."""
    with open_source(path, fps) as source:
        times = np.array([frame.time for frame in source])
        assert source.problem is None
    return times


def copied_beeps(path: Path, target: Path) -> npt.NDArray[np.float64]:
    """Write a file's pictures and sound anew; seconds of the beeps from the first picture on."""
    with open_source(path) as source, VideoWriter(target, source) as writer:
        for frame in source:
            writer.write(frame, frame.image)
    with av.open(str(target)) as container:
        first = next(container.decode(video=0))
        assert first.pts is not None
        assert first.time_base is not None
        zero = float(first.pts * first.time_base)
    return beeps(target) - zero


def beeps(path: Path) -> npt.NDArray[np.float64]:
    """Seconds at which beeps begin, by each sound frame's own time."""
    heard: list[float] = []
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            begin = float(frame.pts * frame.time_base)
            samples = [part.to_ndarray()[0] for part in resampler.resample(frame)]
            loud = np.flatnonzero(np.abs(np.concatenate([*samples, np.zeros(0)])) > 0.3)
            heard += list(begin + loud / RATE)
    loud_at = np.array(heard)
    return loud_at[np.diff(loud_at, prepend=-1.0) > 0.1]
