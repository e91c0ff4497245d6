"""Faces found in frames whose pixels were made square, put back into the frames as they are."""

import math
from dataclasses import replace

import cv2
import numpy as np

from facemask.boxes import Crop
from facemask.extraction.results import ExtractedFace, ExtractedFrame, Labels
from facemask.video.frames import SquarePixels


def as_stored(frame: ExtractedFrame, image: Labels, squares: SquarePixels) -> ExtractedFrame:
    """A labelled frame in the pixels of its file.

    Args:
        frame: Labelled with square pixels.
        image: The frame as it is stored, uint8 (H, W, 3).
        squares: How the two belong together.
    """
    if not squares.changes:
        return frame
    faces = [_as_stored(face, (image.shape[0], image.shape[1]), squares) for face in frame.faces]
    return replace(frame, image=image, faces=faces)


def _as_stored(face: ExtractedFace, size: tuple[int, int], squares: SquarePixels) -> ExtractedFace:
    corner = (face.box.left, face.box.top)
    box = Crop(
        math.floor(face.box.left / squares.x),
        math.floor(face.box.top / squares.y),
        min(math.ceil(face.box.right / squares.x), size[1]),
        min(math.ceil(face.box.bottom / squares.y), size[0]),
    )
    labels = squares.stored_plane(face.crop_labels, corner, box, cv2.INTER_NEAREST)
    probabilities = [
        squares.stored_plane(plane, corner, box, cv2.INTER_LINEAR)
        for plane in face.crop_probabilities
    ]
    return replace(
        face,
        box=box,
        frame_size=size,
        crop_labels=labels,
        crop_probabilities=np.stack(probabilities),
        pixel_aspect=squares.pixel_aspect,
    )
