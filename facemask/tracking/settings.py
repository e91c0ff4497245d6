"""Settings of the tracker."""

from dataclasses import dataclass

from facemask.errors import InputError


@dataclass(frozen=True)
class TrackerSettings:
    """Settings of a tracker.

    Attributes:
        every: Most frames from one detection to the next; in between the boxes move with
            the picture. The detector also looks at once where a face is new, lost or near another,
            and after a cut. While no face is known, it runs once in so many frames (if not
            `upright`, in each).
        max_faces: Most faces to follow, the largest first; None follows all.
        min_score: Score from 0 to 1 that a new face must have; a known face needs less.
        min_size: Smallest crop that counts as a face: pixels, or below 1 a share of the
            frame's shorter side.
        max_gap: A face that comes back within so many frames keeps its id; for as long it is
            shown, too, while the detector misses it but flow still follows it.
        smoothing: Share of a correction that is left after a frame, from 0 (boxes jump to
            where the detector sees the face) to below 1.
        upright: Whether faces are followed as they turn. If not, every roll is 0.
    """

    every: int = 5
    max_faces: int | None = None
    min_score: float = 0.5
    min_size: float = 20.0
    max_gap: int = 30
    smoothing: float = 0.7
    upright: bool = True

    def least_side(self, height: int, width: int) -> float:
        """Return the side in pixels from which a crop counts as a face in a frame of this size."""
        return self.min_size * (min(height, width) if self.min_size < 1 else 1)

    def __post_init__(self) -> None:
        """Check all settings."""
        if self.every < 1:
            raise InputError(f"every is {self.every}: give a number of frames from 1 on.")
        if self.max_faces is not None and self.max_faces < 1:
            raise InputError(f"max_faces is {self.max_faces}: give 1 or more, or leave it out.")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"min_score is {self.min_score}: give a score from 0 to 1.")
        if not self.min_size >= 0:
            raise InputError(
                f"min_size is {self.min_size}: give pixels, or a share of the frame below 1."
            )
        if self.max_gap < 0:
            raise InputError(f"max_gap is {self.max_gap}: give a number of frames from 0 on.")
        if not 0 <= self.smoothing < 1:
            raise InputError(f"smoothing is {self.smoothing}: give a share from 0 to below 1.")
