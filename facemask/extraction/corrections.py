"""Places where masks show faces: finer than a detector's, they correct what follows the faces."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from facemask.boxes import Box, overlap
from facemask.classes import BACKGROUND
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.extraction.temporal import FaceLabeller
from facemask.face_of_mask import roll_of_mask, turned_box_of_mask
from facemask.tracking.tracker import TrackedFace
from facemask.turned import wrapped
from facemask.video.frames import VideoFrame

_LEAST_FACE: Final = 0.02
"""Share of a crop below which what is labelled there is no face."""
_TURNED_AWAY: Final = 25.0
"""Degrees between crop and mask from which a face is looked at again: in training, faces were
turned by up to 22."""
_SURE: Final = 0.955
"""Mean probability of a mask's labels below which the face may be turned another way altogether.
With the default weights, 95 of 100 masks of faces that are upright in their crop are surer, and of
those that lie on their side or are upside down 2 of 300 (photographs of Helen and LFPW)."""
_STRONG: Final = 0.7
"""Detector's score from which a face is one, however unsure its mask is."""
_NO_FACE: Final = (0.8, 0.92)
"""Mean probability of a mask's labels with which a weak detection of 40 pixels or more is no face.
Of 31 false detections in 200 pictures of animals, drawings and things 29 are less sure, of 470
faces in photographs (Helen and LFPW, also turned and reduced to 40 pixels) none; the least sure one
had 0.87. A network that is less sure than all of these has learnt too little to be a judge."""
_SMALL: Final = 40.0
"""Side of crops below which masks are always unsure."""
_SAME_FACE: Final = 0.5
"""IoU from which two boxes of masks are of one face."""


class Correction(NamedTuple):
    """Place where a mask showed a face, as `FaceTracker.correct` takes it.

    Attributes:
        track_id: The face.
        box: Its box, upright about the box's own centre; None where the mask shows no face.
        age: Number of frames since the mask's.
        roll: Degrees by which the mask shows the face turned clockwise; None where it is not known.
    """

    track_id: int
    box: Box | None
    age: int
    roll: float | None = None


def corrections_of(frames: Sequence[ExtractedFrame], upright: bool) -> list[Correction]:
    """Return where the masks of consecutive frames show each face, for the tracker of these frames.

    Args:
        frames: Labelled frames; each face's last one counts.
        upright: Whether faces are turned upright; else no mask says a roll.
    """
    found: dict[int, Correction] = {}
    for age, frame in enumerate(reversed(frames)):
        for face in frame.faces:
            if face.track_id not in found:
                found[face.track_id] = _correction(face, age, upright)
    return list(found.values())


def first_corrections(
    frame: VideoFrame, faces: Sequence[TrackedFace], labeller: FaceLabeller, upright: bool
) -> list[Correction]:
    """Return where masks of one frame show faces that a detector has just found.

    A face whose mask is unsure is looked at turned by all right angles, and the surest mask counts:
    a detector may take a face that lies on its side for an upright one. One that its mask shows
    turned away from its crop is looked at again, turned as the mask says. Where neither the
    detector nor the mask is sure, there is no face.

    Args:
        frame: The frame.
        faces: The faces, which the networks have not seen before.
        labeller: What labels single frames.
        upright: Whether faces are turned upright; else each is looked at once.
    """
    best = _looks(frame, faces, labeller, upright)
    if not upright:
        return [look.verdict for look in best.values()]
    unsure = [look.face for look in best.values() if look.is_unsure]
    for turn in (90, 180, 270):
        turned = [replace(face, roll=wrapped(face.roll + turn)) for face in unsure]
        _keep_surer(best, _looks(frame, turned, labeller, upright))
    first_rolls = {face.track_id: face.roll for face in faces}
    away = [
        replace(face, box=shown.box, roll=shown.roll)
        for face, shown, _ in best.values()
        if shown.box is not None
        and shown.roll is not None
        and (
            abs(wrapped(shown.roll - face.roll)) > _TURNED_AWAY
            or face.roll != first_rolls[face.track_id]
        )
    ]
    _keep_surer(best, _looks(frame, away, labeller, upright))
    return [look.verdict for look in best.values()]


def distinct_faces(faces: Sequence[TrackedFace], shown: Sequence[Correction]) -> list[TrackedFace]:
    """Return faces where their first masks show them, each once, and none without a mask."""
    distinct: list[TrackedFace] = []
    known = {correction.track_id: correction for correction in shown}
    for face in sorted(faces, key=lambda face: -face.score):
        _, box, _, roll = known[face.track_id]
        if box is None or any(overlap(box, other.box) > _SAME_FACE for other in distinct):
            continue
        distinct.append(replace(face, box=box, roll=face.roll if roll is None else roll))
    return distinct


class _Look(NamedTuple):
    face: TrackedFace
    shown: Correction
    sureness: float  # mean probability of the labels, 0 without a mask

    @property
    def is_unsure(self) -> bool:
        return self.sureness < _SURE or self.shown.roll is None

    @property
    def verdict(self) -> Correction:
        """Correction by the mask, to no face where neither it nor the detector is sure."""
        weak = self.face.score < _STRONG and self.face.box.side >= _SMALL
        if weak and _NO_FACE[0] <= self.sureness < _NO_FACE[1]:
            return Correction(self.face.track_id, None, 0)
        return self.shown


def _looks(
    frame: VideoFrame, faces: Sequence[TrackedFace], labeller: FaceLabeller, upright: bool
) -> dict[int, _Look]:
    """Return what masks of one frame show of faces, by track id."""
    looks = {f.track_id: _Look(f, Correction(f.track_id, None, 0), 0.0) for f in faces}
    labeller.reset()
    for labelled in labeller.label([frame], [faces])[0].faces if faces else []:
        n, shown = labelled.track_id, _correction(labelled, 0, upright)
        if shown.box is not None:
            looks[n] = _Look(looks[n].face, shown, _sureness(labelled))
    return looks


def _sureness(face: ExtractedFace) -> float:
    """Return the mean probability of a face's labels, 0 to 1; 0 without any."""
    labelled = face.crop_labels != BACKGROUND
    if not labelled.any():
        return 0.0
    return float(face.crop_probabilities.max(axis=0)[labelled].mean())


def _keep_surer(best: dict[int, _Look], others: dict[int, _Look]) -> None:
    for n, look in others.items():
        if look.sureness > best[n].sureness:
            best[n] = look


def _correction(face: ExtractedFace, age: int, upright: bool) -> Correction:
    """Return where a face's mask shows it in the frame."""
    looked_at = face.turned_box.box
    share = np.count_nonzero(face.crop_labels) / (looked_at.width * looked_at.height)
    roll = roll_of_mask(face.crop_labels, face.roll) if upright else None
    box = turned_box_of_mask(face.crop_labels, face.roll if roll is None else roll)
    if box is None or share < _LEAST_FACE:
        return Correction(face.track_id, None, age)
    return Correction(face.track_id, box.shifted(face.box.left, face.box.top), age, roll)
