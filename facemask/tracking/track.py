"""Faces that are followed: their places, and the detections that are theirs by place and looks."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, overlap
from facemask.tracking.detection import Detection
from facemask.tracking.flow import Motion, SmallFrame

LEAST_GAIN: Final = 0.1
"""Share that a detection has in the estimate once many were seen: they scatter, flow does not."""
MASK_GAIN: Final = 0.5
"""The same for the network's mask, which is much finer than a detector's box."""
MASK_REACH: Final = (0.08, 0.08, 0.1)
"""How far masks may draw the estimate away from where detections and flow alone put the face: x, y
over the side, logarithm of the side. A mask that leaks into the background would make the crop
larger, which shows it more background, and so on."""
LEAST_RELIABLE: Final = 0.25
"""Share of points that must be followed for the motion to count."""
YOUNG: Final = 3
"""Detections after which a face counts as sure."""
MASKS_LAST: Final = 32
"""Frames after a mask in which the detector only confirms, because masks are finer."""
LEAST_AGREEMENT: Final = 0.5
"""IoU with the detector's box below which masks are not believed alone."""
FARTHEST_JUMP: Final = 0.5
"""Distance in crop sides, and change of size, from which a box is somewhere else."""
LARGEST_JUMP: Final = 1.8
HISTORY: Final = 64
"""Frames for which a mask may come late."""

COVERED: Final = 0.05
"""IoU of two crops from which one face may hide part of the other."""
CROWDED: Final = 0.2
"""The same, from which it may hide so much that the other is not found, nor its flow its own."""
LOOK_SIZE: Final = 8
LOOK_SHARE: Final = 0.6
"""Inner share of the crop that is compared: the face without its background."""
FARTHEST: Final = 0.6
"""How far a detection may be from its face, in crop sides."""
FARTHER_PER_FRAME: Final = 0.04
"""What a hidden face may have moved more per frame, in crop sides."""
LEAST_ALIKE: Final = 0.5
"""Correlation of looks; within 30 frames of real videos one face's never fell below 0.66."""
NEVER: Final = 1e6

Look: TypeAlias = npt.NDArray[np.float32]
"""Coarse colour picture of a face as a vector of mean 0 and length 1, (192,)."""
State: TypeAlias = npt.NDArray[np.float64]
"""x, y of the centre in pixels, and the logarithm of the side."""


def state_of(box: Box) -> State:
    """Return centre and logarithmic side of a box."""
    return np.array([*box.center, math.log(max(box.side, 1.0))])


def box_of(state: State) -> Box:
    """Return the box of a state."""
    x, y, log_side = state.tolist()
    return Box.around(x, y, math.exp(log_side))


def _are_far(first: State, second: State) -> bool:
    apart = math.dist(first[:2], second[:2]) / math.exp(second[2])
    return apart > FARTHEST_JUMP or abs(float(first[2] - second[2])) > math.log(LARGEST_JUMP)


@dataclass(eq=False)
class Track:
    """One face that is followed.

    Two boxes are kept. The *estimate* moves with the picture (median flow) and is drawn towards
    each detection or mask by a share of the difference, which averages out their scatter. The
    *shown* box moves with the picture too and closes its distance to the estimate bit by bit,
    so a correction never shows as a jump; neither lags behind, because motion is taken over at
    once.

    Attributes:
        track_id: Number of the face.
        seen: Place where it was first seen.
        score: The detector's last score.
        smoothing: Share of the distance between both boxes that is left after a frame.
        frame: Number of the frame.
        look: The face's look.
        visible: Whether the face is shown.
        shown_before: Whether it was shown in the frame before.
        hits: Detections and masks since it appeared or jumped.
        misses: Times that the detector looked in vain since it was last seen.
        unconfirmed: Frames since it was last seen.
        blind: Frames without a motion of its own.
        hidden: Frames for which it has been hidden.
        denied: Whether the network sees no face there.
        strange: Whether its place looked like something else when the detector missed it.
        mask_age: Frames since its last mask.
    """

    track_id: int
    seen: InitVar[Box]
    score: float
    smoothing: float
    frame: int
    look: Look
    visible: bool = True
    shown_before: bool = False
    hits: int = 1
    misses: int = 0
    unconfirmed: int = 0
    blind: int = 0
    hidden: int = 0
    denied: bool = False
    strange: bool = False
    mask_age: int = HISTORY

    def __post_init__(self, seen: Box) -> None:
        """Put both boxes where the face was seen."""
        self._history: deque[tuple[int, State]] = deque(maxlen=HISTORY)
        self._begin_at(state_of(seen))

    @property
    def box(self) -> Box:
        """Box to show."""
        return box_of(self._shown)

    @property
    def place(self) -> Box:
        """Place where the face is thought to be, before it is smoothed."""
        return box_of(self._estimate)

    def move(self, motion: Motion | None, *, crowded: bool) -> None:
        """Go on to the next frame.

        Args:
            motion: Motion by flow; None where nothing can be followed.
            crowded: Whether another face covers part of this one, so that flow may be the other's:
                unless the detector confirms the face, it goes on as it moved before.
        """
        self.frame += 1
        self.unconfirmed += 1
        self.mask_age += 1
        sure = motion is not None and motion.reliable >= LEAST_RELIABLE
        if self.visible and sure and motion is not None and not (crowded and self.unconfirmed > 1):
            step = np.array([motion.x, motion.y, math.log(motion.scale)])
            self.blind = 0
            if not crowded:
                self.velocity += 0.2 * (step[:2] - self.velocity)
        else:
            step = np.array([*self.velocity, 0.0])
            if not crowded:
                self.blind += 1
                self.velocity *= 0.9
        self._estimate += step
        self._anchor += step
        self._shown += step
        if not self.visible:
            self.hidden += 1

    def confirm(self, box: Box, score: float) -> None:
        """Take over where the detector sees the face."""
        self.hits += 1
        seen = state_of(box)
        if not self.visible or _are_far(seen, self._estimate):
            self._begin_at(seen)
        else:
            gain = max(1 / self.hits, LEAST_GAIN)
            self._anchor += gain * (seen - self._anchor)
            if self.mask_age > MASKS_LAST or overlap(box, self.place) < LEAST_AGREEMENT:
                self._estimate += gain * (seen - self._estimate)
            self._stay_near_anchor()
        self.score = score
        self._seen()

    def _begin_at(self, seen: State) -> None:
        self._estimate, self._shown = seen.copy(), seen.copy()
        self._anchor = seen.copy()  # the estimate without masks
        self.hits, self.velocity = 1, np.zeros(2)
        self.mask_age = HISTORY
        self._history.clear()
        self.shown_before = False  # the crop shows something else now

    def correct(self, box: Box, frame: int) -> None:
        """Take over where the network's mask of a frame, this one or one before, shows the face."""
        past = next((state for number, state in self._history if number == frame), None)
        if past is None:
            return
        if _are_far(state_of(box), past):  # another face's, or stray: the detector has to say
            self.denied = True
            return
        change = MASK_GAIN * (state_of(box) - past)
        before = self._estimate.copy()
        self._estimate += change
        self._stay_near_anchor()
        change = self._estimate - before
        for _, state in self._history:  # later masks must not ask for the same again
            state += change
        self.mask_age = 0
        self.hits += 1
        self._seen()

    def _stay_near_anchor(self) -> None:
        side = math.exp(self._anchor[2])
        reach = np.array(MASK_REACH) * (side, side, 1.0)
        self._estimate = self._anchor + np.clip(self._estimate - self._anchor, -reach, reach)

    def _seen(self) -> None:
        self.visible, self.denied = True, False
        self.unconfirmed = self.blind = self.hidden = self.misses = 0

    def hide(self) -> None:
        """Show the face no more from now on."""
        self.visible = self.shown_before = False

    def settle(self) -> bool:
        """End the frame, and tell if the face is shown anew, so that networks must restart."""
        self._shown = self._estimate + self.smoothing * (self._shown - self._estimate)
        self._history.append((self.frame, self._estimate.copy()))
        anew = not self.shown_before
        self.shown_before = True
        return anew


def look_of(frame: SmallFrame, box: Box) -> Look:
    """Return the look of what is in a box."""
    height, width = frame.colour.shape[:2]
    x, y = box.center
    inner = Box.around(x, y, LOOK_SHARE * box.side).scaled(frame.scale, frame.scale)
    crop = inner.rounded(height, width)
    if crop.width < 1 or crop.height < 1:
        return np.zeros(3 * LOOK_SIZE**2, dtype=np.float32)
    part = frame.colour[crop.pixels]
    small = cv2.resize(part, (LOOK_SIZE, LOOK_SIZE), interpolation=cv2.INTER_AREA)
    vector = np.asarray(small, dtype=np.float32).ravel()
    vector -= vector.mean()
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), dtype=np.float32)


def is_strange(known: Look, seen: Look) -> bool:
    """Tell if a look is hardly that of the face known."""
    return float(known @ seen) < LEAST_ALIKE


def is_covered(face: Detection, found: Sequence[Detection]) -> bool:
    """Tell if another face may hide part of this one, so that its looks prove nothing."""
    return any(other is not face and overlap(other.box, face.box) > COVERED for other in found)


def match(
    tracks: Sequence[Track], found: Sequence[Detection], looks: Sequence[Look]
) -> dict[int, int]:
    """Assign detections to tracks so that the sum of their differences is least.

    Args:
        tracks: The faces known.
        found: The detections.
        looks: The look of each detection.

    Returns:
        Index of the detection by index of the track; those without a partner are left out.
    """
    if not tracks or not found:
        return {}
    from scipy.optimize import linear_sum_assignment  # import takes half a second

    covered = [is_covered(face, found) for face in found]
    costs = np.array(
        [
            [_cost(track, *seen) for seen in zip(found, looks, covered, strict=True)]
            for track in tracks
        ]
    )
    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if costs[row, column] < NEVER}


def _cost(track: Track, face: Detection, look: Look, covered: bool) -> float:
    place = track.place
    apart = math.dist(place.center, face.box.center) / max(place.side, face.box.side, 1.0)
    growth = abs(math.log(max(face.box.side, 1.0) / max(place.side, 1.0)))
    if apart > FARTHEST + FARTHER_PER_FRAME * track.hidden or growth > math.log(LARGEST_JUMP):
        return NEVER
    if not track.visible and not covered and is_strange(track.look, look):
        return NEVER
    return apart + growth + 1 - float(track.look @ look)
