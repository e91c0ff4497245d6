"""A clip and a portrait to try the page with, made or found without network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from facemask.data.synthetic import synthesize
from facemask.video.reading import open_source
from facemask.video.writing import VideoWriter

_SEED: Final = 7
"""Of a face that speaks and blinks."""


def sample_clip(folder: Path) -> Path:
    """Return three seconds of a made-up face, H.264 in MP4; rendered unless it is there.

    Args:
        folder: Folder of the file.

    Raises:
        InputError: It cannot be written.
    """
    path = folder / "sample.mp4"
    if not path.exists():
        synthesize(
            folder / "made-up", videos=1, seconds=3, width=480, height=360, fps=25, categories=[1],
            seed=_SEED, workers=0,
        )  # fmt: skip
        drawn = folder / "made-up" / "001" / "vid.avi"  # of a kind that browsers do not play
        with open_source(str(drawn)) as source, VideoWriter(path, source) as writer:
            for frame in source:
                writer.write(frame, frame.image)
    return path


def find_portrait() -> Path | None:
    """Return the portrait of Grace Hopper (US Navy, public domain) that Matplotlib brings.

    Returns:
        The picture; None where Matplotlib was installed without it.
    """
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    return path if path.is_file() else None
