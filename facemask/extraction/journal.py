"""Knowledge of an interrupted extraction about its faces, so that another goes on exactly there."""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch

from facemask.boxes import Box, face_box_of_mask
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.files import write_atomic
from facemask.models.cascade.clips import CascadeMemory

Memories: TypeAlias = dict[int, CascadeMemory]
"""The networks' memory of each face, by track id."""

_LATEST: Final = 3
"""Chunks whose memories are kept: a part ends at most one before the newest."""
_LEAST_FACE: Final = 0.02
"""Share of a crop below which what is labelled there is no face."""


class Correction(NamedTuple):
    """Place where a mask showed a face, as `FaceTracker.correct` takes it."""

    track_id: int
    box: Box | None
    age: int


def corrections_of(frames: Sequence[ExtractedFrame]) -> list[Correction]:
    """Return where the masks of consecutive frames show each face, for the tracker of these frames.

    Args:
        frames: Labelled frames; each face's last one counts.
    """
    found: dict[int, Correction] = {}
    for age, frame in enumerate(reversed(frames)):
        for face in frame.faces:
            if face.track_id not in found:
                found[face.track_id] = Correction(face.track_id, _mask_box(face), age)
    return list(found.values())


def _mask_box(face: ExtractedFace) -> Box | None:
    if np.count_nonzero(face.crop_labels) < _LEAST_FACE * face.crop_labels.size:
        return None
    box = face_box_of_mask(face.crop_labels)
    if box is None:
        return None
    x, y = face.box.left, face.box.top
    return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)


@dataclass
class Journal:
    """The only things of an extraction that do not follow from its frames without the networks.

    Attributes:
        corrections: Corrections of the tracker, by the number of frames labelled by then.
        memories: The latest memories of the networks, by the same number.
    """

    corrections: dict[int, list[Correction]] = field(default_factory=dict)
    memories: dict[int, Memories] = field(default_factory=dict)

    def note(self, count: int, corrections: list[Correction], memories: Memories) -> None:
        """Write down what is known once `count` frames are labelled."""
        self.corrections[count] = corrections
        self.memories[count] = memories
        for old in sorted(self.memories)[:-_LATEST]:
            del self.memories[old]

    def save(self, path: Path, first: int, end: int) -> None:
        """Write what belongs to frames `first` to `end` - 1, whole or not at all.

        Raises:
            InputError: It cannot be written there.
        """
        known = max((count for count in self.memories if count <= end), default=end)
        content = {
            "corrections": {
                count: [(c.track_id, None if c.box is None else tuple(c.box), c.age) for c in told]
                for count, told in self.corrections.items()
                if first < count <= end
            },
            "count": known,
            "memories": {
                face: (memory.states, {name: tuple(box) for name, box in memory.boxes.items()})
                for face, memory in self.memories.get(known, {}).items()
            },
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> bool:
        """Add what `save` wrote, and return True; return False if the file is missing or damaged.

        Only plain values and tensors are read.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            corrections = {
                count: [Correction(face, box and Box(*box), age) for face, box, age in told]
                for count, told in content["corrections"].items()
            }
            memories = {
                face: CascadeMemory(states, {name: Box(*box) for name, box in boxes.items()})
                for face, (states, boxes) in content["memories"].items()
            }
            count = content["count"]
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, LookupError,
                TypeError, ValueError, AttributeError):  # fmt: skip
            return False
        self.corrections |= corrections
        self.memories[count] = memories
        return True
