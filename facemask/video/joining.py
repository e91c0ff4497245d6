"""Several videos of one kind after each other, without encoding anew."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import av
from av.container import OutputContainer

from facemask.files import remove, temporary_name
from facemask.video.frames import FrameSource
from facemask.video.last_packet import PacketQueue
from facemask.video.matroska import write_pixel_aspect
from facemask.video.muxing import mp4_options, rate_of, ticks_a_second
from facemask.video.probing import fraction
from facemask.video.sound import Sound

_SOUND_AHEAD: Final = 0.5  # seconds


def join_videos(parts: Sequence[Path], path: Path, source: FrameSource, *, audio: bool) -> None:
    """Write the parts' packets into one file, under its name when complete.

    Args:
        parts: Videos of one writer and one size, in order; each frame has the time that it has in
            the whole.
        path: The file to write; its suffix is that of the parts.
        source: Where the frames come from: gives the sound.
        audio: Keep the sound.

    Raises:
        OSError: A part cannot be read, or the file cannot be written.
    """
    temporary = temporary_name(path)
    kind = "matroska" if path.suffix == ".mkv" else "mp4"
    tick = 1 / ticks_a_second(rate_of(source))
    options = {} if kind == "matroska" else mp4_options(tick)
    try:
        with av.open(str(temporary), "w", format=kind, options=options) as output:
            _copy(parts, output, source, audio and source.has_audio)
        if kind == "matroska" and source.pixel_aspect != 1:
            write_pixel_aspect(temporary, source.pixel_aspect)
        temporary.replace(path)
    finally:
        remove(temporary)


def _copy(parts: Sequence[Path], output: OutputContainer, source: FrameSource, audio: bool) -> None:
    queue = PacketQueue(output)
    with ExitStack() as stack:
        first = stack.enter_context(av.open(str(parts[0])))
        stream = output.add_stream_from_template(first.streams.video[0])
        sound = None
        if audio and source.path is not None:
            sound = Sound(source.path, output, source.start)
            stack.callback(sound.close)
        for part in parts:
            with av.open(str(part)) as container:
                video = container.streams.video[0]
                tick = fraction(video.time_base)
                assert tick is not None
                late = round((sound.delay if sound else 0.0) / tick)
                for packet in container.demux(video):
                    if packet.pts is None or packet.dts is None:  # the end
                        continue
                    packet.pts, packet.dts = packet.pts + late, packet.dts + late
                    seconds = float(packet.pts * tick)
                    packet.stream = stream
                    queue.write(packet)
                    if sound is not None:
                        sound.write_until(seconds + _SOUND_AHEAD)
        queue.finish(source.last_duration)
        if sound is not None:
            sound.finish()
