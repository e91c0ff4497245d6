"""`facemask extract`: videos in, masks out."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from facemask.errors import InputError
from facemask.extraction.choices import PLOT, SHEET, Backend, Precision, Temporal, check_kinds
from facemask.extraction.cluster import on_cluster
from facemask.extraction.ending import Told
from facemask.extraction.jobs import Outcome, find_shard, make_jobs, say_left
from facemask.extraction.photos import read_photo
from facemask.extraction.plan import Plan
from facemask.extraction.processes import in_processes
from facemask.extraction.reports import Terminal
from facemask.files import make_folder, sha256_of
from facemask.interrupts import ctrl_c_told
from facemask.plotting import check_matplotlib
from facemask.tracking.detection import check_smallest
from facemask.tracking.tracker import TrackerSettings
from facemask.video.look import Look, Style, parse_colors
from facemask.video.photos import Kind, split_photos
from facemask.video.reading import expand_inputs, open_source
from facemask.weights.catalog import find_weights, is_calibrated

_STOPPING: Final = {
    True: "Stopping: the frames that are done are being written.",
    False: "Stopping, which may take some seconds; Ctrl-C again stops at once.",
}
"""Line that answers Ctrl-C, with a camera and without."""


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
    opacity: float = 0.3,
    style: Style = "fill",
    colors: str = "",
    plot: bool = False,
    sheet: bool = False,
    treat_as: Kind = "auto",
    resume: bool = False,
    jobs: int = 1,
    cluster: str | None = None,
) -> None:
    """Find, follow and label every face of videos and photos.

    A video gives one output frame for each frame, photos one table for all.

    Under `torchrun`, or in a SLURM array, each process does its share of the videos.

    Args:
        inputs: Video files, photos, folders of photos or frames, patterns ('clips/*.mp4'), list
            files (.txt) or numbers of cameras (a camera ends with Ctrl-C).
        model: Weights that come with facemask (default, open), a saved cascade (.safetensors),
            a checkpoint of whole faces, or a Hugging Face repository id (owner/name).
        network: For a checkpoint of a network of your own: the YAML of its training, such as the
            config.yaml beside it, whose classes are imported. Default: the model says what it is.
        out: Folder to write to; made if missing. Short: -o.
        save: Outputs, separated by commas: overlay, side-by-side and alpha (H.264 videos; pictures
            of photos), labels (FFV1 video of class ids; of photos a PNG), png (a folder), npz, csv
            (areas, openings, boxes).
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
            it. int8 lets openvino compute most of them in 8-bit integers.
        backend: What computes the networks: torch, onnx (ONNX Runtime) or openvino, which export
            the model once; auto takes the fastest of torch and those that were exported for before.
        fps: Frames a second of what stores no times: folders (25 unless given) and raw streams such
            as .h264 (what their header says unless given). Other videos keep their own times.
        rotate: Degrees by which to turn each picture clockwise, so that faces are upright: for
            video that lies on its side or upside down and does not say so. Results are upright.
        opacity: Of the colours in overlays, 0 to 1.
        style: Whether overlays are tinted (fill) or drawn as lines (outline).
        colors: Colours of classes in overlays, such as skin=#ffcc00,inner_mouth=navy.
        plot: Draw the signals of videos over time (NAME.signals.png).
        sheet: Draw a contact sheet of each video, and one of all photos (NAME.sheet.jpg).
        treat_as: Whether pictures of a folder are frames of a video, or photos with results of
            their own and one table; auto takes numbered pictures of one size for frames.
        resume: Leave out the videos whose outputs are all there, made from the same source with
            the same model and options, and go on with a long one from its last complete part
            (2000 frames).
        jobs: Videos at a time on this machine, each in a process with its share of the cores, or a
            GPU of its own.
        cluster: Address of a Dask scheduler, or the file that it wrote (docs/many_videos.md): its
            workers do the videos, as they become free, as with --resume.

    Raises:
        InputError: An option, the model, or an input is wrong. Of several videos the others are
            done first.
    """
    kinds = check_kinds(save)
    if plot:
        check_matplotlib()
        kinds = [*dict.fromkeys([*kinds, "csv"]), PLOT]
    look = Look(opacity, style, parse_colors(colors))
    if sheet:
        kinds = [*dict.fromkeys([*kinds, "overlay"]), SHEET]
    if jobs < 1:
        raise InputError(f"jobs is {jobs}: give 1 or more.")
    rank, processes = find_shard()
    found = split_photos(expand_inputs(inputs), treat_as)
    videos = make_jobs(found.videos, Path(out), kinds, found.photos)
    photos = [job for job in videos if job.is_photo]
    if plot and not found.videos:
        raise InputError("--plot draws signals over time, which photos have not: leave it out.")
    if boxes is not None and len(videos) > 1:
        raise InputError(f"--boxes is for one video, but {len(videos)} were given: run each alone.")
    if cluster is not None and (jobs > 1 or processes > 1):
        raise InputError("--cluster hands out videos itself: run it once, without --jobs.")
    if (cluster or jobs > 1) and any(isinstance(video.source, int) for video in videos):
        raise InputError("a camera is for a command of its own: leave out --jobs and --cluster.")
    smallest = TrackerSettings.min_size
    if smallest_face is not None:
        smallest = min(check_smallest(smallest_face), 0.99)  # 1 is pixels
    weights = find_weights(model)
    plan = Plan(
        model, str(weights), sha256_of(weights), network, temporal, detector, detector_model, boxes,
        cropped, smallest_face,
        TrackerSettings(every, max_faces, min_score, smallest, upright=upright),
        passes, device, precision, backend, fps, rotate, look, resume or cluster is not None,
    )  # fmt: skip
    if plan.rate is not None and plan.rate <= 0:
        raise InputError(f"fps is {fps}, expected more than 0.")
    finder = plan.finder()
    if len(videos) == 1:
        # wrong input is told before the model is loaded
        _ = read_photo(videos[0], 0) if photos else open_source(videos[0].source).close()
    terminal = Terminal()
    for note in found.notes:
        terminal.line(note)
    mine = videos[rank::processes]
    is_alone = cluster is None and min(jobs, len(mine)) <= 1
    run = plan.prepare(finder) if is_alone else None  # what is wrong with the model comes first
    if run is not None:
        make_folder(Path(out))
        share, mine = len(mine), [video for video in mine if not run.is_done(video)]
        if told := say_left(videos, share, len(mine), rank, processes):
            terminal.line(told)
    if mine and not is_calibrated(weights):
        terminal.line(
            "The confidence of this model is not calibrated, so no mask is flagged as unsure; "
            "docs/calibration.md says how to calibrate a cascade's on data of your own."
        )
    outcomes: Generator[Outcome, None, None]
    if run is not None:
        outcomes = run.attempt_all(mine, terminal)
    elif cluster is None:
        make_folder(Path(out))
        outcomes = in_processes(plan, mine, jobs, terminal)
    else:
        outcomes = on_cluster(plan, mine, cluster, terminal)
    ends = Told(terminal, Path(out), photos, kinds, cropped or boxes is not None)
    is_camera = any(isinstance(video.source, int) for video in mine)
    with ctrl_c_told(terminal.line, _STOPPING[is_camera]), terminal, closing(outcomes):
        ends.tell(outcomes, mine, len(videos) == 1)
