"""Knowledge of an interrupted extraction about its faces, so that another goes on exactly there."""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import torch

from facemask.boxes import Box
from facemask.extraction.corrections import Correction
from facemask.files import write_atomic
from facemask.models.cascade.clips import CascadeMemory

Memories: TypeAlias = dict[int, CascadeMemory]
"""The networks' memory of each face, by track id."""

_LATEST: Final = 12
"""Chunks whose memories are kept: frames are written some chunks after they were labelled."""


@dataclass
class Journal:
    """The only things of an extraction that do not follow from its frames without the networks.

    Attributes:
        corrections: Corrections of the tracker, by the number of frames labelled by then.
        starts: Corrections of faces in the frame in which they begin, by the frame's number.
        memories: The latest memories of the networks, by the same number as `corrections`.
        open_mouths: Whether a face's mouth was open, by track id, by the same number.
    """

    corrections: dict[int, list[Correction]] = field(default_factory=dict)
    starts: dict[int, list[Correction]] = field(default_factory=dict)
    memories: dict[int, Memories] = field(default_factory=dict)
    open_mouths: dict[int, dict[int, bool]] = field(default_factory=dict)

    def note(self, count: int, corrections: list[Correction], memories: Memories) -> None:
        """Write down what is known once `count` frames are labelled."""
        self.corrections[count] = corrections
        self.memories[count] = memories
        for old in sorted(self.memories)[:-_LATEST]:
            del self.memories[old]

    def note_start(self, frame: int, corrections: list[Correction]) -> None:
        """Write down what the first masks of faces that begin in a frame say."""
        self.starts[frame] = corrections

    def save(self, path: Path, first: int, end: int) -> None:
        """Write what belongs to frames `first` to `end` - 1, whole or not at all.

        Raises:
            InputError: It cannot be written there.
        """
        # copies: another thread goes on labelling meanwhile
        memories, starts = self.memories.copy(), self.starts.copy()
        corrections, open_mouths = self.corrections.copy(), self.open_mouths.copy()
        known = max((count for count in memories if count <= end), default=end)
        content = {
            "corrections": {
                count: [_plain(known) for known in told]
                for count, told in corrections.items()
                if first < count <= end
            },
            "starts": {
                frame: [_plain(known) for known in told]
                for frame, told in starts.items()
                if first <= frame < end
            },
            "open_mouths": {
                count: faces for count, faces in open_mouths.items() if first < count <= end
            },
            "count": known,
            "memories": {
                face: (memory.states, {name: tuple(box) for name, box in memory.boxes.items()})
                for face, memory in memories.get(known, {}).items()
            },
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path) -> bool:
        """Add what `save` wrote, and return True.

        Returns False if the file is missing, damaged, or of a version that wrote something else.
        Only plain values and tensors are read.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            corrections, starts = (
                {
                    number: [_correction(*values) for values in told]
                    for number, told in told_by.items()
                }
                for told_by in (content["corrections"], content["starts"])
            )
            memories = {
                face: CascadeMemory(states, {name: Box(*box) for name, box in boxes.items()})
                for face, (states, boxes) in content["memories"].items()
            }
            count, open_mouths = content["count"], dict(content["open_mouths"])
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, LookupError,
                TypeError, ValueError, AttributeError):  # fmt: skip
            return False
        self.corrections |= corrections
        self.starts |= starts
        self.memories[count] = memories
        self.open_mouths |= open_mouths
        return True


def _plain(known: Correction) -> tuple[object, ...]:
    """Return a correction in values that `torch.load` reads from any file; numpy's it refuses."""
    box = None if known.box is None else tuple(map(float, known.box))
    return known.track_id, box, known.age, None if known.roll is None else float(known.roll)


def _correction(
    face: int, box: tuple[float, ...] | None, age: int, roll: float | None
) -> Correction:
    return Correction(face, None if box is None else Box(*box), age, roll)
