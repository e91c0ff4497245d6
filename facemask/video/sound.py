"""The sound of a source video, carried over into a result."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition

from facemask.video.clock import FileClock, shift
from facemask.video.probing import fraction, open_video

# sound that players take in MP4, by the decoder's name; FFmpeg itself would put in more
_MP4_CODECS: Final = ("aac", "ac3", "alac", "eac3", "flac", "libopus", "mp3", "mp3float", "opus")
_AAC_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
_AAC_LAYOUTS: Final = ("mono", "stereo", "5.1")


def usable_sound(container: InputContainer) -> list[AudioStream]:
    """List the sound tracks whose codec and rate FFmpeg knows, those marked as default first."""
    known = (track for track in container.streams.audio if track.codec_context and track.rate > 0)
    return sorted(known, key=lambda track: not track.disposition & Disposition.default)


class Sound:
    """Copies a video's default sound track, or its first, as the pictures of a result go along.

    The packets are copied as they are where the format takes their codec, else encoded as AAC.
    What is damaged is left out.

    Args:
        path: The source video.
        container: The file to write; its header must not be written yet.
        start: Seconds of the source's clock that are second 0 of the pictures.

    Attributes:
        delay: Seconds by which the pictures must be late, because the sound starts before them.
    """

    def __init__(self, path: Path, container: OutputContainer, start: float) -> None:
        self._output = container
        self._source, self._pictures = open_video(path)
        self._track = usable_sound(self._source)[0]
        self._tick = fraction(self._track.time_base) or Fraction(1, 1000)
        began = float((self._track.start_time or 0) * self._tick)
        self.delay = max(0.0, start - began)
        self._shift = round((self.delay - start) / self._tick)  # of the source's ticks
        is_matroska = "matroska" in container.format.name
        taken = container.supported_codecs if is_matroska else _MP4_CODECS
        self._copies = self._track.codec_context.name in taken
        self._written = (
            container.add_stream_from_template(self._track) if self._copies else self._add_aac()
        )
        self._packets = self._read()
        self._next = next(self._packets, None)
        self._latest = -math.inf  # time of the latest packet written
        self._decoded: Fraction | float = -math.inf  # of the latest frame encoded

    def _add_aac(self) -> AudioStream:
        rate, layout = self._track.rate, self._track.layout.name
        return self._output.add_stream(
            "aac",
            rate=rate if rate in _AAC_RATES else 48000,
            layout=layout if layout in _AAC_LAYOUTS else "stereo",
        )

    def _read(self) -> "Iterator[Packet[AudioStream]]":
        """Yield the track's packets, on the first recording's clock."""
        clock = FileClock(self._source, self._pictures)
        streams = [self._track, self._pictures] if clock.may_join else [self._track]
        waiting: deque[Packet[Any]] = deque()  # for the pictures that are stored beside them
        # cut off, or PyAV stumbles over a stream that appeared in the middle: the sound ends here
        with suppress(FFmpegError, IndexError):
            packets: Iterator[Packet[Any]] = self._source.demux(streams)
            for packet in packets:
                if packet.size == 0:
                    continue
                if packet.stream.index != self._track.index:
                    clock.picture(packet)
                else:
                    clock.note_sound(packet)
                    waiting.append(packet)
                while waiting and (len(streams) == 1 or clock.is_past(waiting[0])):
                    if clock.sound(waiting[0]):
                        yield waiting[0]
                    waiting.popleft()
        yield from filter(clock.sound, waiting)

    def write_until(self, seconds: float) -> None:
        """Write what starts up to a time of the written file; infinity writes all of it."""
        while self._next is not None:
            packet, pts = self._next, self._next.pts
            if pts is not None and float((pts + self._shift) * self._tick) > seconds:
                return
            self._write(packet)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Write the rest."""
        self.write_until(math.inf)
        if not self._copies:
            self._write(None)

    def _write(self, packet: "Packet[AudioStream] | None") -> None:
        """Write one of the source's packets, or what the encoder still holds."""
        try:
            if packet is not None and self._copies:
                shift(packet, self._shift)
                packet.stream = self._written
                self._mux(packet)
            else:
                for encoded in self._encode(packet):
                    self._mux(encoded)
        except (FFmpegError, ValueError) as error:
            if isinstance(error, OSError):  # a full disk; else the packet is damaged
                raise

    def _encode(self, packet: "Packet[AudioStream] | None") -> "Iterator[Packet[AudioStream]]":
        if packet is None:
            yield from self._written.encode(None)
            return
        for frame in self._track.decode(packet):
            if frame.pts is not None and frame.time_base is not None:
                frame.pts += self._shift
                time = frame.pts * (fraction(frame.time_base) or 0)
                if time < self._decoded:  # in a joined file, beyond the end of its pictures
                    continue
                self._decoded = time
            yield from self._written.encode(frame)

    def _mux(self, packet: "Packet[AudioStream]") -> None:
        """Write a packet, unless its clock runs backwards, which files refuse."""
        stamp, tick = packet.dts, fraction(packet.time_base)
        if stamp is None or tick is None or float(stamp * tick) <= self._latest:
            return
        self._latest = float(stamp * tick)
        self._output.mux(packet)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
