"""What an interrupted extraction knew of its faces, so that another one can go on exactly there."""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import torch

from facemask.boxes import Box
from facemask.files import write_atomic
from facemask.models.cascade.memory import CascadeMemory

Memories: TypeAlias = dict[int, CascadeMemory]
"""What the networks remember of each face, by track id."""

_LATEST: Final = 3  # chunks whose memories are kept: a part ends at most one before the newest


class Correction(NamedTuple):
    """Where a mask showed a face, as `FaceTracker.correct` takes it."""

    track_id: int
    box: Box | None
    age: int


@dataclass
class Journal:
    """The only things of an extraction that do not follow from its frames without the networks.

    Attributes:
        corrections: What the tracker was told, by the number of frames that were labelled by then.
        memories: What the networks remember, the latest, by the same number.
    """

    corrections: dict[int, list[Correction]] = field(default_factory=dict)
    memories: dict[int, Memories] = field(default_factory=dict)

    def note(self, count: int, corrections: list[Correction], memories: Memories) -> None:
        """Write down what is known once `count` frames are labelled."""
        self.corrections[count] = corrections
        self.memories[count] = memories
        for old in sorted(self.memories)[:-_LATEST]:
            del self.memories[old]

    def memories_at(self, count: int) -> Memories:
        """What the networks remembered once `count` frames were labelled."""
        return self.memories.get(count, {})

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
                for face, memory in self.memories_at(known).items()
            },
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> bool:
        """Add what `save` wrote; False where the file is missing or damaged."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            corrections = {
                count: [Correction(face, box and Box(*box), age) for face, box, age in told]
                for count, told in content["corrections"].items()
            }
            memories = {
                face: CascadeMemory(states, {n: Box(*box) for n, box in boxes.items()})
                for face, (states, boxes) in content["memories"].items()
            }
            count = content["count"]
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, LookupError,
                TypeError, ValueError, AttributeError):  # fmt: skip
            return False
        self.corrections |= corrections
        self.memories[count] = memories
        return True
