"""Masks of one frame and of its faces, at the frame's size and in the pixels of its file."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, Crop
from facemask.classes import BACKGROUND, FACE_CLASSES, NUM_CLASSES
from facemask.confidence import UNSURE, Confidence, ConfidenceFit, Floats, expected_ious
from facemask.turned import TurnedBox
from facemask.video.frames import SquarePixels
from facemask.video.look import Number

Labels = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExtractedFace:
    """One face of one frame.

    Attributes:
        track_id: Number of the face in the video, from 0; no other face gets it.
        box: The pixels of the frame around all that was looked at, edges as integers.
        score: The detector's score, 0 to 1.
        restart: Whether this is the face's first frame, or its first after a cut or a gap.
        frame_size: Height and width of the frame.
        crop_labels: Class ids in the box, uint8 (h, w).
        found: Probabilities of the classes in the box, float32 (5, h, w), or what computes them.
        pixel_aspect: Width of a pixel over its height.
        roll: Degrees by which the face is turned clockwise in the frame; it was looked at upright.
        upright_box: Box of the face turned upright about the box's centre, in pixel edges of the
            frame; None where that is `box`, for a face that was looked at as it is.
        confidence_fit: What turns probabilities into confidence; None takes them as they are.
        expected: `expected_ious` of the mask, float64 (4,); None where they are to be computed.
    """

    track_id: int
    box: Crop
    score: float
    restart: bool
    frame_size: tuple[int, int]
    crop_labels: Labels
    found: Probabilities | Callable[[], Probabilities]
    pixel_aspect: float = 1.0
    roll: float = 0.0
    upright_box: Box | None = None
    confidence_fit: ConfidenceFit | None = None
    expected: Floats | None = None

    @property
    def turned_box(self) -> TurnedBox:
        """The upright box with the face's roll."""
        return TurnedBox(self.upright_box or Box(*map(float, self.box)), self.roll)

    @cached_property
    def crop_probabilities(self) -> Probabilities:
        """Probabilities of the classes in the box, float32 (5, h, w), sum 1.

        They are computed when they are first asked for: labels and confidence go without.
        """
        return self.found() if callable(self.found) else self.found

    @property
    def labels(self) -> Labels:
        """Class ids of this face alone at the frame's size, uint8 (H, W); made anew each time."""
        labels = np.full(self.frame_size, BACKGROUND, dtype=np.uint8)
        labels[self.box.pixels] = self.crop_labels
        return labels

    @property
    def probabilities(self) -> Probabilities:
        """Probabilities of the classes at the frame's size, float32 (5, H, W).

        Background is 1 outside the box. Made anew each time; `crop_probabilities` is smaller.
        """
        probabilities = np.zeros((NUM_CLASSES, *self.frame_size), dtype=np.float32)
        probabilities[BACKGROUND] = 1
        rows, columns = self.box.pixels
        probabilities[:, rows, columns] = self.crop_probabilities
        return probabilities

    @property
    def confidence(self) -> float:
        """Mean IoU to expect of this mask, 0 to 1; 0 without a label.

        With a cascade whose confidence is not calibrated, the one to expect if its probabilities
        were right, which is usually too high.
        """
        return self._confidence.mask

    @property
    def part_confidences(self) -> dict[str, float]:
        """IoU to expect of skin, eyes, lips and inner mouth, by name; NaN for what has no label."""
        return dict(zip(FACE_CLASSES, self._confidence.parts, strict=True))

    @property
    def is_unsure(self) -> bool:
        """True if the confidence is below 0.6: someone should look at the mask.

        Never with a cascade whose confidence is not calibrated, where that would say nothing.
        """
        return self.confidence_fit is not None and self.confidence < UNSURE

    @cached_property
    def _confidence(self) -> Confidence:
        fit = self.confidence_fit or ConfidenceFit()
        if self.expected is not None:
            return fit(self.expected)
        return fit(expected_ious(self.crop_labels, self.crop_probabilities))


@dataclass(frozen=True, eq=False)
class ExtractedFrame:
    """One frame with its faces.

    Attributes:
        index: Number of the frame, from 0.
        time: Seconds from the first frame.
        image: The frame, uint8 (H, W, 3) RGB.
        faces: The faces in the order of their track ids; empty without a face.
        picture: Name of the file, where the source is a folder of pictures.
        label: Name of a file or an entry made from this frame; None to number it.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]
    faces: list[ExtractedFace]
    picture: str | None = None
    label: str | None = None

    @property
    def labels(self) -> Labels:
        """Class ids of all faces, uint8 (H, W); where two overlap, the larger, nearer one's."""
        labels = np.full(self.image.shape[:2], BACKGROUND, dtype=np.uint8)
        for face in self._by_size():
            inside = labels[face.box.pixels]
            np.copyto(inside, face.crop_labels, where=face.crop_labels != BACKGROUND)
        return labels

    @property
    def alpha(self) -> npt.NDArray[np.uint8]:
        """Opacity of the faces, uint8 (H, W): 255 times 1 - p(background)."""
        alpha = np.zeros(self.image.shape[:2], dtype=np.uint8)
        for face in self._by_size():
            inside = alpha[face.box.pixels]
            soft = np.rint(255 * (1 - face.crop_probabilities[BACKGROUND]))
            np.maximum(inside, soft.clip(0, 255).astype(np.uint8), out=inside)
        return alpha

    @property
    def is_unsure(self) -> bool:
        """True if the calibrated confidence in the mask of a face is below 0.6."""
        return any(face.is_unsure for face in self.faces)

    def _by_size(self) -> list[ExtractedFace]:
        return sorted(self.faces, key=lambda face: face.box.width * face.box.height)


def numbers_of(frame: ExtractedFrame) -> list[Number]:
    """Return the numbers of a frame's faces, each above the middle of its mask."""
    numbers = []
    for face in frame.faces:
        box = face.box
        _, top, width, height = cv2.boundingRect(face.crop_labels)
        middle = (box.left + box.right) / 2  # of the box: a mask may reach into the next face
        side = max(width, height) or box.width
        numbers.append(Number(str(face.track_id), middle, box.top + top, side))
    return numbers


def as_stored(frame: ExtractedFrame, image: Labels, squares: SquarePixels) -> ExtractedFrame:
    """Return a labelled frame in the pixels of its file.

    Args:
        frame: The frame, labelled with square pixels.
        image: The frame as it is stored, uint8 (H, W, 3).
        squares: The mapping between both.
    """
    if not squares.changes:
        return frame
    height, width = image.shape[:2]
    faces = []
    for face in frame.faces:
        corner = (face.box.left, face.box.top)
        box = Crop(
            math.floor(face.box.left / squares.x),
            math.floor(face.box.top / squares.y),
            min(math.ceil(face.box.right / squares.x), width),
            min(math.ceil(face.box.bottom / squares.y), height),
        )
        found = functools.partial(_stored_probabilities, face, squares, corner, box)
        turned = face.turned_box.scaled(1 / squares.x, 1 / squares.y)
        faces.append(
            replace(
                face,
                roll=turned.roll,
                upright_box=None if face.upright_box is None else turned.box,
                box=box,
                frame_size=(height, width),
                crop_labels=squares.stored_plane(face.crop_labels, corner, box, cv2.INTER_NEAREST),
                found=found,
                expected=None,
                pixel_aspect=squares.pixel_aspect,
            )
        )
    return replace(frame, image=image, faces=faces)


def _stored_probabilities(
    face: ExtractedFace, squares: SquarePixels, corner: tuple[int, int], box: Crop
) -> Probabilities:
    planes = face.crop_probabilities
    return np.stack([squares.stored_plane(p, corner, box, cv2.INTER_LINEAR) for p in planes])
