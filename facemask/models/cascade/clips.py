"""Clips that a cascade labels: what it is given, what it remembers and what it returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.boxes import Box, steady
from facemask.errors import InputError
from facemask.models.cascade.mask import Mask
from facemask.models.cascade.stitch import Zoom
from facemask.models.convlstm import State
from facemask.views import View, view_of

Clip: TypeAlias = Tensor | Sequence[Tensor | View]
"""Frames uint8 (3, H, W) RGB, each of its own size, or (T, 3, H, W); or views of turned faces."""


@dataclass(frozen=True)
class CascadeMemory:
    """Memory of one face that a cascade goes on with when its next frames come.

    Attributes:
        states: The ConvLSTMs' states (h, c), each (1, C, h, w), by "primary" and the names of
            boxes. Networks without memory have none.
        boxes: The boxes that were zoomed into, by name.
    """

    states: dict[str, State] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)


@dataclass(frozen=True)
class CascadeOutput:
    """Masks of B clips and the boxes that were looked at; tensors are on the frames' device.

    Attributes:
        labels: For each clip, each frame's class ids, uint8 (H, W), at its own size; of a view, at
            the size of its pixels, background outside the turned box.
        boxes: For "eyes" and "mouth", where there is a network for them, the box that was zoomed
            into, float32 (B, 4): left, top, right, bottom, relative to each frame's width and
            height (a view's upright box); it may leave the image. NaN where nothing was found.
            With `refine_each_eye` also "left_eye" and "right_eye" (as seen in the image), and
            "eyes" is not zoomed into.
        found: For the same names, bool (B,): whether there is a box. Where there is none, the
            labels are the primary's.
        probabilities: For each clip, each frame's float32 (5, H, W) of the classes, with sum 1
            and the labels as arg-max; None unless asked for.
        memories: For each clip, what its next frames can go on with.
        masks: For each clip, each frame's labels with what their confidence follows from; empty
            where probabilities were asked for.
    """

    labels: list[list[Tensor]]
    boxes: dict[str, Tensor]
    found: dict[str, Tensor]
    probabilities: list[list[Tensor]] | None
    memories: list[CascadeMemory] = field(default_factory=list)
    masks: list[list[Mask]] = field(default_factory=list)


@dataclass
class ClipJob:
    """Clip on its way through the networks.

    Attributes:
        frames: The frames.
        context: Number of frames at the start that are only there for those after them.
        before: What is known from earlier frames.
        after: What its next frames can go on with.
        scores: The primary's, (T, 5, S, S).
        own_labels: Its labels at its own pixels, uint8 (T, S, S).
        face: The face's box, relative; None without a face.
        zooms: What the specialists found in each frame.
        labels: Class ids of each frame but the context, uint8 (H, W).
        probabilities: Of the same frames, if asked for, float32 (5, H, W).
        masks: The same frames' masks, if not.
    """

    frames: list[View]
    context: int
    before: CascadeMemory
    after: CascadeMemory = field(default_factory=CascadeMemory)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    own_labels: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    face: Box | None = None
    zooms: list[list[Zoom]] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)

    def keep_boxes(self, found: dict[str, Box]) -> None:
        """Take over the boxes found, or the remembered ones where these are nearly the same."""
        for name, box in found.items():
            self.after.boxes[name] = steady(self.before.boxes.get(name, box), box)


def jobs_of(
    clips: Sequence[Clip] | Tensor,
    context: Sequence[int] | None,
    memories: Sequence[CascadeMemory] | None,
) -> list[ClipJob]:
    """Return the clips with what belongs to each, see `Cascade.forward`.

    Raises:
        InputError: A frame has another shape or dtype, a clip has no frames, there are more or
            fewer values than clips, or a context leaves no frame.
    """
    checked = [_check(clip, b) for b, clip in enumerate(clips)]
    for name, values in (("context", context), ("memories", memories)):
        if values is not None and len(values) != len(checked):
            raise InputError(f"{name} has {len(values)} entries for {len(checked)} clips.")
    before = [0] * len(checked) if context is None else list(context)
    for b, (frames, count) in enumerate(zip(checked, before, strict=True)):
        if not 0 <= count < len(frames):
            raise InputError(
                f"context is {count} for clip {b} of {len(frames)} frames: give 0 to "
                f"{len(frames) - 1}."
            )
    known = [CascadeMemory()] * len(checked) if memories is None else memories
    return [ClipJob(*parts) for parts in zip(checked, before, known, strict=True)]


def _check(clip: Clip, index: int) -> list[View]:
    """Return the frames of a clip.

    Raises:
        InputError: There are none, or one has another shape or dtype; the message has the index.
    """
    frames = [view_of(frame, f"Frame {t} of clip {index}") for t, frame in enumerate(clip)]
    if not frames:
        raise InputError(f"Clip {index} has no frames: give at least one.")
    return frames
