"""Faces that are followed: where they are, how they are turned, and how sure that is."""

import math
from collections import deque
from dataclasses import InitVar, dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, overlap
from facemask.tracking.flow import Motion
from facemask.tracking.looks import Look
from facemask.turned import TurnedBox, wrapped

LEAST_GAIN: Final = 0.1
"""Share that a detection has in the estimate once many were seen: they scatter, flow does not."""
MASK_GAIN: Final = 0.5
"""The same for the network's mask, which is much finer than a detector's box."""
FARTHEST_TURN: Final = 60.0
"""Degrees from which a roll contradicts the one known, instead of making it finer."""
MASK_REACH: Final = (0.08, 0.08, 0.1, FARTHEST_TURN)
"""How far masks may draw the estimate away from where detections and flow alone put the face: x, y
over the side, logarithm of the side, degrees. A mask that leaks into the background would make the
crop larger, which shows it more background, and so on. No such circle is in the roll."""
LEAST_RELIABLE: Final = 0.25
"""Share of points that must be followed for the motion to count."""
YOUNG: Final = 3
"""Detections after which a face counts as sure."""
MOST_CONTRARY: Final = (2, 10)
"""Detections in a row that turn a face round, and one whose roll masks confirm."""
MASKS_LAST: Final = 32
"""Frames after a mask in which the detector only confirms, because masks are finer."""
LEAST_AGREEMENT: Final = 0.5
"""IoU with the detector's box below which masks are not believed alone."""
FARTHEST_JUMP: Final = 0.5
"""Distance in crop sides, and change of size, from which a box is somewhere else."""
LARGEST_JUMP: Final = 1.8
HISTORY: Final = 64
"""Frames for which a mask may come late."""

State: TypeAlias = npt.NDArray[np.float64]
"""x, y of the centre in pixels, the logarithm of the side, and the roll in degrees."""


def state_of(face: TurnedBox) -> State:
    """Return centre, logarithmic side and roll of a face."""
    return np.array([*face.box.center, math.log(max(face.box.side, 1.0)), face.roll])


def face_of(state: State) -> TurnedBox:
    """Return the turned box of a state."""
    x, y, log_side, roll = state.tolist()
    return TurnedBox(Box.around(x, y, math.exp(log_side)), wrapped(roll))


def _difference(first: State, second: State) -> State:
    """Return the way from the second state to the first, which turns by at most half a circle."""
    way = first - second
    way[3] = wrapped(float(way[3]))
    return way


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
        seen: Place and roll with which it was first seen.
        score: The detector's last score.
        smoothing: Share of the distance between both boxes that is left after a frame.
        frame: Number of the frame.
        look: The face's look.
        visible: Whether the face is shown.
        shown_before: Whether it was shown in the frame before.
        restart: Whether it is shown anew in this frame.
        hits: Detections and masks since it appeared or jumped.
        misses: Times that the detector looked in vain since it was last seen.
        unconfirmed: Frames since it was last seen.
        blind: Frames without a motion of its own.
        hidden: Frames for which it has been hidden.
        denied: Whether the network sees no face there; if hidden, whether it never saw one.
        strange: Whether its place looked like something else when the detector missed it.
        mask_age: Frames since its last mask.
        roll_age: Frames since a mask last confirmed its roll.
        contrary: Detections in a row that contradict its roll.
        doubted: Whether the last mask contradicts its roll.
        confirmed: Whether the mask of the frame with which it began shows a face.
    """

    track_id: int
    seen: InitVar[TurnedBox]
    score: float
    smoothing: float
    frame: int
    look: Look
    visible: bool = True
    shown_before: bool = False
    restart: bool = False
    hits: int = 1
    misses: int = 0
    unconfirmed: int = 0
    blind: int = 0
    hidden: int = 0
    denied: bool = False
    strange: bool = False
    mask_age: int = HISTORY
    roll_age: int = HISTORY
    contrary: int = 0
    doubted: bool = False
    confirmed: bool = False

    def __post_init__(self, seen: TurnedBox) -> None:
        """Put both boxes where the face was seen."""
        self._history: deque[tuple[int, State]] = deque(maxlen=HISTORY)
        self._begin_at(state_of(seen))

    @property
    def shown(self) -> TurnedBox:
        """Box to show, and its roll."""
        return face_of(self._shown)

    @property
    def place(self) -> TurnedBox:
        """Place where the face is thought to be, before it is smoothed."""
        return face_of(self._estimate)

    @property
    def in_doubt(self) -> bool:
        """Tell if the detector should look at once."""
        contrary = self.contrary > 0 and not self.is_roll_confirmed
        return self.denied or self.doubted or self.blind > 0 or contrary

    @property
    def is_roll_confirmed(self) -> bool:
        """Tell if a mask has lately shown the face with this roll."""
        return self.roll_age <= MASKS_LAST

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
        self.roll_age += 1
        self.restart = False
        sure = motion is not None and motion.reliable >= LEAST_RELIABLE
        if self.visible and sure and motion is not None and not (crowded and self.unconfirmed > 1):
            step = np.array([motion.x, motion.y, math.log(motion.scale), motion.turn])
            self.blind = 0
            if not crowded:
                self.velocity += 0.2 * (step[:2] - self.velocity)
        else:
            step = np.array([*self.velocity, 0.0, 0.0])
            if not crowded:
                self.blind += 1
                self.velocity *= 0.9
        self._estimate += step
        self._anchor += step
        self._shown += step
        if not self.visible:
            self.hidden += 1

    def confirm(self, face: TurnedBox, score: float) -> None:
        """Take over where the detector sees the face."""
        self.hits += 1
        seen = state_of(face)
        contrary = self._contradicts(seen)
        self.contrary = self.contrary + 1 if contrary else 0
        if not self.visible or _are_far(seen, self._estimate) or self.contrary >= self._stubborn:
            self._begin_at(seen)
            self.shown_before = False  # the crop shows something else now
        else:
            if contrary:
                seen[3] = self._anchor[3]
            gain = max(1 / self.hits, LEAST_GAIN)
            self._anchor += gain * _difference(seen, self._anchor)
            if self.mask_age > MASKS_LAST or overlap(face.box, self.place.box) < LEAST_AGREEMENT:
                self._estimate += gain * _difference(seen, self._estimate)
            self._stay_near_anchor()
        self.doubted = False
        self.score = score
        self._seen()

    def _contradicts(self, seen: State) -> bool:
        return abs(float(_difference(seen, self._estimate)[3])) > FARTHEST_TURN

    @property
    def _stubborn(self) -> int:
        """Detections in a row that it takes to turn the face round."""
        if self.doubted:
            return 1
        return MOST_CONTRARY[self.is_roll_confirmed]

    def _begin_at(self, seen: State) -> None:
        self._estimate, self._shown = seen.copy(), seen.copy()
        self._anchor = seen.copy()  # the estimate without masks
        self.hits, self.velocity = 1, np.zeros(2)
        self.mask_age = self.roll_age = HISTORY
        self.contrary, self.confirmed = 0, False
        self._history.clear()

    def correct(self, box: Box, roll: float | None, frame: int) -> None:
        """Take over where the network's mask of a frame, this one or one before, shows the face.

        That of the frame with which the face begins counts for all, and then as one detection.

        Args:
            box: The box that follows from the mask, turned upright about its centre.
            roll: The roll that follows from the mask; None where it shows none.
            frame: Number of the frame.
        """
        past = next((state for number, state in self._history if number == frame), None)
        if past is None:
            return
        seen = state_of(TurnedBox(box, float(past[3]) if roll is None else roll))
        if _are_far(seen, past):  # another face's, or stray: the detector has to say
            self.denied = True
            return
        if self.restart and frame == self.frame:
            self._begin_at(seen)
            self._history.append((frame, seen))
            self.mask_age, self.confirmed = 0, True
            self.roll_age = HISTORY if roll is None else 0
            self._seen()
            return
        change = MASK_GAIN * self._believable(_difference(seen, past), roll)
        before = self._estimate.copy()
        self._estimate += change
        self._stay_near_anchor()
        change = self._estimate - before
        for _, state in self._history:  # later masks must not ask for the same again
            state += change
        self.mask_age = 0
        self.hits += 1
        self._seen()

    def _believable(self, way: State, roll: float | None) -> State:
        """Return the way to where a mask shows the face, without a turn that contradicts it."""
        if roll is None:
            return way
        self.doubted = abs(float(way[3])) > FARTHEST_TURN
        if self.doubted:
            way[3] = 0.0
        else:
            self.roll_age = 0
        return way

    def _stay_near_anchor(self) -> None:
        side = math.exp(self._anchor[2])
        reach = np.array(MASK_REACH) * (side, side, 1.0, 1.0)
        away = np.clip(_difference(self._estimate, self._anchor), -reach, reach)
        self._estimate = self._anchor + away

    def _seen(self) -> None:
        self.visible, self.denied = True, False
        self.unconfirmed = self.blind = self.hidden = self.misses = 0

    def hide(self) -> None:
        """Show the face no more from now on."""
        self.visible = self.shown_before = self.denied = False

    def settle(self) -> None:
        """End the frame."""
        way = _difference(self._shown, self._estimate)
        self._shown = self._estimate + self.smoothing * way
        self._history.append((self.frame, self._estimate.copy()))
        self.restart = not self.shown_before  # networks must start anew
        self.shown_before = True
