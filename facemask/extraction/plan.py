"""Options of one command, and what makes the networks ready for its videos, in any process."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facemask.errors import InputError
from facemask.extraction.choices import Backend, Precision, Temporal
from facemask.files import sha256_of
from facemask.imports import garbage_left_alone
from facemask.threads import limit_threads
from facemask.tracking.detection import FaceDetector, GivenFaces
from facemask.tracking.detectors import BoxesFile, CroppedFrames, open_detector
from facemask.tracking.tracker import TrackerSettings
from facemask.video.look import Look

if TYPE_CHECKING:
    from facemask.extraction.run import Run


@dataclass(frozen=True)
class Plan:
    """Options as `facemask extract` takes them; a value that can be sent to other processes.

    Attributes:
        model: The model's name as given.
        weights: Its file.
        sha256: SHA-256 of that.
        tracking: Settings of the tracker, of several options.
    """

    model: str
    weights: str
    sha256: str
    network: str | None
    temporal: Temporal
    detector: str
    detector_model: str | None
    boxes: str | None
    cropped: bool
    smallest_face: float | None
    tracking: TrackerSettings
    passes: Literal[1, 2]
    device: str
    precision: Precision
    backend: Backend
    fps: float | None
    rotate: int
    look: Look
    resume: bool

    @property
    def rate(self) -> Fraction | None:
        """Frames a second of what stores no times; None for the default."""
        return None if self.fps is None else Fraction(self.fps).limit_denominator(1001)

    def finder(self) -> FaceDetector | GivenFaces:
        """Return the detector, or the knowledge of where faces are.

        Raises:
            InputError: More than one way is asked for, or the one asked for does not work here.
        """
        if self.boxes is not None and self.cropped:
            raise InputError("--boxes and --cropped are both given: give one of them.")
        if self.boxes is not None or self.cropped:
            if self.detector != "auto" or self.detector_model is not None:
                raise InputError(
                    "--boxes and --cropped take the place of --detector: leave that out."
                )
            if self.smallest_face is not None:
                raise InputError("--smallest_face is for a detector, not for --boxes or --cropped.")
            return CroppedFrames() if self.boxes is None else BoxesFile(Path(self.boxes))
        file = None if self.detector_model is None else Path(self.detector_model)
        return open_detector(self.detector, file, self.smallest_face)

    def prepare(self, finder: FaceDetector | GivenFaces | None = None, worker: int = 0) -> "Run":
        """Load the networks, with as many threads as this process may have.

        Args:
            finder: As `finder` returns it; None makes one.
            worker: Number of this process among those of the command, which take GPUs in turn.

        Raises:
            InputError: The model cannot be used, or an option is wrong.
        """
        with garbage_left_alone():  # these bring torch, which takes a second to import
            from facemask.extraction.extractor import FaceMaskExtractor
            from facemask.extraction.load import network_from_config, own_device
            from facemask.extraction.run import Run
            from facemask.weights.load import load_model
        limit_threads()
        finder = finder or self.finder()
        own = None if self.network is None else network_from_config(Path(self.network))
        extractor = FaceMaskExtractor(
            load_model(Path(self.weights), network=own), finder, temporal=self.temporal,
            tracking=self.tracking, device=own_device(self.device, worker),
            precision=self.precision, passes=self.passes, backend=self.backend,
        )  # fmt: skip
        settings = asdict(self.tracking)
        del settings["min_size"]  # it follows from smallest_face
        options: dict[str, object] = {
            "network": _content(self.network), "temporal": self.temporal,
            # whatever "auto" is
            "detector": type(finder).__name__.removesuffix("Detector").lower(),
            "detector_model": _content(self.detector_model), "boxes": _content(self.boxes),
            "cropped": self.cropped, "smallest_face": self.smallest_face, "passes": self.passes,
            **settings, "precision": extractor.precision, "backend": extractor.backend,
            "fps": self.fps, "rotate": self.rotate,
            **asdict(self.look),
        }  # fmt: skip
        about = {"name": self.model, "sha256": self.sha256}
        return Run(extractor, about, options, self.rate, self.rotate, self.look, self.resume)


def _content(file: str | None) -> str | None:
    return None if file is None else sha256_of(Path(file))
