"""One face that is followed: where it is thought to be, and where it is shown."""

import math
from collections import deque
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, overlap
from facemask.tracking.flow import Motion

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

State: TypeAlias = npt.NDArray[np.float64]
"""x, y of the centre in pixels, and the logarithm of the side."""


def state_of(box: Box) -> State:
    """Centre and logarithmic side of a box."""
    return np.array([*box.center, math.log(max(box.side, 1.0))])


def box_of(state: State) -> Box:
    """The box of a state."""
    x, y, log_side = state.tolist()
    return Box.around(x, y, math.exp(log_side))


def _are_far(first: State, second: State) -> bool:
    apart = math.dist(first[:2], second[:2]) / math.exp(second[2])
    return apart > FARTHEST_JUMP or abs(float(first[2] - second[2])) > math.log(LARGEST_JUMP)


class Track:
    """One face.

    Two boxes are kept. The *estimate* moves with the picture (median flow) and is drawn towards
    each detection or mask by a share of the difference, which averages out their scatter. The
    *shown* box moves with the picture too and closes its distance to the estimate bit by bit,
    so a correction never shows as a jump; neither lags behind, because motion is taken over at
    once.

    Args:
        track_id: Its number.
        box: Where it was first seen.
        score: The detector's score.
        smoothing: Share of the distance between both boxes that is left after a frame.
        frame: Number of the frame.
        look: What it looks like (see `matching.look_of`).
    """

    def __init__(
        self,
        track_id: int,
        box: Box,
        score: float,
        smoothing: float,
        frame: int,
        look: npt.NDArray[np.float32],
    ) -> None:
        self.track_id = track_id
        self.score = score
        self.look = look
        self.visible = True
        self.shown_before = False
        self.hits = 1
        self.misses = 0
        self.unconfirmed = 0
        self.blind = 0
        self.hidden = 0
        self.denied = False
        self.strange = False
        self.mask_age = HISTORY
        self.velocity = np.zeros(2)
        self._smoothing = smoothing
        self._estimate = state_of(box)
        self._shown = self._estimate.copy()
        self._anchor = self._estimate.copy()  # the estimate without masks
        self._history: deque[tuple[int, State]] = deque(maxlen=HISTORY)
        self._frame = frame

    @property
    def box(self) -> Box:
        """The box to show."""
        return box_of(self._shown)

    @property
    def place(self) -> Box:
        """Where the face is thought to be, before it is smoothed."""
        return box_of(self._estimate)

    def move(self, motion: Motion | None, *, crowded: bool) -> None:
        """Go on to the next frame.

        Args:
            motion: What flow says.
            crowded: Another face covers part of this one, so flow may be the other's: unless
                the detector confirms the face, it goes on as it moved before.
        """
        self._frame += 1
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
        """The detector sees the face here."""
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
        self._estimate, self._anchor, self._shown = seen.copy(), seen.copy(), seen.copy()
        self.hits, self.velocity = 1, np.zeros(2)
        self.mask_age = HISTORY
        self._history.clear()
        self.shown_before = False  # the crop shows something else now

    def correct(self, box: Box, frame: int) -> None:
        """The network's mask of a frame (this one or one before) says where the face is."""
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
        """The face is not to be seen from now on."""
        self.visible = self.shown_before = False

    def settle(self) -> bool:
        """End the frame; returns whether the track shows anew (the network must restart)."""
        self._shown = self._estimate + self._smoothing * (self._shown - self._estimate)
        self._history.append((self._frame, self._estimate.copy()))
        anew = not self.shown_before
        self.shown_before = True
        return anew
