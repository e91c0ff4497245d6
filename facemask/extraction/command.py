"""`facemask extract`: videos in, masks out."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Literal

from rich.console import Console

from facemask.errors import InputError
from facemask.extraction.choices import PLOT, Backend, Precision, Temporal, check_kinds
from facemask.extraction.jobs import find_shard, make_jobs
from facemask.files import make_folder, sha256_of
from facemask.imports import garbage_left_alone
from facemask.plotting import check_matplotlib
from facemask.threads import limit_threads
from facemask.tracking.detection import FaceDetector, GivenFaces, check_smallest
from facemask.tracking.detectors import BoxesFile, CroppedFrames, open_detector
from facemask.tracking.tracker import TrackerSettings
from facemask.video.reading import expand_inputs, open_source
from facemask.weights.catalog import find_weights


def extract(
    inputs: list[str],
    *,
    model: str = "default",
    network: str | None = None,
    out: str = "masks",
    save: str = "overlay,csv",
    temporal: Temporal = "window",
    detector: Literal["auto", "centerface", "dlib", "mediapipe", "yunet"] = "auto",
    detector_model: str | None = None,
    boxes: str | None = None,
    cropped: bool = False,
    every: int = 5,
    max_faces: int | None = None,
    min_score: float = 0.5,
    smallest_face: float | None = None,
    upright: bool = True,
    passes: Literal[1, 2] = 2,
    device: str = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
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
        detector: What finds faces: auto takes centerface, which needs no extra.
        detector_model: Model file of yunet. Default: OpenCV's, fetched when it is first needed.
        boxes: CSV file of the face crops of a single video, instead of a detector.
        cropped: The videos are face crops already.
        every: Frames from one detection to the next; in between boxes are tracked.
        max_faces: Most faces to follow, the largest first. Default: all.
        min_score: Score, 0 to 1, from which a detection is a face.
        smallest_face: Smallest face to be found, as share of the picture's longer side, 0.02 to 1;
            smaller ones are left out. centerface and dlib look for that size, which takes longer
            the smaller it is; mediapipe sees what it sees. Default: 0.03 but at least 40 pixels
            for centerface (45 in small frames), 0.125 for dlib, and crops from 20 pixels on.
        upright: Look at faces upright, however they are turned; off takes them as they lie, and
            passes over the rolls of --boxes.
        passes: 2 looks twice at the frame in which a face begins, the second time where its first
            mask shows it, turned as that says; 1 takes it as the detector saw it. Faces of --boxes
            and --cropped are where they are.
        device: auto, cpu, cuda, cuda:1 and so on.
        precision: bf16 lets networks compute in bfloat16; auto does so on devices that are fast at
            it.
        backend: What computes the networks: torch, onnx (ONNX Runtime) or openvino, which export
            the model once; auto takes one of these where that was done before, else torch.
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
        kinds = [*dict.fromkeys([*kinds, "csv"]), PLOT]
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}, expected 0 to 1.")
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    if rate is not None and rate <= 0:
        raise InputError(f"fps is {fps}, expected more than 0.")
    rank, processes = find_shard()
    jobs = make_jobs(expand_inputs(inputs), Path(out), kinds)
    if boxes is not None and len(jobs) > 1:
        raise InputError(f"--boxes is for one video, but {len(jobs)} were given: run each alone.")
    smallest = TrackerSettings.min_size
    if smallest_face is not None:
        smallest = min(check_smallest(smallest_face), 0.99)  # 1 is pixels
    tracking = TrackerSettings(every, max_faces, min_score, smallest, upright=upright)
    finder = _finder(detector, detector_model, boxes, cropped, smallest_face)
    if len(jobs) == 1:
        open_source(jobs[0].source).close()  # wrong input is told before the model is loaded
    weights = find_weights(model)
    with garbage_left_alone():  # these bring torch, which takes a second to import
        from facemask.extraction.extractor import FaceMaskExtractor
        from facemask.extraction.load import network_from_config, own_device
        from facemask.extraction.run import Run, progress_bars, what_is_kept
        from facemask.weights.load import load_model
    limit_threads()
    own = None if network is None else network_from_config(Path(network))
    extractor = FaceMaskExtractor(
        load_model(weights, network=own), finder, temporal=temporal, tracking=tracking,
        device=own_device(device), precision=precision, passes=passes, backend=backend,
    )  # fmt: skip
    make_folder(Path(out))
    settings = asdict(tracking)
    del settings["min_size"]  # it follows from smallest_face
    options: dict[str, object] = {
        "network": _content(network), "temporal": temporal,
        "detector": type(finder).__name__.removesuffix("Detector").lower(),  # whatever "auto" is
        "detector_model": _content(detector_model), "boxes": _content(boxes), "cropped": cropped,
        "smallest_face": smallest_face, "passes": passes,
        **settings, "precision": extractor.precision, "backend": extractor.backend,  # nor "auto"
        "fps": fps, "rotate": rotate, "opacity": opacity,
    }  # fmt: skip
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)  # names as they are
    progress = progress_bars(console)
    about = {"name": model, "sha256": sha256_of(weights)}
    run = Run(extractor, about, options, rate, rotate, opacity, resume, progress)
    todo = [job for job in jobs[rank::processes] if not run.is_done(job)]
    if len(todo) < len(jobs):
        of_shard = f" (process {rank} of {processes})" if processes > 1 else ""
        console.print(f"{len(todo)} of {len(jobs)} videos to do{of_shard}.")
    failed: list[InputError] = []
    with progress:
        for number, job in enumerate(todo):
            try:
                run.do(job)
            except InputError as error:
                if len(jobs) == 1:
                    raise
                run.say(job, str(error), "red")
                failed.append(error)
            except KeyboardInterrupt as interrupt:
                done = number - len(failed)
                raise KeyboardInterrupt(what_is_kept(done, len(todo), str(interrupt))) from None
    if failed:
        raise InputError(f"{len(failed)} of {len(todo)} videos failed, the first: {failed[0]}")


def _content(file: str | None) -> str | None:
    return None if file is None else sha256_of(Path(file))


def _finder(
    detector: str, model: str | None, boxes: str | None, cropped: bool, smallest: float | None
) -> FaceDetector | GivenFaces:
    """Return the detector, or the knowledge of where faces are.

    Raises:
        InputError: More than one way is asked for, or the one asked for does not work here.
    """
    if boxes is not None and cropped:
        raise InputError("--boxes and --cropped are both given: give one of them.")
    if boxes is not None or cropped:
        if detector != "auto" or model is not None:
            raise InputError("--boxes and --cropped take the place of --detector: leave that out.")
        if smallest is not None:
            raise InputError("--smallest_face is for a detector, not for --boxes or --cropped.")
        return CroppedFrames() if boxes is None else BoxesFile(Path(boxes))
    file = None if model is None else Path(model)
    return open_detector(detector, file, smallest)
