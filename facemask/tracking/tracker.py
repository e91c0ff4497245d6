"""Follows faces through a video: detects now and then, moves the boxes in between."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.detection import Detection, FaceDetector, GivenFaces, Image, check_image
from facemask.tracking.flow import CutDetector, SmallFrame, face_motions
from facemask.tracking.looks import is_strange, look_of
from facemask.tracking.matching import Sight, is_covered, is_crowded, is_part_of, turned_box
from facemask.tracking.schedule import Schedule
from facemask.tracking.settings import TrackerSettings
from facemask.tracking.track import FARTHEST_TURN, MASKS_LAST, YOUNG, Track
from facemask.tracking.turns import Looks
from facemask.turned import TurnedBox, wrapped

__all__ = ["FaceTracker", "TrackedFace", "TrackerSettings"]

SMALLEST_SIDE: Final = 8
"""Pixels below which a crop shows nothing."""
MOST_BLIND: Final = 3
"""Frames for which a face is shown that neither flow nor the detector sees."""


@dataclass(frozen=True)
class TrackedFace:
    """One face of one frame.

    Attributes:
        track_id: Number of the face, from 0; never given to another face.
        box: The smoothed face crop.
        score: The detector's last score for it.
        restart: Whether this is its first frame, or its first after a cut or a gap: whatever a
            network remembers of it must start anew.
        roll: Degrees by which the face is turned clockwise. The box is that of the face turned
            upright about the box's centre.
    """

    track_id: int
    box: Box
    score: float
    restart: bool
    roll: float = 0.0

    @property
    def turned_box(self) -> TurnedBox:
        """Box and roll together."""
        return TurnedBox(self.box, self.roll)


class FaceTracker:
    """Follows the faces of one video, frame by frame, in constant memory.

    Args:
        detector: Finder of faces, or knowledge of them (`BoxesFile`, `CroppedFrames`), whose
            boxes are taken as they are.
        settings: Settings; None for the defaults.
    """

    def __init__(
        self, detector: FaceDetector | GivenFaces, settings: TrackerSettings | None = None
    ) -> None:
        self._detector = detector
        self._settings = settings or TrackerSettings()
        self._cuts = CutDetector()
        self._schedule = Schedule(self._settings)
        self._one_at_a_time = threading.Lock()  # detectors are not made for several threads
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another video."""
        self._cuts.reset()
        self._frame = -1
        self._schedule.reset()
        self._tracks: list[Track] = []
        self._given: list[TrackedFace] = []
        self._next_id = 0
        self._previous: SmallFrame | None = None
        self._foreseen: dict[int, list[Detection]] = {}

    def foresee(self, frame: int, image: Image) -> None:
        """Let the detector look at a frame to come, if `step` is likely to ask about it.

        For another thread than that of `step`, which has less to do then and returns the same.

        Args:
            frame: Number of the frame, from 0.
            image: What `step` will get, RGB uint8 (H, W, 3).

        Raises:
            InputError: The image is not of that kind.
        """
        if not isinstance(self._detector, GivenFaces) and self._schedule.foresees(frame):
            with self._one_at_a_time:
                self._foreseen[frame] = self._detector.detect(check_image(image))

    def step(self, image: Image) -> list[TrackedFace]:
        """Return the faces of the next frame, by track id.

        Args:
            image: RGB uint8 (H, W, 3).

        Raises:
            InputError: The image is not of that kind.
        """
        image = check_image(image)
        self._frame += 1
        small, detector = SmallFrame.of(image), self._detector
        dark = self._cuts.blank
        cut = self._cuts.is_cut(small)
        if isinstance(detector, GivenFaces):
            self._given = self._known(detector.faces(self._frame, image), cut)
            return self.faces()
        if cut:
            self._tracks = []
        if cut or (dark and not self._cuts.blank):
            self._schedule.reset()
        self._move(small)
        foreseen = self._foreseen.pop(self._frame, None)
        if turns := self._schedule.turns(self._frame, self._tracks):
            with self._one_at_a_time:
                self._look(Looks(detector, image, foreseen), image, small, turns)
        self._retire(image)
        self._previous = small
        for track in self._visible():
            track.settle()
        return self.faces()

    def faces(self) -> list[TrackedFace]:
        """Return the faces of the last `step` by track id, as `correct` left them."""
        tracked = [
            TrackedFace(t.track_id, t.shown.box, t.score, t.restart, t.shown.roll)
            for t in self._visible()
        ]
        return [*self._given, *tracked]

    def correct(
        self, track_id: int, box: Box | None, age: int = 0, roll: float | None = None
    ) -> None:
        """Take over where the network's mask shows a face.

        In a face's first frame (`restart`) the mask counts for all: `faces` gives what it shows.

        Args:
            track_id: The face. One that has ended is passed over.
            box: The crop that follows from its mask (`face_box_of_mask`), of the face turned
                upright about the box's centre; None where the network sees no face: it is shown
                on only if the detector finds it, and ends at once in its first frame.
            age: Number of frames since then: 0 is the frame of the last `step`.
            roll: Degrees by which the mask shows the face turned clockwise; None where that is
                not to be seen.

        Raises:
            InputError: The roll is not a number.
        """
        if roll is not None:
            roll = _checked(roll) if self._settings.upright else None
        for track in self._tracks:
            if track.track_id == track_id and track.visible:
                if box is not None:
                    track.correct(box, roll, self._frame - age)
                else:
                    if track.restart and age == 0:
                        track.hide()
                    track.denied = True

    def _known(self, places: dict[int, TurnedBox], cut: bool) -> list[TrackedFace]:
        before = {face.track_id for face in self._given}
        return [
            TrackedFace(face, place.box, 1.0, cut or face not in before, self._roll(place))
            for face, place in sorted(places.items())
        ]

    def _roll(self, face: Detection | TurnedBox) -> float:
        return _checked(face.roll) if self._settings.upright else 0.0

    def _visible(self) -> list[Track]:
        return [track for track in self._tracks if track.visible]

    def _move(self, small: SmallFrame) -> None:
        visible = self._visible()
        crowded = [is_crowded(track, self._visible()) for track in visible]
        if self._previous is not None:
            places = [track.place for track in visible]
            turning = self._settings.upright
            motions = face_motions(self._previous, small, places, turning=turning)
            for track, motion, covered in zip(visible, motions, crowded, strict=True):
                track.move(motion, crowded=covered)
        for track in self._tracks:
            if not track.visible:
                track.move(None, crowded=False)
        self._tracks = [t for t in self._tracks if t.hidden <= self._settings.max_gap]

    def _look(self, looks: Looks, image: Image, small: SmallFrame, turns: Sequence[int]) -> None:
        """Let the detector look for faces of these rolls, or of all where that is not enough."""
        sight = self._sight(looks, image, small, turns)
        if self._settings.upright and (self._has_lost(sight) or any(map(self._is_new, sight.rest))):
            turns, fewer = self._schedule.all_turns(self._frame), turns
            if len(fewer) < len(turns):
                sight = self._sight(looks, image, small, turns)
        self._take_over(sight, small)

    def _sight(self, looks: Looks, image: Image, small: SmallFrame, turns: Sequence[int]) -> Sight:
        found = looks.all_around(turns) if self._settings.upright else looks.upright()
        least = self._settings.least_side(*image.shape[:2])
        found = [f._replace(roll=self._roll(f)) for f in found if f.box.side >= least]
        return Sight.of(self._tracks, found, small)

    def _has_lost(self, sight: Sight) -> bool:
        """Tell if a face that is shown was not found, first of all or with no mask to go by."""
        return any(
            track.visible
            and row not in sight.pairs
            and (track.misses == 0 or track.mask_age > MASKS_LAST)
            for row, track in enumerate(self._tracks)
        )

    def _is_new(self, face: Detection) -> bool:
        """Tell if a detection that belongs to no track may begin one.

        One that is turned otherwise than all faces shown is seldom a face: it must be surer.
        """
        least, shown = self._settings.min_score, self._visible()
        turns = [abs(wrapped(face.roll - track.place.roll)) for track in shown]
        if turns and min(turns) > FARTHEST_TURN:
            least = (least + 1) / 2
        if face.score < least or self._full():
            return False
        if self._settings.upright and any(is_part_of(face, track) for track in shown):
            return False
        return all(overlap(face.box, track.place.box) <= 0.5 for track in shown)

    def _take_over(self, sight: Sight, small: SmallFrame) -> None:
        """Give detections to their tracks, and begin new tracks with the rest."""
        for row, track in enumerate(self._tracks):
            column = sight.pairs.get(row)
            if column is None:
                track.misses += 1
                track.strange = is_strange(track.look, look_of(small, track.place))
                continue
            face = sight.found[column]
            if not track.visible and (face.score < self._settings.min_score or self._full()):
                continue
            track.confirm(turned_box(face), face.score)
            if not is_covered(face, sight.found):
                track.look = sight.looks[column]
        for face in filter(self._is_new, sight.rest):
            look, smoothing = look_of(small, turned_box(face)), self._settings.smoothing
            track = Track(self._next_id, turned_box(face), face.score, smoothing, self._frame, look)
            self._tracks.append(track)
            self._next_id += 1

    def _full(self) -> bool:
        most = self._settings.max_faces
        return most is not None and len(self._visible()) >= most

    def _retire(self, image: Image) -> None:
        """Hide the faces that are not to be seen any more."""
        height, width = image.shape[:2]
        longest = max(self._settings.max_gap, self._settings.every)
        for track in self._visible():
            box = track.shown.box
            x, y = box.center
            gone = not (0 <= x <= width and 0 <= y <= height) or box.side < SMALLEST_SIDE
            gone |= track.denied and track.unconfirmed > 0
            gone |= track.blind > MOST_BLIND or track.unconfirmed > longest
            gone |= track.hits < YOUNG and track.misses > 1 and not track.confirmed
            gone |= track.misses > 0 and track.strange
            gone |= track.misses > 0 and is_crowded(track, self._visible())
            if gone:
                track.hide()


def _checked(roll: float) -> float:
    """Return a roll in [-180, 180).

    Raises:
        InputError: It is not a number.
    """
    if not math.isfinite(roll):
        raise InputError(f"a face's roll is {roll}: expected degrees, clockwise.")
    return wrapped(roll)
