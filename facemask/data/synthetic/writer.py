"""Writing synthetic videos as a folder in the layout of 300VW."""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import cv2

from facemask.data.landmarks import write_pts
from facemask.data.synthetic.render import Settings, render_video
from facemask.errors import InputError
from facemask.files import make_folder, remove, remove_left_over, temporary_name, write_atomic
from facemask.parallel import run_jobs

_SETTINGS_FILE: Final = "synth.json"
_VERSION: Final = 2  # raise it when the same seed gives other pictures
_QUALITY: Final = 95  # of the MJPG frames; every frame is a key frame, so counts are exact


def synthesize(
    out: str | Path,
    *,
    videos: int = 12,
    seconds: float = 2.0,
    width: int = 400,
    height: int = 320,
    fps: int = 30,
    categories: Sequence[int] = (1, 2, 3),
    hard: bool = False,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Write synthetic face videos with exact landmarks, laid out like 300VW.

    Writes `NNN/vid.avi`, `NNN/annot/000001.pts` … (one a frame) and `subjects.csv` (video,
    subject, category). Video NNN depends on `seed` and NNN alone, whatever the number of
    videos or workers. Videos that are there already are kept, so a killed run goes on when it
    is started again and a larger `videos` adds to a folder.

    Args:
        out: Folder to write to; made if missing.
        videos: Number of videos, 1 to 999; each shows another person.
        seconds: Length of each video, at least one frame.
        width: Of a frame in pixels, at least 96.
        height: Of a frame in pixels, at least 96.
        fps: Frames a second.
        categories: Difficulties that the videos cycle through: 1 good light; 2 bad light, blur,
            noise, low resolution; 3 hands, glasses, microphones and large poses on top.
        hard: Whether a cheap camera films all of them from afar: face crops of 30 to 60 pixels,
            enlarged, blurred, dark, noisy, in blocks. The landmarks are as exact as ever.
        seed: 0 or more.
        workers: Processes; None is one for each processor, 0 or 1 works in this process.

    Raises:
        InputError: An option is out of range, the folder cannot be written, or it holds videos
            made with other settings.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     synthesize(Path(folder), videos=1, seconds=0.1, width=128, height=96, workers=1)
        ...     sorted(path.name for path in Path(folder, "001").iterdir())
        ['annot', 'vid.avi']
    """
    if not 1 <= videos <= 999:  # folder names have three digits, as in 300VW
        raise InputError(f"videos is {videos}, expected 1 to 999.")
    if not categories:
        raise InputError("categories is empty, expected some of 1, 2 and 3.")
    frames = round(seconds * fps) if 0 < seconds < 1e6 else 0
    settings = Settings(seed, frames, width, height, fps, tuple(categories), hard)
    out = Path(out)
    _prepare_folder(out, settings)
    shown = max(videos, _count_finished(out))
    rows = [f"{k + 1:03d},{k + 1:03d},{settings.category(k)}\n" for k in range(shown)]
    write_atomic(out / "subjects.csv", "".join(["video,subject,category\n", *rows]).encode())

    missing = [index for index in range(videos) if not (out / f"{index + 1:03d}").is_dir()]
    write = functools.partial(_write_video, out=out, settings=settings)
    for result in run_jobs(write, missing, workers=workers, description="synth"):
        if isinstance(result, InputError):
            raise result


def _count_finished(out: Path) -> int:
    numbers = [int(p.name) for p in out.iterdir() if p.name.isdecimal() and p.is_dir()]
    return max(numbers, default=0)


def _prepare_folder(out: Path, settings: Settings) -> None:
    """Make the folder, or see that what it holds was made with the same settings."""
    make_folder(out)
    file = out / _SETTINGS_FILE
    wanted = {"version": _VERSION, **asdict(settings), "categories": list(settings.categories)}
    found: object = None
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                found = {"hard": False, **found}  # folders of before the option
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file}: cannot read the settings of the videos there ({error}); choose "
                "another folder."
            ) from error
    if _count_finished(out) and found != wanted:
        known = found if isinstance(found, dict) else {}
        other = {k: known.get(k, "unknown") for k, v in wanted.items() if known.get(k) != v}
        differing = "; ".join(f"{k} {v}, not {wanted[k]}" for k, v in other.items())
        raise InputError(
            f"{out}: holds videos made with other settings ({differing}); give the same settings "
            "or another folder."
        )
    if found != wanted:
        write_atomic(file, (json.dumps(wanted, indent=2) + "\n").encode())


def _write_video(index: int, out: Path, settings: Settings) -> None:
    """Write one video and its annotations; the folder appears only when it is complete."""
    name = f"{index + 1:03d}"
    # One level deeper than a finished video, so that a reader who finds what a killed run left
    # does not take it for one.
    temporary = temporary_name(out / name)
    video = temporary / name
    try:
        remove_left_over(out / name)
        (video / "annot").mkdir(parents=True)
        _write_frames(video, index, settings)
        try:
            video.rename(out / name)
        except OSError:
            if not (out / name).is_dir():  # else another process has made the same video meanwhile
                raise
    except OSError as error:
        raise InputError(
            f"{out / name}: cannot write the video: {error.strerror}; make room or choose "
            "another folder."
        ) from error
    finally:
        remove(temporary)


def _write_frames(video: Path, index: int, settings: Settings) -> None:
    path, size = str(video / "vid.avi"), (settings.width, settings.height)
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    # OpenCV's own writer: no codec has to be installed
    writer = cv2.VideoWriter(path, cv2.CAP_OPENCV_MJPEG, codec, float(settings.fps), size)
    if not writer.isOpened():
        raise InputError(f"{video}: OpenCV cannot write MJPG videos; install opencv-python.")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, _QUALITY)
    try:
        rendered = render_video(
            settings.seed,
            index,
            category=settings.category(index),
            frames=settings.frames,
            width=settings.width,
            height=settings.height,
            fps=settings.fps,
            hard=settings.hard,
        )
        for number, (frame, points) in enumerate(rendered, start=1):
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            write_pts(video / "annot" / f"{number:06d}.pts", points)
    finally:
        writer.release()
