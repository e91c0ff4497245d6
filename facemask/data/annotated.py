"""Annotated videos and photographs as `facemask prepare` reads them, whatever their annotation.

Each kind of data has a module that finds its videos or photographs and reads what is known of a
frame. `vw300.py` has those with landmarks, `celebamask.py` those with pixel labels.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from facemask.boxes import face_crop_box
from facemask.data.masks import landmarks_to_mask
from facemask.errors import InputError
from facemask.files import sha256_of
from facemask.video.frames import SquarePixels

Pixels = npt.NDArray[np.uint8]


class NoFaceError(InputError):
    """Error for an annotation that is whole, but does not say where the face is."""


class AnnotatedFace(Protocol):
    """The face in one frame, as its annotation knows it."""

    def cut(self, image: Pixels, pixel_aspect: Fraction) -> tuple[Pixels, Pixels]:
        """Return the face crop, RGB uint8 (h, w, 3), and its mask, uint8 (h, w).

        Args:
            image: The frame as it is stored, RGB uint8 (H, W, 3).
            pixel_aspect: Width of its pixels over their height.

        Raises:
            InputError: The annotation does not belong to this image.
        """


class Annotated(Protocol):
    """One annotated video, or photograph as a one-frame video."""

    @property
    def name(self) -> str:
        """Name of the video in the data set."""

    @property
    def path(self) -> Path:
        """The video file or the image."""

    @property
    def is_still(self) -> bool:
        """Return whether `path` is an image."""

    @property
    def kind(self) -> str:
        """Name of the kind of annotation, for the record."""

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the classes that the masks label; others are left open."""

    @property
    def frames(self) -> Collection[int]:
        """Numbers of the annotated frames, counted from 1."""

    def state(self) -> list[Any]:
        """Return what decides the masks, in values of JSON: a change has them made anew."""

    def read(self, frame: int) -> AnnotatedFace:
        """Read the annotation of a frame.

        Raises:
            HiddenLandmarksError: Landmarks are marked as hidden.
            NoFaceError: It does not say where the face is.
            InputError: It is unusable.
        """


@dataclass(frozen=True)
class Found:
    """The annotated videos and photographs below a folder.

    Attributes:
        videos: Sorted by name.
        notes: Sentences for the summary.
        subjects: Subject of each video, where the data say it; else empty.
    """

    videos: list[Annotated]
    notes: list[str]
    subjects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FaceOfLandmarks:
    """A face of which 68 landmarks are known.

    Attributes:
        file: The file that they were read from.
        points: (68, 2) x, y in stored pixels from 0.
    """

    file: Path
    points: npt.NDArray[np.float64]

    def cut(self, image: Pixels, pixel_aspect: Fraction) -> tuple[Pixels, Pixels]:
        """Return the face crop with square pixels and the mask made of the landmarks."""
        squares = SquarePixels.of(image.shape[0], image.shape[1], pixel_aspect)
        face = squares.points(self.points)
        try:
            box = face_crop_box(face, squares.height, squares.width)
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from error
        mask = landmarks_to_mask(face - (box.left, box.top), box.height, box.width)
        return squares.image(image)[box.pixels], mask


def digest(files: Iterable[Path]) -> str:
    """Return the SHA-256, in hexadecimal, over those of the files' contents."""
    return hashlib.sha256(b"".join(bytes.fromhex(sha256_of(file)) for file in files)).hexdigest()
