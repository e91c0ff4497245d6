"""Masks of every face of a picture, a video or a live stream."""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from facemask.ahead import ahead
from facemask.errors import InputError
from facemask.extraction.backends import computes_bf16, prepare_cascade, what_computes
from facemask.extraction.choices import Backend, Precision, Temporal
from facemask.extraction.corrections import distinct_faces, first_corrections
from facemask.extraction.following import FaceFollower, frames_ahead
from facemask.extraction.journal import Journal
from facemask.extraction.load import choose_device
from facemask.extraction.mouths import shut_mouths
from facemask.extraction.results import ExtractedFrame, as_stored
from facemask.extraction.temporal import FaceLabeller, check_temporal, smooth_frames
from facemask.models.cascade.cascade import Cascade
from facemask.models.smoothing import TemporalSmoothing
from facemask.tracking.detection import Detection, FaceDetector, GivenFaces, check_image
from facemask.tracking.detectors import open_detector
from facemask.tracking.second_look import faces_of_photograph
from facemask.tracking.tracker import FaceTracker, TrackedFace, TrackerSettings
from facemask.video.frames import FrameSource, SquarePixels, VideoFrame
from facemask.video.reading import open_source
from facemask.weights.load import load_model


class FaceMaskExtractor:
    """Finds, follows and labels faces.

    Args:
        cascade: The networks.
        detector: Finder of faces, or knowledge of where they are (`BoxesFile`, `CroppedFrames`).
        temporal: How frames help each other: "window" (each frame with its four predecessors),
            "clip" (clips of five, as in the paper), "stream" (the memory is carried on),
            "smooth" (single frames, Gaussian smoothing) or "off" (single frames).
        tracking: Settings of the tracker; None for the defaults.
        device: "auto", or a torch device.
        precision: "bf16" lets networks compute in bfloat16; "auto" does so on devices that are fast
            at it. "int8" lets OpenVINO compute the encoders in 8-bit integers.
        passes: 2 looks twice at a picture's faces, and at the frame in which a face begins: the
            crop of the second look follows the mask of the first, which knows better than the
            detector where the face is and how it is turned. Faces that are given are not moved.
        backend: What computes the networks: "torch", "onnx" (ONNX Runtime), "openvino", or "auto",
            the fastest of torch and those that were asked for before (docs/export.md).

    Attributes:
        backend: The backend that computes: "torch", "onnx" or "openvino".
        precision: The numbers that it computes with: "float32", "bf16" or "int8".

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
        passes: Literal[1, 2] = 2,
        backend: Backend = "auto",
    ) -> None:
        self.temporal = check_temporal(temporal)
        if passes not in (1, 2):
            raise InputError(f"passes is {passes!r}: give 1 or 2.")
        self.device = choose_device(device)
        self._bf16, int8 = computes_bf16(precision, self.device), precision == "int8"
        on_device = cascade.eval().to(self.device)
        self.cascade = prepare_cascade(on_device, backend, self._bf16, int8)
        self.backend, self.precision = what_computes(self.cascade, self._bf16, int8)
        self.detector = detector
        self.tracking = tracking or TrackerSettings()
        self.passes = passes

    def __repr__(self) -> str:
        """Return what computes, on what, and how frames help each other."""
        parts = ", ".join(self.cascade.networks())
        return f"FaceMaskExtractor({parts}; {self.backend}, {self.precision}, {self.temporal})"

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
        passes: Literal[1, 2] = 2,
        backend: Backend = "auto",
    ) -> "FaceMaskExtractor":
        """Read a model's file.

        Args:
            path: The name of weights that come with the package ("default", "open"), a saved
                cascade (.safetensors), a checkpoint of a model of whole faces, or a Hugging Face
                repository id ("owner/name"); see `facemask.weights.find_weights`.
            device: As in the class.
            detector: A detector or the name of one (`facemask.tracking.detectors.open_detector`):
                "auto", "centerface", "dlib", "mediapipe", "yunet", or "cropped" for pictures that
                are face crops already.
            temporal: As in the class.
            tracking: As in the class.
            precision: As in the class.
            passes: As in the class.
            backend: As in the class.

        Raises:
            InputError: The file holds no such model, the detector is not installed, or an
                option is wrong.
        """
        found = open_detector(detector) if isinstance(detector, str) else detector
        return cls(
            load_model(path), found, temporal=temporal, tracking=tracking, device=device,
            precision=precision, passes=passes, backend=backend,
        )  # fmt: skip

    def image(self, image: npt.NDArray[np.uint8]) -> ExtractedFrame:
        """Label the faces of one picture, as `images` does."""
        return self.images([image])[0]

    def images(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[ExtractedFrame]:
        """Label the faces of pictures that have nothing to do with each other, all together.

        Args:
            images: uint8 (H, W, 3) RGB each, of any sizes.

        Returns:
            A frame for each picture, `index` its place; its largest face has the track id 0.

        Raises:
            InputError: One is not of that kind.
        """
        labeller = FaceLabeller(self.cascade, "off", self._bf16)
        frames = [VideoFrame(n, 0.0, check_image(image)) for n, image in enumerate(images)]
        faces = [self._faces_of(frame, labeller) for frame in frames]
        return shut_mouths(labeller.label(frames, faces), {}).frames

    def _faces_of(self, frame: VideoFrame, labeller: FaceLabeller) -> list[TrackedFace]:
        """Return the faces of a picture, numbered by size."""
        faces = [
            TrackedFace(n, box, score, True, roll)
            for n, (box, score, roll) in enumerate(self._found(frame.image))
        ]
        if self.passes == 2 and not isinstance(self.detector, GivenFaces):
            shown = first_corrections(frame, faces, labeller, self.tracking.upright)
            faces = distinct_faces(faces, shown)
        faces.sort(key=lambda face: -face.box.side)
        return [replace(face, track_id=n) for n, face in enumerate(faces)]

    def video(
        self,
        source: str | Path | int | FrameSource,
        first: int = 0,
        journal: Journal | None = None,
    ) -> Generator[ExtractedFrame, None, None]:
        """Label a video's frames one after the other, in bounded memory.

        A thread decodes the frames to come meanwhile.

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
        journal = journal or Journal()
        follower = self._follower(journal)
        with opened:
            squares = SquarePixels.of(opened.height, opened.width, opened.pixel_aspect)
            decoded = ahead(follower.foreseen(opened, squares), frames_ahead(opened))
            with closing(decoded):
                frames = self._labelled(decoded, first, squares, journal, follower)
                if self.temporal == "smooth":
                    frames = smooth_frames(frames, TemporalSmoothing())
                yield from itertools.filterfalse(lambda frame: frame.index < first, frames)

    def tracker(self) -> FaceTracker:
        """Return a new tracker with this extractor's detector and settings."""
        return FaceTracker(self.detector, self.tracking)

    def stream(self) -> "FaceMaskStream":
        """Return what labels frames one by one as they come, each at once.

        Uses `temporal` if that is "window" or "off", which need no frame to come, else "stream".
        """
        live: Temporal = self.temporal if self.temporal in ("window", "off") else "stream"
        return FaceMaskStream(self._follower(), FaceLabeller(self.cascade, live, self._bf16))

    def _labelled(
        self,
        frames: Iterable[VideoFrame],
        first: int,
        squares: SquarePixels,
        journal: Journal,
        follower: FaceFollower,
    ) -> Iterator[ExtractedFrame]:
        """Yield every frame from the beginning of a chunk on, at `first` or before it."""
        labeller = FaceLabeller(self.cascade, self.temporal, self._bf16)
        given = isinstance(self.detector, GivenFaces)
        numbered = iter(frames)
        size = labeller.chunk
        count = first // size * size
        if self.temporal in ("window", "smooth"):  # need the frames before
            count = max(0, count - size)
        for done, frame in enumerate(itertools.islice(numbered, count), start=1):
            follower.step(frame, squares, given)
            follower.repeat(done)
        labeller.remember(journal.memories.get(count, {}), count - 1)
        while stored := list(itertools.islice(numbered, size)):
            followed = [follower.step(frame, squares, given) for frame in stored]
            chunk, faces = zip(*followed, strict=True)
            results = follower.shut_mouths(count, labeller.label(chunk, faces))
            count += len(stored)
            follower.correct(count, results, labeller.memories())
            del followed, chunk, faces  # no frame stays in memory for longer than it is wanted
            while stored:
                yield as_stored(results.pop(0), stored.pop(0).image, squares)

    def _follower(self, journal: Journal | None = None) -> FaceFollower:
        twice = self.passes == 2 and not isinstance(self.detector, GivenFaces)
        first_look = FaceLabeller(self.cascade, "off", self._bf16) if twice else None
        return FaceFollower(self.tracker(), self.tracking.upright, first_look, journal)

    def _found(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        """Return the faces of a picture, the largest first."""
        if isinstance(self.detector, GivenFaces):
            given = self.detector.faces(0, image).values()
            found = [Detection(face.box, 1.0, face.roll) for face in given]
        else:
            settings = self.tracking
            if settings.upright:
                found = faces_of_photograph(self.detector, image, settings.min_score)
            else:
                found = [face._replace(roll=0.0) for face in self.detector.detect(image)]
            least = settings.least_side(*image.shape[:2])
            found = [f for f in found if f.score >= settings.min_score and f.box.side >= least]
        found.sort(key=lambda face: -face.box.side)
        return found[: self.tracking.max_faces]


class FaceMaskStream:
    """Labels a live stream; made by `FaceMaskExtractor.stream`."""

    def __init__(self, follower: FaceFollower, labeller: FaceLabeller) -> None:
        self._follower = follower
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
        image = check_image(image)
        stored = VideoFrame(self._index, self._index / 25 if time is None else time, image)
        frame, faces = self._follower.step(stored)
        labelled = self._labeller.label([frame], [faces])
        results = self._follower.shut_mouths(self._index, labelled)
        self._index += 1
        self._follower.correct(self._index, results, {})
        self._follower.forget()
        return results[0]

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another stream."""
        self._follower.reset()
        self._labeller.reset()
        self._index = 0
