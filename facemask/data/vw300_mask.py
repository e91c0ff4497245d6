"""The 300VW-Mask layout: what `facemask prepare` writes and training reads.

```
images_orig/001_000001.jpg     face crop of frame 1 (frames count from 1) of video 001
labels_orig/001_000001.png     its mask, same size
data_splits/split_1/{train,val,test}_per10.txt
                               lines "/images_orig/001_000001.jpg /labels_orig/001_000001.png"
PSEUDO_LANDMARKS.md            only where the labels follow a program's landmarks
```
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from facemask.data.masks import check_class_ids, color_to_mask
from facemask.errors import InputError
from facemask.files import read_lines
from facemask.suffixes import is_hidden, is_image

Split = Literal["train", "val", "test"]
SPLIT_NAMES: Final[tuple[Split, ...]] = ("train", "val", "test")
IMAGES: Final = "images_orig"
LABELS: Final = "labels_orig"
PSEUDO: Final = "PSEUDO_LANDMARKS.md"
"""File that says that labels follow landmarks of a program, not of people."""
SEQUENCE_LENGTH: Final = 30
"""Frames in one second of video, the unit that is drawn (section 4.1)."""


@dataclass(frozen=True)
class Frame:
    """One face crop.

    Attributes:
        video: Name of its video.
        number: Frame number in the video, counted from 1.
        image: The image file.
        label: The label PNG, or None where there is none (prediction).
    """

    video: str
    number: int
    image: Path
    label: Path | None


def sequence_id(frame: int) -> int:
    """Return the number of the second that a frame (counted from 1) belongs to."""
    return (frame - 1) // SEQUENCE_LENGTH


def split_file(root: str | Path, split: str, side: Split) -> Path:
    """Return the path of one side's file of a split.

    Args:
        root: The data set's folder.
        split: A folder below data_splits whose sides are train_per10.txt, val_per10.txt and
            test_per10.txt, such as split_1; or a folder and the names of three of its files in
            that order, such as `split_2:A,B,C`. The authors' files of split_2 are A.txt, B.txt
            and C.txt, and do not say which of them to train on: that is for you to say.
        side: train, val or test.

    Raises:
        InputError: Not three files are named, or they have to be.
    """
    name, colon, files = split.partition(":")
    folder = Path(root) / "data_splits" / name
    if not colon:
        path = folder / f"{side}_per10.txt"
        found = sorted(file.stem for file in folder.glob("*.txt"))
        if not path.is_file() and found and not any(f"{s}_per10" in found for s in SPLIT_NAMES):
            raise InputError(
                f"{folder}: holds the lists {', '.join(found)}, which do not say what they are "
                f"for; name those to train, validate and test on: split {name}:"
                f"{','.join((found * 3)[:3])}."
            )
        return path
    words = files.split(",")
    if len(words) != len(SPLIT_NAMES) or not all(words):
        raise InputError(
            f"the split is {split!r}, expected three lists after the colon, to train, validate "
            "and test on, such as split_2:A,B,C."
        )
    return folder / f"{words[SPLIT_NAMES.index(side)]}.txt"


def read_split(root: str | Path, split: str, side: Split) -> list[Frame]:
    """Read one side of a split.

    Returns:
        Its frames, sorted by video and number.

    Raises:
        InputError: The root or the file is missing or empty, a line has another form, names a
            missing file, leaves the root, or a frame is listed twice.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected a data set from `facemask prepare`.")
    path = split_file(root, split, side)
    if not path.is_file() and path.parent.is_dir() and ":" in split:
        lists = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
        raise InputError(f"{path}: no such list; there are {lists}.")
    if not path.is_file():
        raise InputError(f"{path}: missing; run `facemask prepare SOURCE {root}` first.")
    existing: dict[Path, set[str]] = {}
    frames: dict[tuple[str, int], Frame] = {}
    for number, line in enumerate(read_lines(path, "the split"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        image, label = (_resolve(root, word, where, existing) for word in split_line(line, where))
        video, frame_number = parse_stem(image.stem)
        if image.stem != label.stem or frame_number is None:
            raise InputError(f"{where}: {line!r} does not pair two files named VIDEO_FRAME.")
        if (video, frame_number) in frames:
            raise InputError(f"{where}: {image.name} is listed twice.")
        frames[video, frame_number] = Frame(video, frame_number, image, label)
    if not frames:
        raise InputError(
            f"{path}: holds no frame, so there is nothing on the side {side}; choose another "
            "split, or run `facemask prepare` again with --fraction 1, more people or longer "
            "videos, as it told."
        )
    return [frames[key] for key in sorted(frames)]


def split_line(line: str, where: str) -> tuple[str, str]:
    """Return the image and the label of a split file's line, as paths below the data set's folder.

    Blanks part the two, and may be in their names too: where a blank and a slash come more than
    once, the place counts that gives two files of one name.

    Raises:
        InputError: The line does not hold two paths; `where` says which line it is.

    Examples:
        >>> split_line("/images_orig/my photo_000001.jpg /labels_orig/my photo_000001.png", "")
        ('/images_orig/my photo_000001.jpg', '/labels_orig/my photo_000001.png')
    """
    places = [match.span() for match in re.finditer(r"[ \t]+(?=/)", line)]
    pairs = [(line[:start].lstrip(" \t"), line[end:].rstrip(" \t")) for start, end in places]
    pairs = [pair for pair in pairs if pair[0]]
    if len(pairs) > 1:
        pairs = [p for p in pairs if PurePosixPath(p[0]).stem == PurePosixPath(p[1]).stem]
    if len(pairs) != 1:
        raise InputError(f"{where}: {line!r} is not '/{IMAGES}/… /{LABELS}/…'.")
    return pairs[0]


def _resolve(root: Path, word: str, where: str, existing: dict[Path, set[str]]) -> Path:
    """Return the path of a file that a split line names; `existing` caches folders' listings."""
    relative = posixpath.normpath(word.lstrip("/"))
    if relative.split("/", 1)[0] == "..":
        raise InputError(f"{where}: {word!r} leaves the data root; expected a path below {root}.")
    path = root / relative
    if path.parent not in existing:
        folder = path.parent
        existing[folder] = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    if path.name not in existing[path.parent]:
        raise InputError(f"{where}: {path} does not exist; run `facemask prepare` again.")
    return path


def parse_stem(stem: str) -> tuple[str, int | None]:
    """Split a file's name without its suffix into video and frame number (None if it has none).

    Examples:
        >>> parse_stem("my_clip_000007")
        ('my_clip', 7)
        >>> parse_stem("face")
        ('face', None)
    """
    video, _, digits = stem.rpartition("_")
    return (video, int(digits)) if video and digits.isdecimal() else (stem, None)


def list_crops(folder: str | Path) -> list[Frame]:
    """List the face crops in a folder, without labels.

    Files named VIDEO_FRAME make up videos; any other image is a video of one frame.

    Raises:
        InputError: The folder is missing or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of face crops.")
    frames = []
    for path in folder.iterdir():
        if is_image(path) and not is_hidden(path):
            video, number = parse_stem(path.stem)
            frames.append(Frame(video, 1 if number is None else number, path, None))
    if not frames:
        raise InputError(f"{folder}: holds no image; expected face crops (.jpg, .png).")
    ((stem, count),) = Counter(frame.image.stem for frame in frames).most_common(1)
    if count > 1:
        raise InputError(f"{folder}: two images are named {stem!r}; their labels would collide.")
    return sorted(frames, key=lambda frame: (frame.video, frame.number))


def cut_clips(frames: Iterable[Frame], clip_length: int) -> list[tuple[Frame, ...]]:
    """Cut frames into clips of at most `clip_length` consecutive frames of one sequence.

    A clip never spans a gap, a sequence's end or two videos; the last clip before each of these
    may be shorter. Every frame is in exactly one clip.

    Args:
        frames: Frames sorted by video and number.
        clip_length: Frames a clip, T.

    Examples:
        >>> frames = [Frame("a", n, Path(), None) for n in (1, 2, 3, 5, 6)]
        >>> [[f.number for f in clip] for clip in cut_clips(frames, clip_length=2)]
        [[1, 2], [3], [5, 6]]
    """
    clips: list[list[Frame]] = []
    due = None  # place of the frame that goes on where the last clip ends
    for frame in frames:
        if (frame.video, frame.number, sequence_id(frame.number)) != due or (
            len(clips[-1]) == clip_length
        ):
            clips.append([])
        clips[-1].append(frame)
        due = frame.video, frame.number + 1, sequence_id(frame.number)
    return [tuple(clip) for clip in clips]


def rows_of(clips: Sequence[Sequence[Frame]], most: int, length: int) -> list[range]:
    """Return rows of clips, by their indices: each clip begins with the frame after the one before.

    Args:
        clips: Sorted by video and number.
        most: Clips a row, at most.
        length: Frames of a whole clip. After a shorter one, which is padded, a row ends, and a
            still that was made a clip is a row of its own.

    Examples:
        >>> frames = [Frame("a", n, Path(), None) for n in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)]
        >>> rows_of(cut_clips(frames, clip_length=2), most=2, length=2)
        [range(0, 2), range(2, 3), range(3, 5)]
    """
    starts = [
        index
        for index, clip in enumerate(clips)
        if index == 0 or not _goes_on(clips[index - 1], clip, length)
    ]
    runs = pairwise([*starts, len(clips)])
    return [range(i, min(i + most, end)) for start, end in runs for i in range(start, end, most)]


def _goes_on(before: Sequence[Frame], clip: Sequence[Frame], length: int) -> bool:
    still = any(len(c) > 1 and c[0] == c[-1] for c in (before, clip))
    due = (before[-1].video, before[-1].number + 1)
    return not still and len(before) == length and (clip[0].video, clip[0].number) == due


def read_label(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a label PNG that holds class ids or palette colours.

    Returns:
        Class ids, uint8 (H, W), 255 = ignore.

    Raises:
        InputError: The file is missing, is no image, or holds other values; the message names
            the file and the values found.
    """
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if label is None:
        raise InputError(f"{path}: not a readable label image.")
    if label.dtype != np.uint8 or (label.ndim == 3 and label.shape[2] != 3):
        raise InputError(f"{path}: {label.dtype} {label.shape} is neither 8-bit grey nor RGB.")
    mask: npt.NDArray[np.uint8] = label.astype(np.uint8, copy=False)
    try:
        if mask.ndim == 3:
            return color_to_mask(mask[..., ::-1])
        check_class_ids(mask)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return mask
