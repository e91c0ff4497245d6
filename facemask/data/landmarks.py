"""The 68 facial landmarks (iBUG order) and their `.pts` files."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.data.hidden import hidden_points, say_points
from facemask.errors import InputError
from facemask.files import write_atomic

NUM_LANDMARKS: Final = 68

LANDMARK_GROUPS: Final = {
    "jaw": slice(0, 17),
    "right_brow": slice(17, 22),
    "left_brow": slice(22, 27),
    "nose_bridge": slice(27, 31),
    "nose_base": slice(31, 36),
    "right_eye": slice(36, 42),
    "left_eye": slice(42, 48),
    "outer_lips": slice(48, 60),
    "inner_lips": slice(60, 68),
}
"""The 68 points by group, counted from 0 in the iBUG order; right and left are the person's own."""

_COUNT = re.compile(r"n_points\s*:\s*(\S+)", re.IGNORECASE)


class HiddenLandmarksError(InputError):
    """Error for a landmark file that is whole, but marks points as hidden.

    Attributes:
        points: Numbers of these points, from 1, ascending.
    """

    def __init__(self, sentence: str, points: list[int]) -> None:
        super().__init__(sentence, points)  # both, for pickling
        self.points = points

    def __str__(self) -> str:
        """Return the sentence."""
        return str(self.args[0])


def read_pts(
    path: str | os.PathLike[str], *, allow_hidden: bool = False
) -> npt.NDArray[np.float64]:
    """Read the 68 landmarks of a `.pts` file.

    Three forms are met in the wild and read here: `version: 1`, `n_points: 68`, `{ … }` on
    lines of their own (300VW), the same with other spacing or a header in one line (300-W), and
    no header at all, just one point a line (iBUG).

    Args:
        path: The file. Its coordinates count pixels from 1.
        allow_hidden: Return points that are marked as hidden (`0 0`, `-1 -1`, negated coordinates
            and so on, see `facemask.data.hidden`) as they are, instead of refusing the file. A mask
            made of them has spikes.

    Returns:
        Points as float64 (68, 2): x to the right, y down, in pixels counted **from 0**, so
        that (0, 0) is the centre of the top left pixel.

    Raises:
        HiddenLandmarksError: Points are at no place where this face can have them, or not
            finite; an `InputError` too.
        InputError: The file is missing or truncated, or holds something other than 68 pairs of
            numbers.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot read landmarks: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a landmark file: it is not text.") from error
    body = text
    if "{" in text:
        header, _, body = text.partition("{")
        body, brace, _ = body.partition("}")
        if not brace:
            raise InputError(f"{path}: truncated landmark file: the closing '}}' is missing.")
        declared = _COUNT.search(header)
        if declared and declared[1] != str(NUM_LANDMARKS):
            raise InputError(
                f"{path}: the header says n_points: {declared[1]}, expected {NUM_LANDMARKS}."
            )
    rows = [line.replace(",", " ").split() for line in body.splitlines() if line.strip()]
    if len(rows) != NUM_LANDMARKS:
        raise InputError(f"{path}: {len(rows)} points found, expected {NUM_LANDMARKS}.")
    points = parse_points(rows, path)
    if numbers := [int(i) + 1 for i in np.flatnonzero(~np.isfinite(points).all(axis=1))]:
        raise HiddenLandmarksError(
            f"{path}: {say_points(numbers)} is not finite ({' '.join(rows[numbers[0] - 1])}).",
            numbers,
        )
    points -= 1.0
    if not allow_hidden and (numbers := hidden_points(points)):
        raise HiddenLandmarksError(
            f"{path}: {say_points(numbers)} cannot be at ({' '.join(rows[numbers[0] - 1])}) in "
            "this face: hidden landmarks are marked so, and no mask can be made of them; complete "
            "them, or leave this face out.",
            numbers,
        )
    return points


def parse_points(
    rows: Sequence[Sequence[str]], path: str | os.PathLike[str]
) -> npt.NDArray[np.float64]:
    """Return points (N, 2), float64, of the words of a landmark file's N lines.

    Args:
        rows: The words of each line.
        path: The file, for the error message.

    Raises:
        InputError: A line does not hold two words, or one is not a number.
    """
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise InputError(f"{path}: point {number} is {' '.join(row)!r}, expected 'x y'.")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: a coordinate is not a number ({error}).") from error


def write_pts(path: str | os.PathLike[str], points: npt.ArrayLike) -> None:
    """Write 68 landmarks as a `.pts` file in the 300VW style, whole or not at all.

    Args:
        path: The file to write.
        points: (68, 2) x, y in pixels counted from 0; the file counts from 1, with six
            decimals.

    Raises:
        InputError: `points` is not a finite (68, 2) array.
    """
    array = check_points(points)
    if array.ndim != 2:
        raise InputError(f"one .pts file holds one face: shape {array.shape}, expected (68, 2).")
    lines = "".join(f"{x:.6f} {y:.6f}\n" for x, y in array + 1.0)
    text = f"version: 1\nn_points: {NUM_LANDMARKS}\n{{\n{lines}}}\n"
    write_atomic(Path(path), text.encode())


def check_points(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return `points` as float64 (68, 2) or (N, 68, 2).

    Raises:
        InputError: The shape is another, or a coordinate is not finite.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim not in (2, 3) or array.shape[-2:] != (NUM_LANDMARKS, 2):
        raise InputError(f"landmarks have shape {array.shape}, expected (68, 2) or (N, 68, 2).")
    if not np.isfinite(array).all():
        raise InputError("landmarks hold NaN or infinite coordinates, expected finite pixels.")
    return array
