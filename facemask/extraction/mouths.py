"""Shut mouths: the line of an inner mouth that comes and goes between shut lips is left out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from facemask.classes import INNER_MOUTH, LIPS
from facemask.extraction.results import ExtractedFace, ExtractedFrame, Probabilities

_SHUT: Final = 0.045
"""Share of the mouth's pixels below which an inner mouth that was drawn is drawn no more."""
_OPEN: Final = 0.075
"""Share from which one that was not drawn is drawn."""
_FIRST: Final = 0.06
"""Share from which one is drawn in pictures, and in a face's first frame (docs/extract.md)."""


class ShutMouths(NamedTuple):
    """Frames in which shut mouths are lips alone.

    Attributes:
        frames: The frames.
        open: Whether a face's mouth is open in the last of them, by track id.
    """

    frames: list[ExtractedFrame]
    open: dict[int, bool]


def shut_mouths(frames: Sequence[ExtractedFrame], were_open: dict[int, bool]) -> ShutMouths:
    """Label the inner mouth as lips where it is a line between shut lips.

    People who mark landmarks draw such a line of a pixel, or none, and networks do so now and then.
    A mouth opens at a larger share of inner mouth than it shuts at, so that the line does not come
    and go with what changes from frame to frame.

    Args:
        frames: Consecutive labelled frames.
        were_open: The faces of the frame before, by track id; empty for a first frame.
    """
    shut = []
    for frame in frames:
        is_open = {face.track_id: _is_open(face, were_open) for face in frame.faces}
        faces = [face if is_open[face.track_id] else _with_lips_alone(face) for face in frame.faces]
        shut.append(replace(frame, faces=faces))
        were_open = is_open
    return ShutMouths(shut, were_open)


def _is_open(face: ExtractedFace, were_open: dict[int, bool]) -> bool:
    inner = np.count_nonzero(face.crop_labels == INNER_MOUTH)
    if inner == 0:
        return False
    was_open = None if face.restart else were_open.get(face.track_id)
    least = {None: _FIRST, True: _SHUT, False: _OPEN}[was_open]
    lips = np.count_nonzero(face.crop_labels == LIPS)
    return bool(inner >= least * (inner + lips))


def _with_lips_alone(face: ExtractedFace) -> ExtractedFace:
    line = face.crop_labels == INNER_MOUTH
    if not line.any():
        return face
    labels = np.where(line, np.uint8(LIPS), face.crop_labels)
    expected = face.expected
    if expected is not None:  # of a class without a label there is none
        expected = expected.copy()
        expected[INNER_MOUTH - 1] = np.nan
    found = partial(_agreeing_probabilities, face, line)
    return replace(face, crop_labels=labels, found=found, expected=expected)


def _agreeing_probabilities(face: ExtractedFace, line: npt.NDArray[np.bool_]) -> Probabilities:
    """Return a face's probabilities, those of lips and inner mouth exchanged on the line."""
    probabilities: Probabilities = face.crop_probabilities.copy()
    rows, columns = line.nonzero()
    both = np.array([[LIPS], [INNER_MOUTH]])
    probabilities[both, rows, columns] = probabilities[both[::-1], rows, columns]
    return probabilities
