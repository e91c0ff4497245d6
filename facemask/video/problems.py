"""What was missing or damaged in a video file, in one sentence."""

from dataclasses import dataclass, field
from typing import Final

# threads decode ahead, and frames come out later than their packets: so far off may a place be
_FRAMES_AHEAD: Final = 32

_PACKETS_AROUND: Final = 2  # FFmpeg's word of loss comes as many before a recording begins


@dataclass
class Problems:
    """Collects what goes wrong while a file is decoded.

    Attributes:
        name: The file's name.
        frames: Number of frames delivered so far.
        seconds: Time of the latest of them.

    Examples:
        >>> problems = Problems("a.mp4", frames=400, seconds=16.0)
        >>> problems.note_damage()
        >>> problems.frames, problems.seconds = 812, 32.4
        >>> problems.sentence()
        'a.mp4 is damaged near frame 400 (16.0 s): frames there are missing or distorted.'
        >>> Problems("a.mp4", frames=812, seconds=32.4).sentence(missing=5.0)
        'a.mp4 is damaged after frame 812 (32.4 s): it ends 5.0 s before its header says.'
    """

    name: str
    frames: int = 0
    seconds: float = 0.0
    _places: dict[int, float] = field(default_factory=dict)
    _resized: str | None = None
    _suspected: int = 0  # packets since one that seems damaged

    @property
    def first(self) -> int | None:
        """Number of frames before the first damage, or fewer; None without any."""
        return min(self._places, default=None)

    def note_damage(self) -> None:
        """Something about here is damaged."""
        self._places.setdefault(self.frames, self.seconds)

    def note_packet(self, seems_damaged: bool, begins: bool, ends: bool) -> None:
        """Note a packet that seems damaged, unless a recording begins up to two packets later.

        There the numbers of a file's packets do not go on, which FFmpeg takes for loss; whether
        the pictures are damaged is for the decoder to say.

        Args:
            seems_damaged: Whether FFmpeg says so of this packet.
            begins: Whether another recording may begin with it.
            ends: Whether it stands for the end of the file.
        """
        if begins:
            self._suspected = 0
        elif self._suspected == _PACKETS_AROUND or (ends and self._suspected):
            self._suspected = 0
            self.note_damage()
        elif self._suspected or seems_damaged:
            self._suspected += 1

    def note_size(self, size: tuple[int, int], first: tuple[int, int]) -> None:
        """The next frame's width and height are not the first one's."""
        self._resized = self._resized or (
            f"changes from {first[0]}x{first[1]} to {size[0]}x{size[1]} pixels after frame "
            f"{self.frames}: the frames from there on were resized to the first one's size"
        )

    def sentence(self, missing: float = 0.0, followed: bool = False) -> str | None:
        """All of it, after the last frame; None if all was well.

        Args:
            missing: Seconds by which the file ended too early.
            followed: Whether another recording is appended, which cannot be read.
        """
        parts = [] if self._resized is None else [self._resized]
        # what is damaged close to the end of a file that was cut off is the cut itself
        latest = self.frames - _FRAMES_AHEAD if missing else self.frames
        places = [(frame, s) for frame, s in self._places.items() if frame <= latest]
        if places:
            more = f" and in {len(places) - 1} more places" if len(places) > 1 else ""
            parts.append(
                f"is damaged near frame {places[0][0]} ({places[0][1]:.1f} s){more}: frames there "
                "are missing or distorted"
            )
        if missing:
            parts.append(
                f"is damaged after frame {self.frames} ({self.seconds:.1f} s): it ends "
                f"{missing:.1f} s before its header says"
            )
        if followed:
            parts.append(
                f"goes on behind frame {self.frames} ({self.seconds:.1f} s) with another recording "
                "that was appended and cannot be read: take them apart"
            )
        return f"{self.name} {'; it '.join(parts)}." if parts else None
