"""What happens when someone presses Extract, without the page around it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from facemask.errors import InputError
from facemask.extraction.extractor import FaceMaskExtractor
from facemask.extraction.jobs import source_names
from facemask.extraction.load import choose_device, load_model
from facemask.extraction.outputs import PLOT, Outputs, output_paths
from facemask.extraction.temporal import check_temporal
from facemask.models.cascade.cascade import Cascade
from facemask.tracking.detectors import open_detector
from facemask.video.reading import open_source

KINDS: Final = ("overlay", "csv", "labels", "npz", PLOT)
_OPACITY: Final = 0.5

OnFrame = Callable[[int, int | None], None]
"""Told after each frame how many are done, and of about how many, where that is known."""


@dataclass(frozen=True)
class Choices:
    """What the page asks for.

    Attributes:
        model: A name in the list of models.
        temporal: One of the names in `Temporal`.
        detector: "auto", "dlib" or "mediapipe".
        cropped: Every frame is a face crop already; the detector is not asked.
        rotate: Degrees by which to turn each frame clockwise.
    """

    model: str
    temporal: str
    detector: str
    cropped: bool
    rotate: int = 0


@dataclass(frozen=True)
class Result:
    """Files and numbers of one extraction.

    Attributes:
        files: Results by the names in `KINDS`; "plot" is a PNG of the signals over time.
        frames: Number of frames of the video.
        with_face: Number of frames with at least one face.
        seconds: Time taken, without that for the plot.
        problem: A sentence where the video was damaged.
    """

    files: dict[str, Path]
    frames: int
    with_face: int
    seconds: float
    problem: str | None


class Extractions:
    """Extracts one video after the other; the model used last stays in memory.

    Args:
        models: Model files by name.
        folder: Each extraction's files go into a new folder below.
        device: "auto", or a torch device.

    Raises:
        InputError: The device cannot be used, or the only model cannot be read.
    """

    def __init__(self, models: Mapping[str, Path], folder: Path, device: str = "auto") -> None:
        self.models = models
        self._folder = folder
        self._device = str(choose_device(device))
        self._loaded: tuple[str, Cascade] | None = None
        if len(models) == 1:  # better told now than on the page
            self._model(next(iter(models)))

    def run(self, video: Path, choices: Choices, on_frame: OnFrame) -> Result:
        """Extract one video.

        Args:
            video: A video file.
            choices: How.
            on_frame: An exception that it raises ends the extraction and leaves no file.

        Raises:
            InputError: The video or the model cannot be read, or a choice cannot be had here.
        """
        with open_source(str(video), rotate=choices.rotate) as source:
            extractor = FaceMaskExtractor(
                self._model(choices.model),
                open_detector("cropped" if choices.cropped else choices.detector),
                temporal=check_temporal(choices.temporal),
                device=self._device,
            )
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            # as `facemask extract` calls them, but the folder of an upload says nothing
            name = video.stem if video.stem == "vid" else source_names([str(video)])[0]
            paths = output_paths(folder, name, KINDS)
            frames, with_face, start = 0, 0, time.monotonic()
            try:
                with Outputs(paths, source, _OPACITY) as outputs:
                    for frame in extractor.video(source):
                        outputs.write(frame)
                        frames += 1
                        with_face += bool(frame.faces)
                        on_frame(frames, source.frame_count)
                    if frames == 0:
                        raise InputError(f"{source.name}: holds no frame that can be read.")
                    seconds = time.monotonic() - start
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            return Result(paths, frames, with_face, seconds, source.problem)

    def _model(self, name: str) -> Cascade:
        if self._loaded is None or self._loaded[0] != name:
            if name not in self.models:
                raise InputError(f"the model is {name!r}: choose one of the list.")
            self._loaded = None  # before the next one is read: memory holds one
            self._loaded = (name, load_model(self.models[name]))
        return self._loaded[1]
