"""Opening whatever shows faces: a video, an animation, a folder of frames, an image or a camera.

The sources themselves are in `decoding`, `animated`, `folders` and `cameras`, the list of a
command's inputs in `inputs`.
"""

from fractions import Fraction
from pathlib import Path

from facemask.errors import InputError
from facemask.suffixes import is_image
from facemask.video.animated import AnimatedPicture, is_animated
from facemask.video.cameras import Camera
from facemask.video.decoding import VideoFile
from facemask.video.folders import FOLDER_FPS, ImageFolder
from facemask.video.frames import FrameSource, VideoFrame
from facemask.video.inputs import expand_inputs

__all__ = ["FrameSource", "VideoFrame", "expand_inputs", "open_source"]


def open_source(
    source: str | Path | int, fps: Fraction | int | None = None, rotate: int = 0
) -> FrameSource:
    """Open a video file, a folder of images, one image or a camera.

    Animated WebP, APNG and AVIF are videos; so are GIFs.

    Args:
        source: Path of the file or folder; a number, or a string of digits that names no file,
            is a camera.
        fps: Frame rate of what stores no times: a folder of images (25 unless given) and a raw
            stream such as `.h264` (what its header says unless given). Other videos keep theirs.
        rotate: Degrees by which to turn each frame clockwise, after what its metadata says: 0, 90,
            180 or 270.

    Raises:
        InputError: There is nothing of that name, or it holds no picture that can be decoded.

    Examples:
        >>> open_source("none.mp4")
        Traceback (most recent call last):
        facemask.errors.InputError: none.mp4: no such file or folder.
    """
    opened = _open(source, fps)
    try:
        opened.turn(rotate)
    except InputError:
        opened.close()
        raise
    return opened


def _open(source: str | Path | int, fps: Fraction | int | None) -> FrameSource:
    if isinstance(source, str) and source.isdecimal() and not Path(source).exists():
        source = int(source)
    if isinstance(source, int):
        return Camera(source)
    path = Path(source)
    if path.is_file() and is_animated(path):
        return AnimatedPicture(path)
    if path.is_dir() or (path.is_file() and is_image(path)):
        return ImageFolder(path, FOLDER_FPS if fps is None else fps)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    return VideoFile(path, fps)
