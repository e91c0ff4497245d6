"""Models that the page offers, and videos' masks by one of them, without the page around it."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open

from facemask.classes import FACE_CLASSES
from facemask.errors import InputError
from facemask.extraction.choices import PLOT, output_paths
from facemask.extraction.extractor import FaceMaskExtractor
from facemask.extraction.jobs import source_names
from facemask.extraction.load import choose_device
from facemask.extraction.outputs import Outputs
from facemask.extraction.results import numbers_of
from facemask.extraction.temporal import check_temporal
from facemask.models.cascade.cascade import Cascade
from facemask.tracking.detectors import open_detector
from facemask.turned import mean_angle
from facemask.video.look import Look, Number
from facemask.video.reading import open_source
from facemask.video.writing import VideoWriter
from facemask.weights.catalog import find_weights, shipped
from facemask.weights.load import load_model

KINDS: Final = ("overlay", "csv", "labels", "npz", PLOT)

Shown = tuple[str, ...]
"""Names of the classes that overlays show, in the order of their ids."""

OnFrame = Callable[[int, int | None], None]
"""Called after each frame with their number, and about that of all, where it is known."""


@dataclass(frozen=True)
class Choices:
    """Choices of a visitor of the page.

    Attributes:
        model: Name in the list of models.
        temporal: Name of a way to use time, of `Temporal`.
        detector: "auto", or the name of another detector that is installed.
        cropped: Whether every frame is a face crop already, so that no detector is asked.
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
        video: The video.
        rotate: Degrees by which each frame was turned clockwise.
        files: Results by the names in `KINDS`; "plot" is a PNG of the signals over time,
            which is not there where no face is.
        overlays: Overlays so far, by the classes that they show.
        numbers: Numbers of the faces in each frame.
        frames: Number of frames of the video.
        with_face: Number of frames with at least one face.
        unsure: Number of frames with a face whose mask is unsure; None where the model's confidence
            is not calibrated.
        roll: Mean degrees by which faces are turned clockwise; None without a face.
        seconds: Time taken, without that for the plot.
        problem: A sentence where the video was damaged.
    """

    video: Path
    rotate: int
    files: dict[str, Path]
    overlays: dict[Shown, Path]
    numbers: list[list[Number]]
    frames: int
    with_face: int
    unsure: int | None
    roll: float | None
    seconds: float
    problem: str | None


class Extractions:
    """Extracts one video after the other; the model used last stays in memory.

    Args:
        models: Model files by name.
        folder: Each extraction's files go into a new folder below.
        device: "auto", or a torch device.

    Attributes:
        models: The models.
        folder: The folder.

    Raises:
        InputError: The device cannot be used, or the only model cannot be read.
    """

    def __init__(self, models: Mapping[str, Path], folder: Path, device: str = "auto") -> None:
        self.models = models
        self.folder = folder
        self._device = str(choose_device(device))
        self._loaded: tuple[str, Cascade] | None = None
        if len(models) == 1:  # better told now than on the page
            self._model(next(iter(models)))

    def extractor(self, choices: Choices) -> FaceMaskExtractor:
        """Return what labels pictures with these choices.

        Raises:
            InputError: The model cannot be read, or a choice cannot be had here.
        """
        return FaceMaskExtractor(
            self._model(choices.model),
            open_detector("cropped" if choices.cropped else choices.detector),
            temporal=check_temporal(choices.temporal),
            device=self._device,
        )

    def new_folder(self) -> Path:
        """Return a folder for the files of one result."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def run(
        self, video: Path, choices: Choices, on_frame: OnFrame, shown: Shown = FACE_CLASSES
    ) -> Result:
        """Extract one video.

        Args:
            video: A video file.
            choices: Model and options.
            on_frame: Called after each frame; an exception that it raises ends the extraction and
                leaves no file.
            shown: Classes that the overlay shows.

        Raises:
            InputError: The video or the model cannot be read, or a choice cannot be had here.
        """
        with open_source(str(video), rotate=choices.rotate) as source:
            extractor = self.extractor(choices)
            folder = self.new_folder()
            # as `facemask extract` calls them, but the folder of an upload says nothing
            name = video.stem if video.stem == "vid" else source_names([str(video)])[0]
            paths = output_paths(folder, name, KINDS)
            frames, with_face, unsure, start = 0, 0, 0, time.monotonic()
            rolls: list[float] = []
            numbers: list[list[Number]] = []
            try:
                with Outputs(paths, source, Look(shown=shown)) as outputs:
                    for frame in extractor.video(source):
                        outputs.write(frame)
                        frames += 1
                        with_face += bool(frame.faces)
                        unsure += frame.is_unsure
                        numbers.append(numbers_of(frame))
                        rolls += [face.roll for face in frame.faces]
                        on_frame(frames, source.frame_count)
                    if frames == 0:
                        raise InputError(f"{source.name}: holds no frame that can be read.")
                    seconds = time.monotonic() - start
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            roll = mean_angle(rolls) if rolls else None
            calibrated = extractor.cascade.settings.is_calibrated
            files = {kind: path for kind, path in paths.items() if path.exists()}
            return Result(
                video, choices.rotate, files, {shown: paths["overlay"]}, numbers,
                frames, with_face, unsure if calibrated else None, roll, seconds, source.problem,
            )  # fmt: skip

    def _model(self, name: str) -> Cascade:
        if self._loaded is None or self._loaded[0] != name:
            if name not in self.models:
                raise InputError(f"the model is {name!r}: choose one of the list.")
            self._loaded = None  # before the next one is read: memory holds one
            self._loaded = (name, load_model(self.models[name]))
        return self._loaded[1]


def redraw(result: Result, shown: Shown, on_frame: OnFrame) -> Path:
    """Return the overlay that shows these classes, drawn from the saved labels unless it is there.

    Args:
        result: What was extracted.
        shown: The classes.
        on_frame: As in `Extractions.run`.

    Raises:
        InputError: The video cannot be read any more, or the overlay cannot be written.
    """
    if shown not in result.overlays:
        first = result.files["overlay"]
        path = first.parent / ("-".join(shown) or "none") / first.name
        look = Look(shown=shown)
        with (
            open_source(str(result.video), rotate=result.rotate) as source,
            np.load(result.files["npz"]) as labels,
            VideoWriter(path, source) as writer,
        ):
            for frame, name, numbers in zip(source, labels.files, result.numbers, strict=False):
                image = look.paint(frame.image, labels[name], numbers, white=source.white)
                writer.write(frame, image)
                on_frame(frame.index + 1, result.frames)
        result.overlays[shown] = path
    return result.overlays[shown]


def find_models(given: Sequence[str]) -> dict[str, Path]:
    """Return model files by the names that a list shows.

    Args:
        given: Names of shipped weights and Hugging Face repository ids; files, and folders that
            are searched with all below: for saved cascades (.safetensors; others, such as cached
            features, are left out) and checkpoints (.ckpt).

    Returns:
        The models given by name or id, then every file once, in the order given, sorted within a
        folder. A file's name is the shortest end of its path that no other file shares.

    Raises:
        InputError: One does not exist, or a folder holds no model.
    """
    names = [word for word in given if word in shipped() or not Path(word).exists()]
    paths = [Path(word) for word in given if word not in names]
    files = list(dict.fromkeys(file.resolve() for path in paths for file in _files_of(path)))
    # not resolved: what is cached of a repository has its suffix in the name of a link alone
    found = {name: find_weights(name) for name in names}
    return found | {_short_name(file, files): file for file in files}


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(_models_below(path))
    if not found:
        raise InputError(
            f"{path}: holds no model, which is a saved cascade (.safetensors) or a checkpoint "
            "(.ckpt): give a folder with one, or a file."
        )
    return found


def _models_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and (path.suffix == ".ckpt" or _is_cascade(path)):
            yield path


def _is_cascade(path: Path) -> bool:
    """Tell by a file's header if `Cascade.save` wrote it."""
    if path.suffix != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return "facemask_cascade" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _short_name(file: Path, files: Sequence[Path]) -> str:
    for length in range(1, len(file.parts)):
        end = file.parts[-length:]
        if sum(other.parts[-length:] == end for other in files) == 1:
            return "/".join(end)
    return str(file)
