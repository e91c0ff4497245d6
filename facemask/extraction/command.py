"""`facemask extract`: videos in, masks out."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from facemask.errors import InputError
from facemask.extraction.extractor import FaceMaskExtractor, Precision
from facemask.extraction.jobs import Job, is_done, is_left, leave, make_jobs
from facemask.extraction.load import load_model, network_from_config
from facemask.extraction.outputs import Outputs, check_kinds
from facemask.extraction.parts import PART_FRAMES, PartedOutputs
from facemask.extraction.plot import plot_signals
from facemask.extraction.record import Facts, Record
from facemask.extraction.shards import find_shard, share_of
from facemask.extraction.temporal import Temporal
from facemask.files import make_folder, sha256_of
from facemask.locking import claimed
from facemask.plotting import check_matplotlib
from facemask.tracking.detection import FaceDetector, GivenFaces, check_smallest
from facemask.tracking.detectors import SMALLEST, BoxesFile, CroppedFrames, open_detector
from facemask.tracking.tracker import TrackerSettings
from facemask.video.frames import FrameSource
from facemask.video.reading import expand_inputs, open_source
from facemask.weights.find import find_weights


def extract(
    inputs: list[str],
    *,
    model: str = "default",
    network: str | None = None,
    out: str = "masks",
    save: str = "overlay,csv",
    temporal: Temporal = "window",
    detector: Literal["auto", "dlib", "mediapipe", "yunet"] = "auto",
    detector_model: str | None = None,
    boxes: str | None = None,
    cropped: bool = False,
    every: int = 5,
    max_faces: int | None = None,
    min_score: float = 0.5,
    smallest_face: float | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    fps: float | None = None,
    rotate: Literal[0, 90, 180, 270] = 0,
    opacity: float = 0.5,
    plot: bool = False,
    resume: bool = False,
) -> None:
    """Find, follow and label every face of videos: one output frame for each frame.

    Under `torchrun`, or in a SLURM array, each process does its share of the videos.

    Args:
        inputs: Video files, folders of frames, patterns ('clips/*.mp4'), list files (.txt) or
            numbers of cameras (a camera ends with Ctrl-C).
        model: Weights that come with facemask (default, synthetic), a saved cascade (.safetensors),
            a checkpoint of whole faces, or a Hugging Face repository id (owner/name).
        network: For a checkpoint of a network of your own: the YAML of its training, such as the
            config.yaml beside it, whose classes are imported. Default: the model says what it is.
        out: Folder to write to; made if missing. Short: -o.
        save: Outputs, separated by commas: overlay, side-by-side and alpha (H.264 videos), labels
            (FFV1 video of class ids), png (a folder), npz, csv (areas, openings, boxes).
        temporal: How frames help each other: window (each frame with its four predecessors), clip
            (clips of five, as in the paper), stream (memory carried on), smooth (single frames,
            Gaussian smoothing) or off (single frames).
        detector: What finds faces: auto takes MediaPipe if it is installed, else dlib.
        detector_model: Model file of yunet.
        boxes: CSV file of the face crops of a single video, instead of a detector.
        cropped: The videos are face crops already.
        every: Frames from one detection to the next; in between boxes are tracked.
        max_faces: Most faces to follow, the largest first. Default: all.
        min_score: Score, 0 to 1, from which a detection is a face.
        smallest_face: Smallest face to be found, as share of the picture's longer side, 0.02 to 1;
            smaller ones are left out. dlib looks for that size, which takes longer the smaller it
            is; the other detectors see what they see. Default: 0.125 for dlib, and crops from 20
            pixels on.
        device: auto, cpu, cuda, cuda:1 and so on.
        precision: bf16 lets networks compute in bfloat16; auto does so on devices that are fast at
            it.
        fps: Frames a second of what stores no times: folders (25 unless given) and raw streams such
            as .h264 (what their header says unless given). Other videos keep their own times.
        rotate: Degrees by which to turn each picture clockwise, so that faces are upright: for
            video that lies on its side or upside down and does not say so. Results are upright.
        opacity: Of the colours in overlays, 0 to 1.
        plot: Draw the signals over time (NAME.signals.png).
        resume: Leave out the videos whose outputs are all there, made from the same source with
            the same model and options, and go on with a long one from its last complete part
            (2000 frames).

    Raises:
        InputError: An option, the model, or an input is wrong. Of several videos the others are
            done first.
    """
    kinds = check_kinds(save)
    if plot:
        check_matplotlib()
        kinds = list(dict.fromkeys([*kinds, "csv"]))
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}, expected 0 to 1.")
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    if rate is not None and rate <= 0:
        raise InputError(f"fps is {fps}, expected more than 0.")
    shard = find_shard()
    folder = Path(out)
    jobs = make_jobs(expand_inputs(inputs), folder, kinds, plot)
    if boxes is not None and len(jobs) > 1:
        raise InputError(f"--boxes is for one video, but {len(jobs)} were given: run each alone.")
    settings = TrackerSettings(every=every, max_faces=max_faces, min_score=min_score)
    if smallest_face is not None:
        settings = replace(
            settings, min_size=min(check_smallest(smallest_face), 0.99)
        )  # 1 is pixels
    finder = _finder(detector, detector_model, boxes, cropped, smallest_face)
    if len(jobs) == 1:
        open_source(jobs[0].source).close()  # wrong input is told before the model is loaded
    weights = find_weights(model)
    own = None if network is None else network_from_config(Path(network))
    extractor = FaceMaskExtractor(
        load_model(weights, network=own), finder, temporal=temporal, tracking=settings,
        device=_own_device(device), precision=precision,
    )  # fmt: skip
    make_folder(folder)
    about = {"name": model, "sha256": sha256_of(weights)}
    options: dict[str, object] = {
        "network": _content(network), "temporal": temporal, "detector": _name_of(finder),
        "detector_model": _content(detector_model), "boxes": _content(boxes), "cropped": cropped,
        "smallest_face": smallest_face,
        **asdict(settings), "precision": precision, "fps": fps, "rotate": rotate,
        "opacity": opacity,
    }  # fmt: skip
    console = Console(stderr=True, markup=False, emoji=False)  # of names, [x] is no style
    mine = share_of(jobs, shard)
    todo = [job for job in mine if not (resume and is_done(job, about, options))]
    if len(todo) < len(jobs):
        of_shard = f" (process {shard[0]} of {shard[1]})" if shard[1] > 1 else ""
        console.print(f"{len(todo)} of {len(jobs)} videos to do{of_shard}.", highlight=False)
    failed: list[InputError] = []
    with _progress(console) as progress:
        for job in todo:
            try:
                with claimed(job.lock) as is_mine:
                    if not is_mine:
                        leave(job, console, resume)
                        continue
                    record = job.record(about, options)
                    if is_left(job, record, console, resume):
                        continue
                    _extract(extractor, job, progress, (rate, rotate), opacity, record, resume)
            except InputError as error:
                if len(jobs) == 1:
                    raise
                console.print(f"{job.name}: {error}", highlight=False, style="red")
                failed.append(error)
            except KeyboardInterrupt as interrupt:
                done = todo.index(job) - len(failed)
                raise KeyboardInterrupt(_kept(done, len(todo), str(interrupt))) from None
    if failed:
        raise InputError(f"{len(failed)} of {len(todo)} videos failed, the first: {failed[0]}")


def _name_of(finder: FaceDetector | GivenFaces) -> str:
    """Which detector "auto" is."""
    return type(finder).__name__.removesuffix("Detector").lower()


def _content(file: str | None) -> str | None:
    return None if file is None else sha256_of(Path(file))


def _finder(
    detector: str, model: str | None, boxes: str | None, cropped: bool, smallest: float | None
) -> FaceDetector | GivenFaces:
    """What says where faces are.

    Raises:
        InputError: More than one way is asked for, or the one asked for does not work here.
    """
    if boxes is not None and cropped:
        raise InputError("--boxes and --cropped are both given: give one of them.")
    if (boxes is not None or cropped) and (detector != "auto" or model is not None):
        raise InputError("--boxes and --cropped take the place of --detector: leave that out.")
    if (boxes is not None or cropped) and smallest is not None:
        raise InputError("--smallest_face is for a detector, not for --boxes or --cropped.")
    if boxes is not None:
        return BoxesFile(Path(boxes))
    if cropped:
        return CroppedFrames()
    file = None if model is None else Path(model)
    return open_detector(detector, file, SMALLEST if smallest is None else smallest)


def _own_device(device: str) -> str:
    """Under torchrun, "auto" is this process's own GPU."""
    gpus = torch.cuda.device_count()
    if device == "auto" and gpus > 1 and "LOCAL_RANK" in os.environ:
        return f"cuda:{int(os.environ['LOCAL_RANK']) % gpus}"
    return device


def _extract(
    extractor: FaceMaskExtractor,
    job: Job,
    progress: Progress,
    reading: tuple[Fraction | None, int],
    opacity: float,
    record: Record,
    resume: bool,
) -> None:
    """Do one video.

    Raises:
        InputError: It cannot be read, has no frames, or an output cannot be written.
    """
    fps, rotate = reading
    with open_source(job.source, fps, rotate) as source:
        task = progress.add_task(job.name, total=source.frame_count, speed="")
        opened = _outputs(job, source, opacity, record.begin(), resume)
        before = opened.done if isinstance(opened, PartedOutputs) else 0
        if isinstance(opened, PartedOutputs) and opened.unused:
            said = f"{job.name}: begun anew, of what was left {opened.unused}."
            progress.console.print(said, highlight=False)
        count, faces, start = 0, 0, time.monotonic()
        with opened as outputs:
            with _ended_by_keyboard(job.source, opened):
                journal = opened.journal if isinstance(opened, PartedOutputs) else None
                for frame in extractor.video(source, before, journal):
                    outputs.write(frame)
                    count += 1
                    faces += bool(frame.faces)
                    speed = f"{count / (time.monotonic() - start):.1f} frames/s"
                    progress.update(task, completed=before + count, speed=speed)
            if before + count == 0:
                raise InputError(f"{job.source}: holds no frame that can be read.")
            if isinstance(extractor.detector, BoxesFile):
                extractor.detector.check_frames(before + count, source.hidden)
            stale = record.invalidate()
        if job.plot is not None:
            plot_signals(job.paths["csv"])
        record.write()
        if stale:
            said = f"{job.name}: still of an earlier run, not of this one: {', '.join(stale)}."
            progress.console.print(said, highlight=False, style="yellow")
        _report(progress, task, job, before, count, faces, time.monotonic() - start)
        if source.problem:
            progress.console.print(f"{job.name}: {source.problem}", style="yellow", highlight=False)


def _outputs(
    job: Job, source: FrameSource, opacity: float, facts: Facts, resume: bool
) -> Outputs | PartedOutputs:
    """Long videos are written in parts, so that a killed job can go on."""
    if source.path is None or source.frame_count is None or source.frame_count <= PART_FRAMES:
        return Outputs(job.paths, source, opacity)
    return PartedOutputs(job.paths, source, opacity, facts, resume)


def _report(
    progress: Progress,
    task: TaskID,
    job: Job,
    before: int,
    count: int,
    faces: int,
    seconds: float,
) -> None:
    progress.remove_task(task)
    written = ", ".join(path.name for path in job.results.values())
    earlier = f"{before} frames before and " if before else ""
    progress.console.print(
        f"{job.name}: {earlier}{count} frames, {100 * faces / max(count, 1):.0f} % with a face, "
        f"{count / seconds:.1f} frames/s: {written} "
        f"in {job.lock.parent}, from {job.origin}",
        highlight=False,
    )


@contextmanager
def _ended_by_keyboard(source: str | int, outputs: Outputs | PartedOutputs) -> Iterator[None]:
    """Ctrl-C is the usual end of a camera; of a file it ends the command, saying what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        if isinstance(source, int):
            return
        kept = outputs.kept if isinstance(outputs, PartedOutputs) else 0
        sentence = f"the first {kept} frames of {source} are kept" if kept else ""
        raise KeyboardInterrupt(sentence) from None


def _kept(done: int, count: int, of_last: str) -> str:
    """What is left after Ctrl-C."""
    kept = [f"{done} of {count} videos are done"] if count > 1 else []
    kept += [of_last] if of_last else []
    if not kept:
        return "nothing is kept of the video that was being done"
    return f"{' and '.join(kept)}, and the same command with --resume goes on"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    )
