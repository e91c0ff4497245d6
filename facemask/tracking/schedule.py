"""Plan of the detector's runs: in which frames it looks, and at which turns of the picture."""

from collections.abc import Sequence
from typing import Final

from facemask.tracking.matching import is_crowded
from facemask.tracking.settings import TrackerSettings
from facemask.tracking.track import YOUNG, Track
from facemask.tracking.turns import RIGHT_ANGLES

ASIDE_EVERY: Final = 8
"""Looks of which one looks for faces, too, that are turned otherwise than those known."""
WEAK_EVERY: Final = 3
"""Looks of which one is all around while a face has a low score."""


class Schedule:
    """Decides, frame by frame, if the detector looks, and for faces of which rolls.

    A run of the detector finds faces near one right angle, so a look has as many runs as the rolls
    of the known faces need. It has all four in the first frame of a scene, where a roll is in
    doubt, and in every `every`-th frame while no face is shown but one may come back. With no face
    at all, one run in `every` frames is left, every other of them for upright faces. Unless faces
    are followed as they turn, a look is one run, in every frame while no face is shown.

    Args:
        settings: The tracker's settings.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Begin a scene of which nothing is known."""
        self._looks = 0
        self._for_upright = False
        self._last = self._last_of_all = -self._settings.every

    def turns(self, frame: int, tracks: Sequence[Track]) -> tuple[int, ...]:
        """Return the rolls in degrees for which to look in a frame; none for no look.

        Args:
            frame: Number of the frame, from 0.
            tracks: The faces known, shown or hidden.
        """
        shown = [track for track in tracks if track.visible]
        known = [track for track in tracks if track.visible or not track.denied]
        if not self._is_due(frame, shown, known):
            return ()
        self._looks += 1
        self._last = frame
        turns = self._turns_now(frame, shown, known)
        self._for_upright = 0 in turns
        return turns

    def foresees(self, frame: int) -> bool:
        """Tell if a frame to come will probably be looked at for upright faces, as things stand."""
        after = (frame - self._last) % self._settings.every
        return self._looks > YOUNG and self._for_upright and after == 0

    def all_turns(self, frame: int) -> tuple[int, ...]:
        """Return all rolls, and note that a frame is looked at for them."""
        self._last_of_all = frame
        return RIGHT_ANGLES

    def _turns_now(
        self, frame: int, shown: Sequence[Track], known: Sequence[Track]
    ) -> tuple[int, ...]:
        if not self._settings.upright:
            return RIGHT_ANGLES[:1]
        waited = (frame - self._last_of_all) // self._settings.every
        if self._looks == 1 or any(track.doubted or track.contrary > 0 for track in shown):
            return self.all_turns(frame)
        if waited >= WEAK_EVERY and any(map(self._is_weak, shown)):
            return self.all_turns(frame)
        if known and not shown and waited:
            return self.all_turns(frame)
        return self._turns_of(known)

    def _is_due(self, frame: int, shown: Sequence[Track], known: Sequence[Track]) -> bool:
        if frame - self._last >= self._settings.every:
            return True
        if not shown:
            return bool(known) or not self._settings.upright
        return any(
            track.in_doubt or track.hits < YOUNG or is_crowded(track, shown) for track in shown
        )

    def _is_weak(self, track: Track) -> bool:
        return track.score < self._settings.min_score and not track.is_roll_confirmed

    def _turns_of(self, known: Sequence[Track]) -> tuple[int, ...]:
        near = {nearest_turn(track.place.roll) for track in known}
        others = [turn for turn in RIGHT_ANGLES if turn not in near]
        if not known:
            others = others[1:] if self._looks % 2 else others[:1]
        elif not others or self._looks % ASIDE_EVERY:
            return tuple(sorted(near))
        turn = self._looks // (ASIDE_EVERY if known else 2) % len(others)
        return (*sorted(near), others[turn])


def nearest_turn(roll: float) -> int:
    """Return the right angle, of 0, 90, 180 and 270, that is nearest to a roll in degrees."""
    return round(roll / 90) % 4 * 90
