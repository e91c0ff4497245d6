"""How long the last picture of a written video is shown."""

from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facemask.video.probing import fraction


class PacketQueue:
    """Writes a video's packets, the last ones late: when it is known how long the picture lasts.

    A video says when each picture begins; when the last one ends is told by its packet's duration,
    and in MP4 by that of the packet written last, which with B-frames is another one.

    Args:
        container: Where to write to; its stream is the packets' own.
    """

    def __init__(self, container: OutputContainer) -> None:
        """Begin without packets."""
        self._container = container
        self._held: list[Packet[VideoStream]] = []  # that of the latest picture, and those after it
        self._first: tuple[int, int] | None = None  # first times of showing and of decoding

    def write(self, packet: "Packet[VideoStream]") -> None:
        """Write a packet, with time stamps, in the order of decoding."""
        assert packet.pts is not None
        assert packet.dts is not None
        self._first = self._first or (packet.pts, packet.dts)
        if self._held and packet.pts > (self._held[0].pts or 0):
            self._write_held()
        self._held.append(packet)

    def finish(self, seconds: float | None) -> None:
        """Write the rest.

        Args:
            seconds: For which the last picture is shown; None leaves its packet's duration.
        """
        if self._held and self._first is not None and seconds is not None:
            latest, final = self._held[0], self._held[-1]
            tick = fraction(latest.time_base)
            assert tick is not None
            ticks = max(1, round(seconds / tick))
            shown = (latest.pts or 0) + ticks - self._first[0]
            final.duration = max(1, shown - ((final.dts or 0) - self._first[1]))
            latest.duration = ticks
        self._write_held()

    def _write_held(self) -> None:
        for packet in self._held:
            self._container.mux(packet)
        self._held = []
