"""Follows faces through a video: detects now and then, moves the boxes in between."""

import math
from dataclasses import dataclass
from typing import Final

from facemask.boxes import Box, overlap
from facemask.errors import InputError
from facemask.tracking.detection import Detection, FaceDetector, GivenFaces, Image, check_image
from facemask.tracking.flow import CutDetector, SmallFrame, face_motions
from facemask.tracking.looks import is_strange, look_of
from facemask.tracking.matching import is_covered, match
from facemask.tracking.track import CROWDED, YOUNG, Track
from facemask.turned import TurnedBox, wrapped

SMALLEST_SIDE: Final = 8
"""Pixels below which a crop shows nothing."""
MOST_BLIND: Final = 3
"""Frames for which a face is shown that neither flow nor the detector sees."""


@dataclass(frozen=True)
class TrackerSettings:
    """Settings of a tracker.

    Attributes:
        every: Most frames from one detection to the next; in between the boxes move with
            the picture. The detector also runs at once where a face is new, lost or near another,
            after a cut and while no face is known.
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
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another video."""
        self._cuts.reset()
        self._frame = -1
        self._looked = -self._settings.every
        self._tracks: list[Track] = []
        self._given: list[TrackedFace] = []
        self._next_id = 0
        self._previous: SmallFrame | None = None

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
        cut = self._cuts.is_cut(small)
        if isinstance(detector, GivenFaces):
            self._given = self._known(detector.faces(self._frame, image), cut)
            return self.faces()
        if cut:
            self._tracks = []
        self._move(small)
        if self._must_look():
            self._looked = self._frame
            least = self._settings.min_size
            least *= min(image.shape[:2]) if least < 1 else 1
            found = [face for face in self._detect(detector, image) if face.box.side >= least]
            self._take_over(found, small)
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
                    track.denied = True
                    if track.restart and age == 0:
                        track.hide()

    def _known(self, places: dict[int, TurnedBox], cut: bool) -> list[TrackedFace]:
        before = {face.track_id for face in self._given}
        return [
            TrackedFace(face, place.box, 1.0, cut or face not in before, self._roll(place))
            for face, place in sorted(places.items())
        ]

    def _detect(self, detector: FaceDetector, image: Image) -> list[Detection]:
        return [face._replace(roll=self._roll(face)) for face in detector.detect(image)]

    def _roll(self, face: Detection | TurnedBox) -> float:
        return _checked(face.roll) if self._settings.upright else 0.0

    def _visible(self) -> list[Track]:
        return [track for track in self._tracks if track.visible]

    def _move(self, small: SmallFrame) -> None:
        visible = self._visible()
        crowded = [self._is_crowded(track) for track in visible]
        if self._previous is not None:
            places = [track.place for track in visible]
            turning = self._settings.upright
            motions = face_motions(self._previous, small, places, turning=turning)
            for track, motion, is_crowded in zip(visible, motions, crowded, strict=True):
                track.move(motion, crowded=is_crowded)
        for track in self._tracks:
            if not track.visible:
                track.move(None, crowded=False)
        self._tracks = [t for t in self._tracks if t.hidden <= self._settings.max_gap]

    def _is_crowded(self, track: Track) -> bool:
        return any(
            other is not track and overlap(track.place.box, other.place.box) > CROWDED
            for other in self._visible()
        )

    def _must_look(self) -> bool:
        if self._frame - self._looked >= self._settings.every:
            return True
        visible = self._visible()
        return not visible or any(
            track.in_doubt or track.hits < YOUNG or self._is_crowded(track) for track in visible
        )

    def _take_over(self, found: list[Detection], small: SmallFrame) -> None:
        """Give detections to their tracks, and begin new tracks with the rest."""
        places = [TurnedBox(face.box, face.roll) for face in found]
        looks = [look_of(small, place) for place in places]
        pairs = match(self._tracks, found, looks)
        for row, track in enumerate(self._tracks):
            column = pairs.get(row)
            if column is None:
                track.misses += 1
                track.strange = is_strange(track.look, look_of(small, track.place))
                continue
            face = found[column]
            if not track.visible and (face.score < self._settings.min_score or self._full()):
                continue
            track.confirm(places[column], face.score)
            if not is_covered(face, found):
                track.look = looks[column]
        new = sorted(set(range(len(found))) - set(pairs.values()), key=lambda n: -found[n].box.side)
        for n in new:
            face = found[n]
            if face.score < self._settings.min_score or self._full():
                continue
            if any(overlap(face.box, track.place.box) > 0.5 for track in self._visible()):
                continue
            smoothing = self._settings.smoothing
            track = Track(self._next_id, places[n], face.score, smoothing, self._frame, looks[n])
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
            gone |= track.hits < YOUNG and track.misses > 1
            gone |= track.misses > 0 and track.strange
            gone |= track.misses > 0 and self._is_crowded(track)
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
