"""Pixel counts of each frame of a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.classes import IGNORE, NUM_CLASSES
from facemask.errors import InputError
from facemask.metrics.confusion import confusion_matrix, intersection_and_union
from facemask.metrics.open_labels import count_open, never_settled


@dataclass(frozen=True, eq=False)
class FrameCounts:
    """Intersection and union of each frame and class of one run, with the frame's place.

    All fields are checked on creation.

    Attributes:
        intersection: int64 (F, C), pixels that truth and prediction give to the class; class 0 is
            the background.
        union: int64 (F, C), pixels that either gives to it.
        video: Id of the frame's video (F,), integers or strings.
        frame: Number of the frame in its video (F,), integers; (video, frame) occurs once.
        sequence: Id of the whole one-second sequence (F,), integers or strings; it may repeat in
            another video.
        position: Place of the frame in its clip (F,), integers from 0.

    Raises:
        InputError: A field is no array, has another shape or dtype, a count is negative or an
            intersection larger than its union, or a frame occurs twice.

    Examples:
        >>> import numpy as np
        >>> counts = FrameCounts(
        ...     intersection=np.array([[5, 3]]), union=np.array([[6, 4]]), video=np.array(["001"]),
        ...     frame=np.array([1]), sequence=np.array([0]), position=np.array([0]))
        >>> len(counts)
        1
    """

    intersection: npt.NDArray[np.int64]
    union: npt.NDArray[np.int64]
    video: npt.NDArray[Any]
    frame: npt.NDArray[np.integer[Any]]
    sequence: npt.NDArray[Any]
    position: npt.NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        """Check all fields."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, np.ndarray):
                raise InputError(
                    f"FrameCounts.{field.name} is a {type(value).__name__}: give a NumPy array."
                )
        self._check_counts()
        for name in ("video", "frame", "sequence", "position"):
            self._check_label(name, kinds="iuU" if name in ("video", "sequence") else "iu")
        if (self.position < 0).any():
            raise InputError(
                f"FrameCounts.position holds {self.position.min()}: give 0 for the first frame of "
                "a clip."
            )
        for (video, frame), count in Counter(_keys(self)).items():
            if count > 1:
                raise InputError(
                    f"FrameCounts holds frame {frame} of video {video} more than once: give it "
                    "once."
                )

    def _check_counts(self) -> None:
        for name in ("intersection", "union"):
            counts = getattr(self, name)
            if counts.dtype != np.int64:
                raise InputError(
                    f"FrameCounts.{name} holds {counts.dtype}: give pixel counts, int64."
                )
            if counts.ndim != 2 or counts.shape[1] < 2:
                raise InputError(
                    f"FrameCounts.{name} has shape {counts.shape}: give (F, C), one row a frame "
                    "and one column a class, background first."
                )
        if self.intersection.shape != self.union.shape:
            raise InputError(
                f"FrameCounts got intersections of shape {self.intersection.shape} and unions of "
                f"shape {self.union.shape}: give both (F, C)."
            )
        wrong = (self.intersection < 0) | (self.intersection > self.union)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"FrameCounts got intersection {self.intersection[row, column]} and union "
                f"{self.union[row, column]} of class {column} in row {row}: give "
                "0 <= intersection <= union."
            )

    def _check_label(self, name: str, kinds: str) -> None:
        values = getattr(self, name)
        if values.shape != (len(self),):
            raise InputError(
                f"FrameCounts.{name} has shape {values.shape}: give ({len(self)},), one a frame."
            )
        if values.dtype.kind not in kinds:
            what = "integers or strings" if "U" in kinds else "integers"
            raise InputError(f"FrameCounts.{name} holds {values.dtype}: give {what}.")

    def __len__(self) -> int:
        """Number of frames F."""
        return len(self.intersection)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "FrameCounts":
        """Return the counts of some rows, in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def from_masks(
        cls,
        predictions: Sequence[Tensor],
        targets: Sequence[Tensor],
        video: npt.ArrayLike,
        frame: npt.ArrayLike,
        sequence: npt.ArrayLike,
        position: npt.ArrayLike,
        num_classes: int = NUM_CLASSES,
        ignore_index: int = IGNORE,
        class_sets: bool = False,
    ) -> "FrameCounts":
        """Count label images at their original sizes.

        Args:
            predictions: F predicted label images, any integer dtype, each (H_i, W_i).
            targets: F true label images of the same sizes.
            video: Id of each frame's video (F,).
            frame: Number of each frame in its video (F,).
            sequence: Id of each frame's sequence (F,).
            position: Place of each frame in its clip (F,), from 0.
            num_classes: C.
            ignore_index: Target value of the pixels that do not count.
            class_sets: Whether targets from 131 to 159 leave several classes open, and are counted
                as `MaskIoU` counts them; a class that is in such targets only has 0 everywhere.

        Returns:
            The counts of these frames.

        Raises:
            InputError: The lists differ in length, a mask does not fit (see `confusion_matrix`),
                or a field is wrong.

        Examples:
            >>> import torch
            >>> mask = torch.tensor([[0, 1, 1]])
            >>> counts = FrameCounts.from_masks([mask], [mask], ["001"], [1], [0], [0], 2)
            >>> counts.union
            array([[1, 2]])
        """
        if len(predictions) != len(targets):
            raise InputError(
                f"FrameCounts.from_masks got {len(predictions)} predictions and {len(targets)} "
                "targets: give one of each a frame."
            )
        intersection = np.zeros((len(targets), num_classes), np.int64)
        union = np.zeros_like(intersection)
        labelled, possible = (torch.zeros(num_classes, dtype=torch.int64) for _ in range(2))
        for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
            if class_sets:
                counts = count_open(prediction, target, num_classes, ignore_index)
                confusion = counts.confusion
                labelled += counts.labelled.cpu()
                possible += counts.possible.cpu()
            else:
                confusion = confusion_matrix(prediction, target, num_classes, ignore_index)
            both, either = intersection_and_union(confusion.cpu(), ignore_index)
            intersection[i], union[i] = both.numpy(), either.numpy()
        unsettled = never_settled(labelled, possible).numpy()
        intersection[:, unsettled] = union[:, unsettled] = 0
        labels = (np.asarray(values) for values in (video, frame, sequence, position))
        return cls(intersection, union, *labels)


def match_frames(baseline: FrameCounts, candidate: FrameCounts) -> FrameCounts:
    """Return the candidate's counts in the order of the baseline's frames.

    Args:
        baseline: Counts of one run.
        candidate: Counts of another run on the same frames, in any order.

    Returns:
        The candidate's counts, row by row those of the baseline's frames.

    Raises:
        InputError: The runs differ in frames or classes, or place a frame in another sequence or
            position.
    """
    if baseline.union.shape[1] != candidate.union.shape[1]:
        raise InputError(
            f"The baseline has {baseline.union.shape[1]} classes and the candidate "
            f"{candidate.union.shape[1]}: give runs of the same classes."
        )
    rows = {key: row for row, key in enumerate(_keys(candidate))}
    wanted = _keys(baseline)
    unmatched = set(wanted).symmetric_difference(rows)
    if unmatched:
        video, frame = min(unmatched, key=str)
        raise InputError(
            f"The runs differ in {len(unmatched)} frames, such as frame {frame} of video {video}: "
            "give counts of the same frames."
        )
    matched = candidate.take(np.array([rows[key] for key in wanted], np.int64))
    for name in ("sequence", "position"):
        different = getattr(baseline, name) != getattr(matched, name)
        if np.any(different):
            video, frame = wanted[int(np.argmax(different))]
            raise InputError(
                f"The runs give frame {frame} of video {video} another {name}: give the same one."
            )
    return matched


def _keys(run: FrameCounts) -> list[tuple[object, int]]:
    return list(zip(run.video.tolist(), run.frame.tolist(), strict=True))
