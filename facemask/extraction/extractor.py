"""Masks of every face of a picture, a video or a live stream."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from facemask.boxes import Box, face_box_of_mask
from facemask.errors import InputError
from facemask.extraction.journal import Correction, Journal
from facemask.extraction.load import choose_device, for_inference, has_fast_bf16, load_model
from facemask.extraction.results import ExtractedFace, ExtractedFrame
from facemask.extraction.shape import as_stored
from facemask.extraction.temporal import (
    CHUNK,
    FaceLabeller,
    Temporal,
    check_temporal,
    smooth_frames,
)
from facemask.models.cascade.cascade import Cascade
from facemask.models.smoothing import TemporalSmoothing
from facemask.tracking.detection import FaceDetector, GivenFaces, check_image
from facemask.tracking.detectors import open_detector
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from facemask.video.frames import FrameSource, SquarePixels, VideoFrame
from facemask.video.reading import open_source

_LEAST_FACE = 0.02
"""Share of a crop below which what is labelled there is no face."""

Precision = Literal["auto", "float32", "bf16"]


class FaceMaskExtractor:
    """Finds, follows and labels faces.

    Args:
        cascade: The networks.
        detector: Finds faces, or knows where they are (`BoxesFile`, `CroppedFrames`).
        temporal: How frames help each other: "window" (each frame with its four predecessors),
            "clip" (clips of five, as in the paper), "stream" (the memory is carried on),
            "smooth" (single frames, Gaussian smoothing) or "off" (single frames).
        tracking: How faces are followed; None for the defaults.
        device: "auto", or a torch device.
        precision: "bf16" lets networks compute in bfloat16; "auto" does so on devices that are fast
            at it.

    Raises:
        InputError: An option has another value, or the device cannot be used.
    """

    def __init__(
        self,
        cascade: Cascade,
        detector: FaceDetector | GivenFaces,
        *,
        temporal: Temporal = "window",
        tracking: TrackerSettings | None = None,
        device: str = "auto",
        precision: Precision = "auto",
    ) -> None:
        """Put the networks on their device."""
        self.temporal = check_temporal(temporal)
        if precision not in ("auto", "float32", "bf16"):
            raise InputError(f"precision is {precision!r}: give auto, float32 or bf16.")
        self.device = choose_device(device)
        fast = precision == "auto" and has_fast_bf16(self.device)
        self._bf16 = precision == "bf16" or fast
        self.cascade = for_inference(cascade.eval().to(self.device))
        self.detector = detector
        self.tracking = tracking

    @classmethod
    def load(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        *,
        detector: str | FaceDetector | GivenFaces = "auto",
        temporal: Temporal = "window",
        tracking: TrackerSettings | None = None,
        precision: Precision = "auto",
    ) -> "FaceMaskExtractor":
        """Read a model's file.

        Args:
            path: The name of weights that come with the package ("default", "synthetic"), a saved
                cascade (.safetensors), a checkpoint of a model of whole faces, or a Hugging Face
                repository id ("owner/name"); see `facemask.weights.find_weights`.
            device: As in the class.
            detector: A detector or the name of one: "auto", "dlib", "mediapipe", or "cropped"
                for pictures that are face crops already.
            temporal: As in the class.
            tracking: As in the class.
            precision: As in the class.

        Raises:
            InputError: The file holds no such model, the detector is not installed, or an
                option is wrong.
        """
        found = open_detector(detector) if isinstance(detector, str) else detector
        return cls(
            load_model(path),
            found,
            temporal=temporal,
            tracking=tracking,
            device=device,
            precision=precision,
        )

    def image(self, image: npt.NDArray[np.uint8]) -> ExtractedFrame:
        """Label the faces of one picture; the largest has the track id 0.

        Args:
            image: uint8 (H, W, 3) RGB.

        Raises:
            InputError: It is not of that kind.
        """
        image = check_image(image)
        if isinstance(self.detector, GivenFaces):
            scored = [(box, 1.0) for box in self.detector.faces(0, image).values()]
        else:
            settings = self.tracking or TrackerSettings()
            scored = [(f.box, f.score) for f in self.detector.detect(image)]
            scored = [(box, score) for box, score in scored if score >= settings.min_score]
        scored.sort(key=lambda found: -found[0].side)
        faces = [TrackedFace(n, box, score, True) for n, (box, score) in enumerate(scored)]
        labeller = FaceLabeller(self.cascade, "off", self._bf16)
        return labeller.label([VideoFrame(0, 0.0, image)], [faces])[0]

    def video(
        self,
        source: str | Path | int | FrameSource,
        first: int = 0,
        journal: Journal | None = None,
    ) -> Iterator[ExtractedFrame]:
        """Label a video's frames one after the other, in bounded memory.

        Where its pixels are not square, faces are found and labelled on square ones, and results
        are in the video's own.

        Args:
            source: A file, a folder of pictures, the number of a camera, or an opened source.
            first: Number of the first frame to label, from 0. In those before it faces are only
                followed, so that they have their track ids.
            journal: What an earlier call knew of the frames before `first`; results are then those
                of a call from the beginning. What this call learns is added.

        Yields:
            Every frame of the source from `first` on, with or without a face.

        Raises:
            InputError: The source cannot be read.
        """
        opened = source if isinstance(source, FrameSource) else open_source(source)
        with opened:
            squares = SquarePixels.of(opened.height, opened.width, opened.pixel_aspect)
            frames = self._labelled(opened, first, squares, journal or Journal())
            if self.temporal == "smooth":
                frames = smooth_frames(frames, TemporalSmoothing())
            yield from (frame for frame in frames if frame.index >= first)

    def tracker(self) -> FaceTracker:
        """A tracker of this extractor's detector and settings."""
        return FaceTracker(self.detector, self.tracking)

    def stream(self) -> "FaceMaskStream":
        """Frames one by one as they come, each labelled at once.

        Uses `temporal` if that is "window" or "off", which need no frame to come, else "stream".
        """
        live: Temporal = self.temporal if self.temporal in ("window", "off") else "stream"
        return FaceMaskStream(self.tracker(), FaceLabeller(self.cascade, live, self._bf16))

    def _labelled(
        self, frames: Iterable[VideoFrame], first: int, squares: SquarePixels, journal: Journal
    ) -> Iterator[ExtractedFrame]:
        """Every frame from the beginning of a chunk on, at `first` or before it."""
        tracker = self.tracker()
        labeller = FaceLabeller(self.cascade, self.temporal, self._bf16)
        numbered = iter(frames)
        size = CHUNK[self.temporal]
        count = first // size * size
        if self.temporal in ("window", "smooth"):  # need the frames before
            count = max(0, count - size)
        for done, frame in enumerate(itertools.islice(numbered, count), start=1):
            self._follow(tracker, frame.image, squares)
            for known in journal.corrections.get(done, []):
                tracker.correct(*known)
        labeller.remember(journal.memories_at(count), count - 1)
        while stored := list(itertools.islice(numbered, size)):
            chunk = [replace(frame, image=squares.image(frame.image)) for frame in stored]
            faces = [
                self._follow(tracker, frame.image, squares, square.image)
                for frame, square in zip(stored, chunk, strict=True)
            ]
            results = labeller.label(chunk, faces)
            count += len(stored)
            if count not in journal.corrections:  # else this chunk only lies before `first`
                journal.note(count, mask_boxes(results), labeller.memories())
            for known in journal.corrections[count]:
                tracker.correct(*known)
            for frame, result in zip(stored, results, strict=True):
                yield as_stored(result, frame.image, squares)

    def _follow(
        self,
        tracker: FaceTracker,
        stored: npt.NDArray[np.uint8],
        squares: SquarePixels,
        square: npt.NDArray[np.uint8] | None = None,
    ) -> list[TrackedFace]:
        """The faces of the next frame, boxes in square pixels; given boxes are in stored ones."""
        if not isinstance(self.detector, GivenFaces):
            return tracker.step(squares.image(stored) if square is None else square)
        faces = tracker.step(stored)
        return [replace(face, box=face.box.scaled(squares.x, squares.y)) for face in faces]


class FaceMaskStream:
    """Labels a live stream; made by `FaceMaskExtractor.stream`."""

    def __init__(self, tracker: FaceTracker, labeller: FaceLabeller) -> None:
        """Begin with no face known."""
        self._tracker = tracker
        self._labeller = labeller
        self._index = 0

    def step(self, image: npt.NDArray[np.uint8], time: float | None = None) -> ExtractedFrame:
        """Label the next frame.

        Args:
            image: uint8 (H, W, 3) RGB.
            time: Seconds, handed on to the result; None counts 25 frames a second.

        Raises:
            InputError: The image is not of that kind.
        """
        faces = self._tracker.step(image)
        frame = VideoFrame(self._index, self._index / 25 if time is None else time, image)
        self._index += 1
        results = self._labeller.label([frame], [faces])
        for known in mask_boxes(results):
            self._tracker.correct(*known)
        return results[0]

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another stream."""
        self._tracker.reset()
        self._labeller.reset()
        self._index = 0


def mask_boxes(frames: list[ExtractedFrame]) -> list[Correction]:
    """Where the masks of consecutive frames show each face, for the tracker that has seen them.

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
